"""A run's copy elsewhere: what is in it at any moment, and what a lost folder gets back from it."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from growsearch.errors import MachineError, UsageError
from growsearch.search.ledger import mirror as mirror_module
from growsearch.search.ledger.mirror import Mirror
from growsearch.search.ledger.run_folder import RunFolder
from growsearch.search.study.study import Study


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def study(tiny: dict[str, Any], there: Path) -> dict[str, Any]:
    tiny["mirror"] = there.as_uri()
    tiny["search"]["trials"] = 3
    return tiny


def _content(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        # Both are of the process that searches, not of the run.
        if file.is_file() and file.name not in ("run.lock", "heartbeat.json")
    }


def test_a_lost_folder_is_restored_from_the_copy_and_the_search_goes_on(
    study: dict[str, Any], run_folder: Path, there: Path
) -> None:
    Study(study, run_folder).run()
    before = _content(run_folder)
    assert _content(there / run_folder.name) == before
    shutil.rmtree(run_folder)
    study["search"]["trials"] = 4
    again = Study(study, run_folder)
    again.run()
    assert again.resumed_trials == 3
    assert again.incidents == ()
    lines = (run_folder / "trials.jsonl").read_bytes()
    assert lines.startswith(before["trials.jsonl"])
    assert len(lines.splitlines()) == 4
    assert _content(there / run_folder.name) == _content(run_folder)


def test_a_copy_never_names_a_trial_that_it_lacks(
    study: dict[str, Any], run_folder: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    original = Mirror._write

    def write(self: Mirror, name: str, content: bytes) -> None:
        if name == "trials.jsonl":
            for line in content.splitlines():
                folder = there / run_folder.name / "trials" / json.loads(line)["id"]
                assert (folder / "weights.safetensors").is_file()
        written.append(name)
        original(self, name, content)

    monkeypatch.setattr(Mirror, "_write", write)
    monkeypatch.setattr(mirror_module, "_MIN_WAIT_S", 0.0)
    monkeypatch.setattr(mirror_module, "_WAIT_TIMES", 0.0)
    Study(study, run_folder).run()
    assert written.count("trials.jsonl") >= 1
    weights = [name for name in written if name.endswith("weights.safetensors")]
    # Nothing is copied twice.
    assert len(weights) == len(set(weights)) == 3
    assert not [t for t in threading.enumerate() if t.name == "growsearch-mirror"]


def test_a_second_session_copies_only_what_is_missing(
    study: dict[str, Any], run_folder: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = study.pop("mirror")
    Study(study, run_folder).run()
    study["mirror"] = mirror
    Study(study, run_folder).run()
    assert _content(there / run_folder.name) == _content(run_folder)
    written: list[str] = []
    monkeypatch.setattr(Mirror, "_write", lambda _, name, __: written.append(name))
    Study(study, run_folder).run()
    # These may change within one size.
    assert set(written) == {"front.json", "study.yaml"}


def test_a_store_that_fails_loses_nothing_and_is_said(
    study: dict[str, Any], run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("access denied")

    monkeypatch.setattr(Mirror, "_write", refuse)
    run = Study(study, run_folder)
    run.run()
    assert len(run.trials) == 3
    (incident,) = run.incidents
    assert "is behind (access denied)" in incident
    assert "the same command copies what is missing" in incident


def test_a_copy_that_is_ahead_of_the_folder_is_not_written_over(
    study: dict[str, Any], run_folder: Path, there: Path
) -> None:
    Study(study, run_folder).run()
    ledger = run_folder / "trials.jsonl"
    whole = ledger.read_bytes()
    ledger.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    with pytest.raises(UsageError, match=r"has finished trials that .* lacks; move that folder"):
        Study(study, run_folder).run()
    assert (there / run_folder.name / "trials.jsonl").read_bytes() == whole
    shutil.rmtree(run_folder)
    again = Study(study, run_folder)
    again.run()
    assert again.resumed_trials == 3
    assert ledger.read_bytes() == whole


def test_another_run_under_the_same_name_is_refused(
    study: dict[str, Any], run_folder: Path, tmp_path: Path
) -> None:
    Study(study, run_folder).run()
    other = tmp_path / "elsewhere" / run_folder.name
    own = {name: value for name, value in study.items() if name != "mirror"}
    Study(own, other).run()
    with pytest.raises(UsageError, match="holds another run than"):
        Study(study, other).run()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nope://bucket/runs", "nope://bucket/runs: .*give an address such as s3://"),
        ("s3://key:secret@bucket/runs", "credentials.*AWS_ACCESS_KEY_ID"),
    ],
)
def test_an_address_that_will_not_do_is_named_without_its_secrets(
    address: str, message: str, run_folder: Path
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        Mirror(address, RunFolder(run_folder))
    assert "secret" not in str(caught.value).replace("AWS_SECRET_ACCESS_KEY", "")


def test_no_scheme_is_no_address(study: dict[str, Any], run_folder: Path) -> None:
    study["mirror"] = "bucket/runs"
    with pytest.raises(UsageError, match=r"mirror = 'bucket/runs': an address has a scheme: s3://"):
        Study(study, run_folder)


def test_a_name_that_leaves_the_folder_is_refused(run_folder: Path, there: Path) -> None:
    mirror = Mirror(there.as_uri(), RunFolder(run_folder))
    for name in ("../evil", "trials/../../evil", "/etc/evil"):
        with pytest.raises(UsageError, match="leaves the run's folder"):
            mirror._here(name)


def test_a_copy_that_somebody_changed_leads_nothing_out_of_the_folder(
    study: dict[str, Any], run_folder: Path, there: Path, tmp_path: Path
) -> None:
    Study(study, run_folder).run()
    shutil.rmtree(run_folder)
    (there / run_folder.name / "run.lock").write_text("not of a run")
    (there / run_folder.name / "extra.py").write_text("neither")
    victim = tmp_path / "victim"
    victim.mkdir()
    run_folder.mkdir()
    (run_folder / "trials").symlink_to(victim)
    with pytest.raises(MachineError, match="trials is a link"):
        Study(study, run_folder).run()
    assert list(victim.iterdir()) == []
    shutil.rmtree(run_folder)
    Study(study, run_folder).run()
    assert not (run_folder / "extra.py").exists()
    assert (run_folder / "run.lock").read_text().startswith("process ")


def test_what_ledger_lines_and_links_lead_to_is_not_copied(
    study: dict[str, Any], run_folder: Path, there: Path, tmp_path: Path
) -> None:
    finished = Study(study, run_folder)
    finished.run()
    shutil.rmtree(there)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("secret")
    line = json.loads(finished.folder.ledger.read_text().splitlines()[0])
    foreign = json.dumps({**line, "id": "../../secret"})
    finished.folder.ledger.write_text(f"{foreign}\n{finished.folder.ledger.read_text()}")
    place = finished.folder.trial(finished.trials[0].id)
    (place / "link").symlink_to(tmp_path / "secret" / "key")
    (place / "folder").symlink_to(tmp_path / "secret")
    Mirror(there.as_uri(), finished.folder).update()
    copied = [file for file in there.rglob("*") if file.is_file()]
    assert any(file.name == "weights.safetensors" for file in copied)
    assert not [file for file in copied if file.read_bytes() == b"secret"]


def test_repeats_are_copied_too_and_fetched_again(
    study: dict[str, Any], run_folder: Path, there: Path
) -> None:
    study["search"]["repeats"] = 1
    Study(study, run_folder).run()
    before = _content(run_folder)
    assert any(name.startswith("repeats/trials/") for name in map(str, before))
    assert _content(there / run_folder.name) == before
    shutil.rmtree(run_folder)
    Study(study, run_folder).run()
    assert _content(run_folder) == before


def test_a_copy_that_has_not_heard_of_an_edit_is_brought_up_to_it(
    study: dict[str, Any], run_folder: Path, there: Path
) -> None:
    Study(study, run_folder).run()
    old = _content(there / run_folder.name)
    study["trials"]["sparse"]["epochs"] = 2
    study["objectives"].pop("latency[wafer-cs2]")
    Study(study, run_folder).run()
    # As if the store had been away while the edited study ran.
    shutil.rmtree(there / run_folder.name)
    for name, content in old.items():
        (there / run_folder.name / name).parent.mkdir(parents=True, exist_ok=True)
        (there / run_folder.name / name).write_bytes(content)
    study["search"]["trials"] = 4
    run = Study(study, run_folder)
    run.run()
    assert run.incidents == ()
    assert _content(there / run_folder.name) == _content(run_folder)
    # And one that has been edited elsewhere is another.
    edits = there / run_folder.name / "edits.jsonl"
    edits.write_text(edits.read_text() + edits.read_text())
    copied = there / run_folder.name / "study.yaml"
    copied.write_text(copied.read_text().replace("epochs: 2", "epochs: 3"))
    with pytest.raises(UsageError, match="another run"):
        Study(study, run_folder).run()


def test_an_edit_is_known_to_the_copy_before_the_edited_study_is(
    study: dict[str, Any], run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    original = Mirror._write

    def write(self: Mirror, name: str, content: bytes) -> None:
        written.append(name)
        original(self, name, content)

    Study(study, run_folder).run()
    study["trials"]["sparse"]["epochs"] = 2
    monkeypatch.setattr(Mirror, "_write", write)
    Study(study, run_folder).run()
    assert written.index("edits.jsonl") < written.index("study.yaml")
