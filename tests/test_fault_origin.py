"""Whose fault is an error? A table of both kinds, and of what is a bug."""

import errno
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cost_models import CostModelError, NoisyMeasurementError
from growsearch.errors import (
    CandidateError,
    DivergedError,
    GrowsearchError,
    MachineError,
    TimeLimitError,
    UsageError,
)
from growsearch.fault_origin import machine_error, of_the_machine, origin_of, reason_of
from growsearch.files import storage_error
from search_spaces import SearchSpaceError
from search_spaces.errors import OwnCodeError


def _raised(raise_it: Callable[[], object]) -> BaseException:
    try:
        raise_it()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def _after(cause: BaseException, error: BaseException) -> BaseException:
    def raise_it() -> None:
        raise error from cause

    return _raised(raise_it)


def _while_handling(cause: BaseException, error: BaseException) -> BaseException:
    def raise_it() -> None:
        try:
            raise cause
        except BaseException:
            raise error  # noqa: B904

    return _raised(raise_it)


def _system(number: int) -> OSError:
    return OSError(number, os.strerror(number))


CANDIDATE = {
    "diverged": DivergedError("nan"),
    "no gradient": CandidateError("a masked layer has no gradient"),
    "too slow": TimeLimitError("9 s passed"),
    "no such sparsity": UsageError("no sparsity keeps the MACs"),
    "uncounted": CostModelError("a layer cannot be counted"),
    "noisy": NoisyMeasurementError("repeats differ"),
    "unbuilt": _after(ValueError("bad"), SearchSpaceError("making it fails: ValueError: bad")),
    "gpu memory": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "mps memory": RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    "gpu memory at the end of host memory": _while_handling(
        MemoryError(), torch.OutOfMemoryError("CUDA out of memory")
    ),
    "cache miss": _while_handling(FileNotFoundError(2, "no cache"), DivergedError("nan")),
}
MACHINE = {
    "marked": MachineError("no lock"),
    "of the project": GrowsearchError("cannot write: no space"),
    "storage": storage_error(Path("a"), _system(errno.ENOSPC)),
    "vanished": FileNotFoundError(errno.ENOENT, "No such file or directory", "data"),
    "no right": PermissionError(errno.EACCES, "Permission denied"),
    "files": _system(errno.EMFILE),
    "broken disk": _system(errno.EIO),
    "memory": MemoryError(),
    "numpy memory": MemoryError("Unable to allocate 4.00 TiB for an array"),
    "torch memory": _raised(lambda: torch.empty(2**62, dtype=torch.int8)),
    "thread": RuntimeError("can't start new thread"),
    "bad_alloc": RuntimeError("std::bad_alloc"),
    "rust": ValueError("Error while opening: Too many open files (os error 24)"),
    "package": ModuleNotFoundError("No module named 'onnxruntime'"),
    "code changed": OwnCodeError("its code is not what it was"),
    "code changed in a transform": _after(OwnCodeError("gone"), UsageError("transform: gone")),
    "data said in a line": _after(FileNotFoundError(2, "gone"), UsageError("dataset: it fails")),
    "built without files": _after(_system(errno.EMFILE), SearchSpaceError("making it fails")),
    "full while handling": _while_handling(_system(errno.ENOSPC), RuntimeError("no backend")),
    "memory while handling": _while_handling(MemoryError(), KeyError("cache")),
}
PROGRAM = {
    "bug": RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    "type": TypeError("unsupported operand"),
    "assertion": AssertionError(),
    "device": RuntimeError("CUDA error: device-side assert triggered"),
    "lookup": _while_handling(FileNotFoundError(2, "no cache"), KeyError("weight")),
}


@pytest.mark.parametrize("name", CANDIDATE)
def test_this_is_the_candidates_own(name: str) -> None:
    assert origin_of(CANDIDATE[name]) == "candidate"


@pytest.mark.parametrize("name", MACHINE)
def test_this_is_the_machines(name: str) -> None:
    assert origin_of(MACHINE[name]) == "machine"


@pytest.mark.parametrize("name", PROGRAM)
def test_this_is_a_bug(name: str) -> None:
    assert origin_of(PROGRAM[name]) == "program"


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("memory", "free memory, or run fewer trials at a time"),
        ("torch memory", "free memory"),
        ("files", "raise the limit of open files"),
        ("rust", "raise the limit of open files"),
        ("full while handling", "free some space"),
        ("no right", "give this user the right to it"),
        ("package", "install what is missing"),
        ("vanished", "put it right"),
    ],
)
def test_what_stops_a_search_says_what_to_do_in_one_line(name: str, remedy: str) -> None:
    error = MACHINE[name]
    assert isinstance(error, Exception)
    found = machine_error(error)
    assert found.exit_code == 1
    assert remedy in str(found)
    assert str(found).endswith("run the same command again")
    assert "\n" not in str(found)
    assert origin_of(found) == "machine"
    assert str(pickle.loads(pickle.dumps(found))) == str(found)


def test_a_message_that_was_written_for_people_stays_as_it_is(tmp_path: Path) -> None:
    error = storage_error(tmp_path / "a", _system(errno.ENOSPC))
    assert str(machine_error(error, tmp_path)) == str(error)
    assert "is gone" in str(machine_error(error, tmp_path / "deleted"))


def test_inside_the_machines_part_everything_but_a_passed_limit_is_the_machines() -> None:
    for error in (UsageError("no folder"), ValueError("bad header"), SearchSpaceError("x")):
        with pytest.raises(MachineError, match=str(error)) as caught, of_the_machine():
            raise error
        assert caught.value.__cause__ is error
    with pytest.raises(TimeLimitError), of_the_machine():
        raise TimeLimitError("late")
    with pytest.raises(KeyboardInterrupt), of_the_machine():
        raise KeyboardInterrupt


def test_a_limit_that_passed_inside_a_library_is_what_the_failed_trial_says() -> None:
    wrapped = _after(TimeLimitError("9 s passed"), CostModelError("the module cannot be traced"))
    assert isinstance(wrapped, Exception)
    assert origin_of(wrapped) == "candidate"
    assert reason_of(wrapped) == "TimeLimitError: 9 s passed"
    assert reason_of(DivergedError("nan")) == "DivergedError: nan"
