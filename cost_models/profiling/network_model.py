"""Contract of a model that predicts a network's time from the operators that it calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cost_models.counting.operator_call import Operator


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTime:
    """Seconds of a network, and how far they rest on sizes that were not timed.

    `outside` is the share of the time in such operators, `doubt` the relative error that they may
    add. `breakdown_s` splits the seconds by what they are spent on, as far as the model knows.
    `layers_s` are the seconds of the operators that do MACs, in order; None is not known.
    `realisable_macs` are those of the whole batch that are really computed; None is all of them.
    """

    seconds: float
    outside: float = 0.0
    doubt: float = 0.0
    breakdown_s: Mapping[str, float] = field(default_factory=dict)
    realisable_macs: float | None = None
    layers_s: tuple[float, ...] | None = None


class NetworkModel(Protocol):
    """Predicts networks; fitted on some of them, and perhaps on single operators."""

    @property
    def scales(self) -> Mapping[str, Sequence[float]]:
        """What a search found that the next fit need not search for again."""
        ...

    def predict(self, operators: Sequence[Operator]) -> NetworkTime:
        """Predict a network that calls these operators.

        Raises:
            UnsupportedLayerError: none of an operator's kind was timed.
        """
        ...
