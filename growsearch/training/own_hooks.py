"""Own callbacks of a study, "module:attribute": hooks of the training loop, made for each trial."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from growsearch.errors import UsageError
from growsearch.training.state import Hook
from search_spaces import SearchSpaceError
from search_spaces.user_code import arguments_for, find


def own_hooks(names: Sequence[str], *, folder: Path, seed: int) -> tuple[Hook, ...]:
    """Return fresh callbacks for one trial, in the order of their names.

    A constructor may take ``folder``, the trial's, and ``seed`` by name.

    Raises:
        UsageError: if one is not there, cannot be made, is no `Hook`, or could not be resumed.

    Example:
        >>> from pathlib import Path
        >>> from growsearch.training import own_hooks
        >>> own_hooks((), folder=Path("trial"), seed=0)
        ()
    """
    return tuple(_made(name, folder, seed) for name in names)


def _made(name: str, folder: Path, seed: int) -> Hook:
    plain = name.partition("@")[0]
    try:
        make = find(name)
        if not callable(make):
            raise UsageError(f"callbacks: {plain} is a {type(make).__name__}; give a class")
        made = make(**arguments_for(make, {"folder": folder, "seed": seed}))
    except SearchSpaceError as error:
        raise UsageError(f"callbacks: {error}") from error
    except UsageError:
        raise
    except Exception as error:  # whatever own code raises, the cause is kept
        raise UsageError(f"callbacks: {plain} fails: {type(error).__name__}: {error}") from error
    if not isinstance(made, Hook):
        raise UsageError(
            f"callbacks: {plain} makes a {type(made).__name__}; let it derive from "
            "growsearch.training.Hook"
        )
    if type(made).state is Hook.state:
        raise UsageError(
            f"callbacks: {plain} does not say what a trial that is resumed needs of it; give it "
            "state(), which returns {} where that is nothing, and load_state() where it is not"
        )
    return made
