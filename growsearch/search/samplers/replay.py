"""Replay: the candidate that known answers make, and the answers that a written one gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from growsearch.errors import UsageError
from growsearch.kinds import KINDS, CandidateConfig, TrialKinds, suggest_candidate, trial_id
from growsearch.kinds.questions import VARIANT
from growsearch.search.ledger.run_folder import Start

Params = dict[str, Any]
# What reading the answers to another study's questions ends with.
_NO_ANSWERS = (KeyError, TypeError, ValueError, ArithmeticError, UsageError)


class Answers:
    """The part of an Optuna trial that a space asks, answered from parameters that are known."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:  # noqa: ARG002
        """Return the known choice."""
        return self._params[name]

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:  # noqa: ARG002
        """Return the known whole number."""
        return int(self._params[name])

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:  # noqa: ARG002
        """Return the known number."""
        return float(self._params[name])


class _Kept:
    """Answers from a run's files, which may be those to another study's questions."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        value = self._params[name]
        if value not in choices:
            raise UsageError(f"{name} = {value!r}; this study has: {_listed(choices)}")
        return value

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:  # noqa: ARG002
        return int(self._number(name, low, high))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:  # noqa: ARG002
        return float(self._number(name, low, high))

    def _number(self, name: str, low: float, high: float) -> float:
        value = self._params[name]
        if type(value) not in (int, float) or not low <= value <= high:
            raise UsageError(f"{name} = {value!r}; this study has {low:g} to {high:g}")
        return float(value)


def candidate_of(params: Mapping[str, Any], kinds: TrialKinds) -> CandidateConfig:
    """Return the candidate that a sampler's parameters mean.

    Raises:
        KeyError: if a decision is missing.
    """
    return suggest_candidate(Answers(params), kinds)


def kept_candidate(params: Mapping[str, Any], kinds: TrialKinds) -> CandidateConfig:
    """Return the candidate of parameters that were read from a run's files.

    Raises:
        KeyError: if a decision is missing.
        UsageError: if the study's space has no such answer.
    """
    return suggest_candidate(_Kept(params), kinds)


def answers_of(start: Start, kinds: TrialKinds, seed: int) -> Params | None:
    """Return the answers by which a study of these kinds draws exactly what was started.

    They are those of then, or where it asks more now, such as a choice where there was one value,
    those that the candidate itself gives. None if the study would not draw it.
    """
    if draws(start.params, start.id, kinds, seed):
        return dict(start.params)
    try:
        params = params_of(start.candidate.to_json(), kinds)
    except _NO_ANSWERS:
        return None
    return params if draws(params, start.id, kinds, seed) else None


def draws(params: Mapping[str, Any], name: str, kinds: TrialKinds, seed: int) -> bool:
    """Tell whether a study of these kinds draws, with these answers, the candidate of an id."""
    try:
        return trial_id(kept_candidate(params, kinds), seed) == name
    except _NO_ANSWERS:
        return False


class _Written:
    """Answers from a candidate as files and studies write it; what they leave out has no answer."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self.params: Params = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        value = self._value(name)
        if value not in choices:
            raise UsageError(f"{_key(name)} = {value!r}; this study has: {_listed(choices)}")
        # 1 == True: the study's own option is what a sampler must see.
        return self._keep(name, next(option for option in choices if option == value))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:  # noqa: ARG002
        return int(self._keep(name, int(self._number(name, low, high))))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:  # noqa: ARG002
        return float(self._keep(name, float(self._number(name, low, high))))

    def _number(self, name: str, low: float, high: float) -> float:
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"{_key(name)} = {value!r} is no number")
        if not low <= value <= high:
            raise UsageError(f"{_key(name)} = {value:g}; this study has {low:g} to {high:g}")
        return value

    def _keep(self, name: str, value: Any) -> Any:
        self.params[name] = value
        return value

    def _value(self, name: str) -> Any:
        value: Any = self._values
        for part in _key(name).split("."):
            if not isinstance(value, Mapping) or part not in value:
                raise UsageError(f"{_key(name)} is missing; the study leaves it open, so give it")
            value = value[part]
        return value


def _key(name: str) -> str:
    """Return a choice's name in a file: "sparse.updater[pattern]" is "updater"."""
    return name.removesuffix(VARIANT).partition(".")[2] or name


def _listed(choices: Sequence[Any]) -> str:
    return ", ".join(map(str, choices))


def params_of(written: Mapping[str, Any], kinds: TrialKinds) -> Params:
    """Return the sampler's parameters of a candidate that is written as a ledger has it.

    What the study leaves no choice about is passed over.

    Raises:
        UsageError: if it is not in the study's space, naming the key, the value and what is.
    """
    kind = written.get("kind", kinds.names[0] if len(kinds.names) == 1 else None)
    if kind not in kinds.names:
        raise UsageError(f"kind = {kind!r}; this study has: {', '.join(kinds.names)}")
    asked = _Written({**KINDS[kind].usual(), **written, "kind": kind})
    suggest_candidate(asked, kinds)
    return asked.params
