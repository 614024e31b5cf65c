"""Jobs: a search sent to a cluster with its study and our packages."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

import cost_models
import growsearch
import search_spaces
from growsearch.errors import GrowsearchError, UsageError
from growsearch.reading import write_yaml
from growsearch.search.config.study import StudyConfig

# What a cluster's nodes need of us; the libraries that these import they must have themselves.
PACKAGES = (growsearch, search_spaces, cost_models)
_MAIN = "from growsearch.cli import main; main()"
# What Ray's job client raises: no connection, an answer that is an error, a wrong token.
_PROBLEMS = (RuntimeError, ValueError, OSError, ray.exceptions.RayError)
_STUDY = "study.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A search on a cluster: where it was sent and under which name."""

    address: str
    name: str


# What a head says whose job agent has not come up yet, and how long to wait for it.
_NOT_READY = "No available agent"
_WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


def entrypoint(out: Path, options: Sequence[str], python: str) -> str:
    """Return the shell command that the cluster's head runs in the job's folder.

    The search works in the folder of its run: Ray may lay the job's own folder out anew meanwhile,
    as it does where several nodes share a machine.
    """
    search = shlex.join([python, "-c", _MAIN, "search"])
    rest = shlex.join(["--address", "auto", "--out", str(out), *options])
    where = shlex.quote(str(out.parent))
    return f'study="$PWD/{_STUDY}" && mkdir -p {where} && cd {where} && {search} "$study" {rest}'


def check_out(out: Path) -> None:
    """Refuse a run's folder that a cluster's nodes could not find.

    Raises:
        UsageError: if it is not absolute.
    """
    if not out.is_absolute():
        raise UsageError(
            f"--out {out}: give the whole path of a folder that all nodes of the cluster share"
        )


def submit(
    config: StudyConfig,
    *,
    address: str,
    out: Path,
    options: Sequence[str] = (),
    python: str = "python",
) -> Job:
    """Send a search to a cluster's head and return at once.

    Args:
        config: the study; the profiles that it names are sent along, the data is not.
        address: the head's dashboard, such as http://127.0.0.1:8265.
        out: the run's folder on the cluster; see `check_out`.
        options: more of `growsearch search`, such as --fresh.
        python: the interpreter on the head that has the libraries which our packages import.

    Raises:
        UsageError: without Ray's job client, or for an address that is none of a dashboard.
        GrowsearchError: if the cluster cannot be reached or refuses the job.
    """
    check_out(out)
    client = _client(address)
    with tempfile.TemporaryDirectory(prefix="growsearch-job-") as folder:
        write_job_folder(config, Path(folder))
        try:
            name = when_ready(
                lambda: client.submit_job(
                    entrypoint=entrypoint(out, options, python),
                    metadata={"growsearch": config.name},
                    runtime_env={
                        "working_dir": folder,
                        "py_modules": [str(Path(str(p.__file__)).parent) for p in PACKAGES],
                    },
                )
            )
        except _PROBLEMS as error:
            raise _refused(address, error) from error
    return Job(address=address, name=name)


def when_ready(send: Callable[[], str], waits_s: Sequence[float] = _WAITS_S) -> str:
    """Send again after a while where a head has just started and takes no jobs yet."""
    for wait_s in waits_s:
        try:
            return send()
        except _PROBLEMS as error:
            if _NOT_READY not in str(error):
                raise
            time.sleep(wait_s)
    return send()


def write_job_folder(config: StudyConfig, folder: Path) -> None:
    """Write what the job starts with: the study, and the profiles and own code that it names."""
    plain = config.to_plain()
    if config.code_dir is not None:
        _copy_code(config.code_dir, folder)
        plain["code_dir"] = "."
    for device, source in config.profiles.items():
        kept = Path("profiles") / f"{device}.json"
        (folder / kept).parent.mkdir(exist_ok=True)
        shutil.copyfile(source, folder / kept)
        plain["profiles"][device] = str(kept)
    (folder / _STUDY).write_text(write_yaml(plain), encoding="utf-8")


def _copy_code(source: Path, folder: Path) -> None:
    """Copy modules and packages; the job's folder is where every worker looks for modules."""
    for entry in sorted(source.iterdir()):
        if entry.suffix == ".py" and entry.is_file():
            shutil.copyfile(entry, folder / entry.name)
        elif (entry / "__init__.py").is_file():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(entry, folder / entry.name, ignore=ignored)


def follow(job: Job, show: Callable[[str], None], wait_s: float = 2.0) -> None:
    """Show a job's output until it ends.

    A connection that is closed while the job runs, as on a busy head, is opened again.

    Raises:
        GrowsearchError: if it fails or is stopped; what it finished is kept in its folder.
    """
    client = _client(job.address)
    shown = 0

    async def tail() -> None:
        nonlocal shown
        told = 0
        async for text in client.tail_job_logs(job.name):
            # It begins anew every time.
            news = text[max(0, shown - told) :]
            told += len(text)
            if news:
                show(news)
                shown = told

    try:
        while True:
            asyncio.run(tail())
            info = client.get_job_info(job.name)
            if info.status.is_terminal():
                break
            time.sleep(wait_s)
    except _PROBLEMS as error:
        raise _refused(job.address, error) from error
    if str(info.status) != "SUCCEEDED":
        raise GrowsearchError(
            f"job {job.name}: {str(info.status).lower()} ({_short(info.message or 'no reason')}). "
            "What was finished is kept in its --out; submit it again to go on"
        )


def _client(address: str) -> Any:
    if not address.startswith(("http://", "https://")):
        raise UsageError(
            f"--address {address}: give the head's dashboard, such as http://HEAD:8265; "
            "a search on a node of the cluster itself is: growsearch search --address auto"
        )
    if importlib.util.find_spec("aiohttp") is None:
        raise UsageError(
            "growsearch submit needs Ray's job client: pip install 'growsearch[cluster]'"
        )
    from ray.job_submission import JobSubmissionClient

    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        return JobSubmissionClient(address)
    except _PROBLEMS as error:
        raise _refused(address, error) from error


def _refused(address: str, error: Exception) -> GrowsearchError:
    return GrowsearchError(
        f"{address}: {_short(error)}. Is the cluster's dashboard there (ray start --head, from "
        "outside through a tunnel: ssh -L 8265:127.0.0.1:8265 HEAD), and, with token "
        "authentication, RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH=FILE set here?"
    )


def _short(text: object) -> str:
    return " ".join(str(text).split())[:300]
