"""Typed objects of a study: classes and functions of the session that it runs in (decision 0034).

They are sent to the study's own workers and to nobody else; no file holds them.
"""

from __future__ import annotations

from growsearch.errors import UsageError
from growsearch.search.config.study import StudyConfig
from search_spaces.errors import OwnCodeError
from search_spaces.typed_code import TypedCode, typed_names
from search_spaces.user_code import typed_code


def typed_of(config: StudyConfig) -> tuple[TypedCode, ...]:
    """Return the typed classes and functions that a study names.

    Raises:
        UsageError: if one was not typed in this process, or has changed since it was named.
    """
    try:
        return typed_code(typed_names(config.to_plain()))
    except OwnCodeError as error:
        raise UsageError(str(error)) from error


def check_can_be_sent(typed: tuple[TypedCode, ...]) -> None:
    """Refuse what cannot be sent to workers, with what it reaches.

    Raises:
        UsageError: naming the class or function, and the remedy.
    """
    if not typed:
        return
    # Ray takes seconds to import: only a search that sends something waits.
    from ray import cloudpickle

    for code in typed:
        try:
            cloudpickle.dumps(code.thing)
        except Exception as error:  # whatever an object raises that its code refers to
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UsageError(
                f"{code.name} cannot be sent to workers: {reason}; its code refers to a value of "
                "this session that belongs to this process alone. Make that value where it is "
                "used, or search with backend: serial"
            ) from error
