"""Wishes: what a person asks of a choice, bounds, a preference and how surely they must be met."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from growsearch.pareto.bounds import bounds_from_mapping, format_bound
from growsearch.pareto.point import Bound, Direction
from growsearch.pareto.preferences import Preference
from growsearch.pareto.ties import Ties


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The ``select`` of a study, or the flags of the command of that name.

    Attributes:
        bounds: what a network has to meet.
        prefer: by what one is chosen inside them, a name in `PREFERENCES`.
        weights: for "weights", a factor an objective; 1 where there is none.
        confidence: the least probability of meeting the bounds, in (0, 1); None takes values as
            they were found.
        ties: of "accuracy", what is taken of networks that the examples do not tell apart, a name
            in `TIES`.

    Example:
        >>> from growsearch.pareto import Wishes
        >>> Wishes.of({"max": {"macs": "200k"}, "prefer": "knee"}).say()
        'knee, macs <= 200 k'
    """

    bounds: tuple[Bound, ...] = ()
    prefer: Preference = "accuracy"
    weights: Mapping[str, float] = field(default_factory=dict)
    confidence: float | None = None
    ties: Ties = "auto"

    @classmethod
    def of(cls, select: Mapping[str, Any]) -> Wishes:
        """Read the ``select`` of a study that was checked before.

        Raises:
            UsageError: for a bound that is none.
        """
        return cls(
            bounds=bounds_from_mapping(select, "select"),
            prefer=select.get("prefer") or "accuracy",
            weights=dict(select.get("weights") or {}),
            confidence=select.get("confidence"),
            ties=select.get("ties") or "auto",
        )

    def of_examples(self, examples: int | None) -> Wishes:
        """Return what of the wishes can be had where accuracies are of so many examples.

        Where their number is not known (a run of an earlier version, damaged files) no tie can be
        told, and the highest accuracy is taken.

        Example:
            >>> from growsearch.pareto import Wishes
            >>> Wishes(ties="cheapest").of_examples(None).ties
            'highest'
        """
        if self.ties == "cheapest" and examples is None:
            return dataclasses.replace(self, ties="highest")
        return self

    def say(self) -> str:
        """Return the wishes in one line."""
        parts = [self.prefer, *map(format_bound, self.bounds)]
        if self.weights:
            parts.append(" ".join(f"{name} x {weight:g}" for name, weight in self.weights.items()))
        if self.confidence is not None:
            parts.append(f"{100 * self.confidence:g} % sure")
        if self.ties != "auto":
            parts.append(f"ties: {self.ties}")
        return ", ".join(parts)


NO_WISHES = Wishes()


def bounds_of(
    constraints: Sequence[Bound] | Mapping[str, float], directions: Mapping[str, Direction]
) -> tuple[Bound, ...]:
    """Return bounds; a mapping is short for lower ones on what is maximised, and upper on all else.

    Example:
        >>> from growsearch.pareto.wishes import bounds_of
        >>> [bound.sense for bound in bounds_of({"accuracy": 0.9}, {"accuracy": "maximize"})]
        ['min']
    """
    if not isinstance(constraints, Mapping):
        return tuple(constraints)
    return tuple(
        Bound(
            objective=name,
            sense="min" if directions.get(name) == "maximize" else "max",
            value=value,
        )
        for name, value in constraints.items()
    )
