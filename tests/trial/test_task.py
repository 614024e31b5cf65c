"""Where trials of one host wait for each other: in a folder of this user's, and nowhere else."""

import os
import tempfile
from pathlib import Path

import pytest

from growsearch.errors import MachineError
from growsearch.trial.task import machine_lock


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"growsearch-measuring-{os.getuid()}"


def test_the_lock_is_made_for_this_user_alone(temporary: Path) -> None:
    with machine_lock().shared():
        assert temporary.stat().st_mode & 0o777 == 0o700
    with machine_lock().exclusive():
        pass


@pytest.mark.parametrize("made", ["link", "file"])
def test_what_somebody_put_in_its_place_is_not_used(
    made: str, temporary: Path, tmp_path: Path
) -> None:
    (tmp_path / "victim").mkdir()
    if made == "link":
        temporary.symlink_to(tmp_path / "victim")
    else:
        temporary.touch()
    with pytest.raises(MachineError, match="set TMPDIR"):
        machine_lock()
    assert list((tmp_path / "victim").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_of_another_user_is_not_used(temporary: Path) -> None:
    temporary.mkdir()
    os.chown(temporary, 65534, 65534)
    with pytest.raises(MachineError, match=r"another user's.*set TMPDIR to a folder of your own"):
        machine_lock()


def test_a_lock_file_that_is_a_link_is_not_followed(temporary: Path, tmp_path: Path) -> None:
    temporary.mkdir(mode=0o700)
    (temporary / "room.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), machine_lock().shared():
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_no_folder_for_temporary_files_is_said_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(MachineError, match=r"No such file or directory\); make room there"):
        machine_lock()
