import importlib.util
import shlex
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from growsearch.errors import GrowsearchError, UsageError
from growsearch.search.cluster import job as job_module
from growsearch.search.cluster.job import PACKAGES, entrypoint, submit, when_ready, write_job_folder
from growsearch.search.config.file import load_study, parse_study
from growsearch.search.ledger.run_folder import check_local
from growsearch.search.study.study import Study

HEAD = "http://127.0.0.1:9"


def test_the_job_runs_the_same_search_on_the_cluster_that_it_is_part_of() -> None:
    text = entrypoint(Path("/shared/my runs/a"), ["--trials", "5"], "/env/bin/python")
    prepare, python, *rest = text.partition("/env/bin/python")
    assert prepare == (
        "study=\"$PWD/study.yaml\" && mkdir -p '/shared/my runs' && cd '/shared/my runs' && "
    )
    command = shlex.split(python + "".join(rest))
    assert command[1] == "-c"
    assert command[3:] == [
        *("search", "$study", "--address", "auto"),
        *("--out", "/shared/my runs/a", "--trials", "5"),
    ]


def test_a_head_that_takes_no_jobs_yet_is_asked_again_and_any_other_problem_is_said_at_once() -> (
    None
):
    answers = iter([RuntimeError("500: No available agent to submit job"), "raysubmit_1"])

    def send() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert when_ready(send, waits_s=(0.0,)) == "raysubmit_1"
    answers = iter([RuntimeError("refused"), "never"])
    with pytest.raises(RuntimeError, match="refused"):
        when_ready(send, waits_s=(0.0,))
    answers = iter(2 * [RuntimeError("No available agent")])
    with pytest.raises(RuntimeError, match="No available agent"):
        when_ready(send, waits_s=(0.0,))


def test_the_three_packages_and_no_other_are_sent() -> None:
    assert {package.__name__ for package in PACKAGES} == {
        "growsearch",
        "search_spaces",
        "cost_models",
    }


def test_the_job_s_folder_holds_the_resolved_study_and_its_profiles(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    profile = tmp_path / "mine.json"
    profile.write_text("{}")
    tiny["objectives"]["latency[cpu]"] = "minimize"
    tiny["profiles"] = {"cpu": str(profile)}
    folder = tmp_path / "job"
    folder.mkdir()
    write_job_folder(parse_study(tiny), folder)
    assert (folder / "profiles" / "cpu.json").read_text() == "{}"
    sent = load_study(folder / "study.yaml")
    assert sent.profiles == {"cpu": Path("profiles/cpu.json")}
    assert sent.trials == parse_study(tiny).trials
    assert yaml.safe_load((folder / "study.yaml").read_text())["search"]["seed"] == 3


@pytest.mark.parametrize(
    ("address", "out", "words"),
    [
        (HEAD, "runs/a", "whole path of a folder that all nodes"),
        ("ray://head:10001", "/shared/a", "dashboard, such as http://HEAD:8265"),
        ("head:6379", "/shared/a", "growsearch search --address auto"),
    ],
)
def test_a_job_that_could_not_work_is_refused_before_anything_is_sent(
    tiny: dict[str, Any], address: str, out: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        submit(parse_study(tiny), address=address, out=Path(out))


def test_without_the_cluster_extra_the_message_says_what_to_install(
    tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "aiohttp" else find(name)
    )
    with pytest.raises(UsageError, match=r"pip install 'growsearch\[cluster\]'"):
        submit(parse_study(tiny), address=HEAD, out=Path("/shared/a"))


@pytest.mark.filterwarnings("ignore")
def test_a_head_that_is_not_there_is_one_message_with_what_to_check(tiny: dict[str, Any]) -> None:
    if importlib.util.find_spec("aiohttp") is None:
        pytest.skip("ray[default] is not installed")
    with pytest.raises(GrowsearchError, match=r"127\.0\.0\.1:9: .*RAY_AUTH_TOKEN_PATH"):
        submit(parse_study(tiny), address=HEAD, out=Path("/shared/a"))


@pytest.mark.parametrize("out", ["s3://bucket/run", "gs://bucket/run", "hdfs:/run"])
def test_an_object_store_is_refused_as_a_run_s_folder_with_the_reason(
    tiny: dict[str, Any], out: str
) -> None:
    with pytest.raises(UsageError, match=r"appended to and flushed.*an object store cannot"):
        Study(tiny, Path(out))


def test_ordinary_paths_are_no_addresses() -> None:
    for path in ("/runs/a", "runs/a:b", "a", "./x:/y"):
        check_local(Path(path))


def test_a_run_says_its_version_where_growsearch_was_sent_along_and_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    from growsearch import __version__
    from growsearch.search.ledger import run_folder

    def only_libraries(name: str) -> str:
        if name == "growsearch":
            raise PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(run_folder, "version", only_libraries)
    assert run_folder.provenance()["versions"]["growsearch"] == __version__


def test_the_serial_backend_takes_no_address(tiny: dict[str, Any], run_folder: Path) -> None:
    from growsearch.search.study.study import StudyOptions

    with pytest.raises(UsageError, match="serial backend uses no cluster"):
        Study(tiny, run_folder).run(StudyOptions(address="auto"))
    assert not run_folder.exists()


class _Head:
    """A head that hangs up before the job has ended, and knows its status afterwards."""

    def __init__(self, answers: list[tuple[list[str], str]]) -> None:
        self._answers = answers

    async def tail_job_logs(self, name: str) -> AsyncIterator[str]:
        assert name == "a-job"
        for text in self._answers[0][0]:
            yield text

    def get_job_info(self, name: str) -> Any:
        from ray.job_submission import JobStatus

        _, status = self._answers.pop(0)
        return SimpleNamespace(status=JobStatus(status), message="a reason")


@pytest.mark.parametrize("end", ["SUCCEEDED", "FAILED", "STOPPED"])
def test_a_job_is_followed_to_its_end_though_the_head_hangs_up(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = _Head([(["a", "bc"], "RUNNING"), ([], "RUNNING"), (["ab", "cd", "e"], end)])
    monkeypatch.setattr(job_module, "_client", lambda address: head)
    shown: list[str] = []
    ended = (
        nullcontext()
        if end == "SUCCEEDED"
        else pytest.raises(GrowsearchError, match=rf"job a-job: {end.lower()} \(a reason\)")
    )
    with ended:
        job_module.follow(job_module.Job(address=HEAD, name="a-job"), shown.append, wait_s=0)
    assert "".join(shown) == "abcde"
