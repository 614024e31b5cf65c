"""Kind of trial: the contract between a search and what it searches over."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.kinds import codec
from growsearch.kinds.candidate import CandidateConfig
from growsearch.kinds.checking.context import CheckContext
from growsearch.kinds.domain import Range, single
from growsearch.kinds.forecasts import Forecast, Reach
from growsearch.kinds.questions import Questions
from growsearch.kinds.space import KindSpace
from growsearch.kinds.trained import TrainedCandidate, TrainingContext, Untrained
from growsearch.training import TrainingOptions

S = TypeVar("S", bound=KindSpace)
C = TypeVar("C", bound=CandidateConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis(Generic[C]):
    """The number along which a candidate's costs are interpolated: its domain, and its value.

    Candidates that differ in it alone have networks of the same kind: ``at`` makes them.
    """

    domain: Range
    value: float
    at: Callable[[float], C]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastContext:
    """What a forecast needs: the data, the trial's seed, and the devices by their profiles.

    A device whose profile is None asks its analytic model; a measured one is left out.
    """

    dataset: Dataset
    seed: int
    devices: Mapping[str, Path | None]


class TrialKind(ABC, Generic[S, C]):
    """One kind of trial: what a study may write of it, what is asked, and how it trains.

    A kind is a package with ``space`` (pydantic), ``candidate`` (a frozen dataclass) and training,
    and one line in KINDS. What has a default here may be left out.
    """

    name: ClassVar[str]
    """In files, a key of KINDS."""
    title: ClassVar[str]
    """For people: "grown"."""
    space: ClassVar[type[KindSpace]]
    candidate: ClassVar[type[CandidateConfig]]

    @abstractmethod
    def suggest(self, questions: Questions, space: S) -> C:
        """Ask for every choice that a candidate needs, and for no other."""

    @abstractmethod
    def train(
        self, candidate: C, context: TrainingContext, options: TrainingOptions
    ) -> TrainedCandidate:
        """Train the candidate's network; the same seed gives the same network.

        Raises:
            UsageError: for a candidate that cannot be built.
            DivergedError: if the loss stops being finite.
        """

    def check(self, space: S, context: CheckContext) -> None:
        """Refuse a study that would fail in every trial, before anything trains.

        Raises:
            UsageError: naming the key, the value, the rule and the remedy.
        """

    def problem(self, space: S) -> str | None:  # noqa: ARG002
        """Return what is wrong with the keys together, as far as no data is needed."""
        return None

    def not_shared(self, space: S) -> str | None:  # noqa: ARG002
        """Return why several workers cannot train such a trial together; None if they can."""
        return None

    def not_judged(self, space: S) -> str | None:  # noqa: ARG002
        """Return why early stopping cannot compare such trials by epochs; None if it can."""
        return None

    def together(self, candidate: C) -> tuple[C, ...]:
        """Return the candidates that share their training, in order; by default it alone.

        What one of them has trained the others go on from, so that a search runs all.
        """
        return (candidate,)

    def sharing(self, space: S) -> int:  # noqa: ARG002
        """Return how many candidates share their training, see `together`."""
        return 1

    def initial_points(self, space: S, wanted: str) -> Iterator[dict[str, Any]]:  # noqa: ARG002
        """Yield candidates as a person would write them: of "dense" baselines, or "papers"."""
        yield from ()

    def written(self, space: S) -> dict[str, Any]:
        """Return the candidate that a space with one value a key holds, as a person writes it.

        Raises:
            UsageError: for a key with several values.
        """
        return {key: single(key, domain) for key, domain in space.written_domains.items()}

    def axis(self, space: S, candidate: C) -> Axis[C] | None:  # noqa: ARG002
        """Return the number along which costs are interpolated; None where there is none."""
        return None

    def same_network(self, candidate: C) -> C:
        """Return the candidate with all that changes no network as usual: recipes, updaters."""
        return candidate

    def forecast(self, candidate: C, context: ForecastContext) -> Forecast:  # noqa: ARG002
        """Tell what the network will cost; nothing where only training decides on it.

        Raises:
            UsageError, CostModelError, SearchSpaceError: if it cannot be built or counted.
        """
        return Forecast()

    def reach(self, space: S, dataset: Dataset) -> Reach:  # noqa: ARG002
        """Tell between what all candidates' counts are certain to lie; by default nothing is."""
        return Reach()

    def costs_are_known(self, space: S) -> bool:  # noqa: ARG002
        """Tell whether forecasts have all candidates' MACs, parameters and estimated latencies."""
        return False

    def fixed_network(self, config: S | C) -> bool:  # noqa: ARG002
        """Tell whether candidates (all of a space, or this one) start with their last network."""
        return False

    def untrained(self, candidate: C, dataset: Dataset, seed: int) -> Untrained:  # noqa: ARG002
        """Return the network that training starts with, of a candidate with a `fixed_network`."""
        raise UsageError(f"trials.{self.name}: {candidate} is not scored before it trains")

    def largest(self, candidate: C, dataset: Dataset, seed: int) -> Untrained:
        """Return the largest network that the candidate's training may hold, with its recipe.

        Raises:
            UsageError: if the kind does not say; by default of what has no `fixed_network`.
        """
        return self.untrained(candidate, dataset, seed)

    def epochs(self, candidate: C) -> int | None:
        """Return of how many epochs a trial tells; None where that is not known before."""
        epochs = candidate.to_json().get("epochs")
        return epochs if type(epochs) is int else None

    def usual(self) -> Mapping[str, Any]:
        """Return what a candidate's line leaves out where it is as usual, as a study writes it."""
        return codec.usual(self.candidate)

    def describe(self, config: Mapping[str, Any]) -> str:  # noqa: ARG002
        """Return a candidate of the ledger in a few words; unknown values must not raise."""
        return self.title
