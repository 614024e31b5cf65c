"""Kinds of trial by name: a new kind is one package and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from growsearch.errors import UsageError

if TYPE_CHECKING:
    from growsearch.kinds.candidate import CandidateConfig
    from growsearch.kinds.forecasts import Forecast
    from growsearch.kinds.kind import ForecastContext, TrialKind
    from growsearch.kinds.words import KindWords


class KindRegistry(MutableMapping[str, "TrialKind[Any, Any]"]):
    """The kinds by name, each loaded when it is first asked for.

    A package has its kind as ``KIND`` in kind.py, and its `KindWords` as ``WORDS`` in words.py: a
    report reads them without the torch that the kind needs.

    Args:
        packages: the kinds' packages by name.
    """

    def __init__(self, packages: Mapping[str, str]) -> None:
        self._packages = packages
        self._kinds: dict[str, TrialKind[Any, Any] | None] = dict.fromkeys(packages)

    def __getitem__(self, name: str) -> TrialKind[Any, Any]:
        kind = self._kinds[name]
        if kind is None:
            kind = importlib.import_module(f"{self._packages[name]}.kind").KIND
            self._kinds[name] = kind
        return kind

    def __setitem__(self, name: str, kind: TrialKind[Any, Any]) -> None:
        self._kinds[name] = kind

    def __delitem__(self, name: str) -> None:
        del self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def __contains__(self, name: object) -> bool:
        return name in self._kinds

    def words(self, name: str) -> KindWords | TrialKind[Any, Any] | None:
        """Return what tells of a kind without loading it; None for an unknown one."""
        if name not in self._kinds:
            return None
        kind = self._kinds[name]
        if kind is not None:
            return kind
        words: KindWords = importlib.import_module(f"{self._packages[name]}.words").WORDS
        return words


KINDS = KindRegistry(
    {
        "growth": "growsearch.kinds.growth",
        "sparse": "growsearch.kinds.sparse",
        "tickets": "growsearch.kinds.tickets",
        "prune": "growsearch.kinds.prune",
        "baseline": "growsearch.kinds.baseline",
    }
)


def forecast(config: CandidateConfig, context: ForecastContext) -> Forecast | None:
    """Tell what a candidate will cost, without training; None if it cannot be built or counted.

    MACs, parameters and the latency of devices that are estimated are told: of sparse candidates
    whose masks keep their sparsity, all of them; where masks get sparser during training, the dense
    MACs alone; of growth, the budgeted count; of tickets, dense MACs and parameters.

    Raises:
        MachineError: for trouble of the machine, such as a profile that has vanished.
    """
    # Imported here: they need torch, and a report asks for words alone.
    from growsearch.fault_origin import machine_error, origin_of

    try:
        return kind_of(config).forecast(config, context)
    except Exception as error:
        if origin_of(error) == "machine":
            raise machine_error(error) from error
        # The trial itself will say why.
        return None


def kind_of(config: CandidateConfig) -> TrialKind[Any, Any]:
    """Return the kind of a candidate."""
    return KINDS[config.kind]


def candidate_from_json(data: Mapping[str, Any]) -> CandidateConfig:
    """Read what `CandidateConfig.to_json` wrote.

    Raises:
        UsageError: for an unknown kind, a missing key or choices that exclude each other.
    """
    name = data.get("kind")
    if name not in KINDS:
        raise UsageError(f"trial config: kind = {name!r}; valid: {', '.join(KINDS)}")
    candidate: CandidateConfig = KINDS[str(name)].candidate.from_json(data)
    return candidate
