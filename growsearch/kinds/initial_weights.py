"""Initial weights of a candidate: what a study says of them, and the name that its trials have.

A candidate has the hash of a file's content, never its place: the same study with other weights is
another candidate, and the same weights at another place are the same one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from growsearch.errors import UsageError
from growsearch.training import InitialWeights
from growsearch.training.initial_weights import OWN, SUFFIXES, note_file
from search_spaces import SearchSpaceError
from search_spaces.user_code import is_own, pinned

_FORMS = (
    "write a file (FILE.safetensors, or FILE.pth of a state_dict), a function of yours "
    "(MODULE:FUNCTION), or own"
)


def initial_weights(name: str | None) -> InitialWeights | None:
    """Return the weights of a candidate's ``init``; None of none.

    Raises:
        UsageError: if nobody has said where the file lies.
    """
    return None if name is None else InitialWeights.named(name)


def named_init(value: Any, file: Path | None, *, of_run: bool) -> tuple[str, Path | None]:
    """Return the name of what a study's ``init`` says, and the file where it is one.

    Args:
        value: a path, the name of code, "own", or in a resolved study the name of a content.
        file: the study's ``init_file``, in a resolved study.
        of_run: nothing is imported or read, as for the study of a run.

    Raises:
        ValueError: for what is none of them, or a file with other content than its name says.
    """
    text = str(value)
    try:
        if of_run or text == OWN:
            return text, file
        if text.startswith("weights@"):
            return _known(text, file)
        if text.endswith(SUFFIXES) or Path(text).is_file():
            place = Path(text).expanduser().absolute()
            return note_file(place), place
        if is_own(text):
            return pinned(text), None
    except (UsageError, SearchSpaceError) as error:
        raise ValueError(f"init: {str(error).removeprefix('init: ')}") from error
    raise ValueError(f"init: {text[:60]!r} is none; {_FORMS}")


def _known(name: str, file: Path | None) -> tuple[str, Path]:
    if file is None:
        raise UsageError(f"{name} stands for a file's content; {_FORMS}")
    found = note_file(file)
    if found != name:
        raise UsageError(
            f"{file} is not what it was ({name} then, {found} now); restore it, or write its path "
            "as init and start anew"
        )
    return found, file
