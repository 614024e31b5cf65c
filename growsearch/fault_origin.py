"""Origin of an error: is it a candidate's own, the machine's, or a bug in a program?

A candidate's trouble fails its trial, and the search goes on: it cannot be built, trained or
measured, its numbers diverge, it takes too long, or an accelerator's memory is too small for it.
The machine's trouble stops the search, since every other candidate would meet it: data that have
vanished, a full disk, no memory, no temporary folder, too many open files, no permission, a missing
package. Its trial stays unfinished and is run again by the next start. Anything else is a bug, of
the network's code or of ours: such a trial is taken up again some times before it fails.

Backends do not decide this; they ask `origin_of`.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch

from cost_models import CostModelError
from growsearch.errors import (
    CandidateError,
    GrowsearchError,
    MachineError,
    TimeLimitError,
    UsageError,
)
from search_spaces import SearchSpaceError
from search_spaces.errors import OwnCodeError

Origin = Literal["candidate", "machine", "program"]

# Raised on purpose, about what was asked of a network.
_OF_A_CANDIDATE = (CandidateError, UsageError, CostModelError, SearchSpaceError)
# Raised by the operating system and by what is installed.
_OF_THE_MACHINE = (MachineError, OwnCodeError, OSError, MemoryError, ImportError)
# Whatever else was raised while one of these was handled, they are the reason.
_EXHAUSTED = frozenset(
    (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EROFS, errno.EIO)
)
# How libraries without exceptions of Python's own say it: torch, C++, Rust.
_NO_MEMORY = re.compile(
    r"DefaultCPUAllocator|can't allocate memory|Cannot allocate memory|std::bad_alloc"
    r"|can't start new thread",
    re.IGNORECASE,
)
_OS_ERROR = re.compile(r"\(os error (\d+)\)|\[Errno (\d+)\]")
# An accelerator's memory is one network's matter. torch has a class for CUDA alone.
_NO_ACCELERATOR_MEMORY = re.compile(
    r"(CUDA|HIP|MPS|XPU)\b.*out of memory|CUBLAS_STATUS_ALLOC_FAILED", re.IGNORECASE | re.DOTALL
)


def origin_of(error: BaseException) -> Origin:
    """Tell whose fault an error is that came out of a trial; see the module."""
    if _is_accelerator_memory(error):
        return "candidate"
    if any(_is_of_the_machine(each) for each in _causes(error)):
        return "machine"
    if any(_is_exhaustion(each) for each in _contexts(error)):
        return "machine"
    if isinstance(error, _OF_A_CANDIDATE):
        return "candidate"
    # What we raise and do not lay at a candidate's door: files of a run that do not fit together.
    return "machine" if isinstance(error, GrowsearchError) else "program"


def reason_of(error: Exception) -> str:
    """Return what a failed trial says of the error of its candidate.

    A limit of time may pass inside a library, which takes the error for one of the network's.
    """
    late = next((each for each in _causes(error) if isinstance(each, TimeLimitError)), error)
    return f"{type(late).__name__}: {late}"


def machine_error(error: Exception, run: Path | None = None) -> MachineError:
    """Return what ends a search on account of ``error``: a message that says what to do.

    Args:
        error: one whose origin is the machine.
        run: the run's folder; if it is there no longer, that is what is said.
    """
    if run is not None and _is_gone(run):
        return run_is_gone(run)
    if isinstance(error, GrowsearchError) and not isinstance(error, UsageError):
        # Written for a person already.
        return MachineError(str(error))
    text = " ".join(str(error).split())[:400]
    kind = "" if isinstance(error, _OF_A_CANDIDATE) else type(error).__name__
    return MachineError(
        f"{': '.join(filter(None, (kind, text)))}. No candidate is to blame for it: the trial "
        f"stays unfinished; {_remedy(error)} and run the same command again"
    )


def _is_gone(folder: Path) -> bool:
    """Tell whether a folder is there no longer; one that may not be looked at is."""
    try:
        return not folder.is_dir()
    except OSError:
        return False


def run_is_gone(run: Path) -> MachineError:
    """Return the error for a run whose folder was taken away while its search went on."""
    return MachineError(
        f"{run} is gone: the folder was deleted or moved while the search ran, which has stopped; "
        "put it back and run the same command again, or start anew"
    )


@contextmanager
def of_the_machine() -> Iterator[None]:
    """Say that what is raised inside is no candidate's fault: data, profiles, files of the run.

    Raises:
        MachineError: for any of them; a limit of time that passes inside stays what it is.
    """
    try:
        yield
    except (CandidateError, MachineError):
        raise
    except Exception as error:
        raise machine_error(error) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _contexts(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _is_accelerator_memory(error: BaseException) -> bool:
    return any(
        isinstance(each, torch.OutOfMemoryError)
        or (isinstance(each, RuntimeError) and bool(_NO_ACCELERATOR_MEMORY.search(str(each))))
        for each in _causes(error)
    )


def _is_of_the_machine(error: BaseException) -> bool:
    if isinstance(error, _OF_THE_MACHINE):
        return True
    if isinstance(error, GrowsearchError):
        return False
    text = str(error)
    return bool(_NO_MEMORY.search(text) or _OS_ERROR.search(text))


def _is_exhaustion(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno in _EXHAUSTED
    )


def _remedy(error: BaseException) -> str:
    causes = list(_contexts(error))
    numbers = {each.errno for each in causes if isinstance(each, OSError)}
    texts = " ".join(map(str, causes))
    numbers |= {int(a or b) for a, b in _OS_ERROR.findall(texts)}
    if any(isinstance(each, MemoryError) for each in causes) or _NO_MEMORY.search(texts):
        return "free memory, or run fewer trials at a time (search.parallel),"
    if numbers & {errno.EMFILE, errno.ENFILE}:
        return "raise the limit of open files (ulimit -n)"
    if numbers & {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return "free some space"
    if numbers & {errno.EACCES, errno.EPERM, errno.EROFS}:
        return "give this user the right to it"
    if any(isinstance(each, ImportError) for each in causes):
        return "install what is missing"
    return "put it right"
