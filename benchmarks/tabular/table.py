"""What would training have told, if every network had been trained already? A table of results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import moocore
import numpy as np
import numpy.typing as npt

from growsearch.errors import UsageError

Array = npt.NDArray[np.float64]


class CategoricalSuggester(Protocol):
    """The part of ``optuna.Trial`` that a table asks."""

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        """Choose one of ``choices``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultTable:
    """All networks of a small space with what is known of each; a row a network.

    Rows stand in the order of their choices: the first decision's options change slowest.

    Attributes:
        options: each decision's options; its name is what a sampler sees.
        columns: a value a row, all minimised, such as "error" or "latency[DEVICE]".
        descriptors: numbers that describe each network, shape (rows, descriptors).
    """

    options: Mapping[str, tuple[str, ...]]
    columns: Mapping[str, Array]
    descriptors: Array

    def __post_init__(self) -> None:
        rows = math.prod(len(options) for options in self.options.values())
        for name, column in (*self.columns.items(), ("descriptors", self.descriptors)):
            if len(column) != rows:
                raise UsageError(
                    f"table: {name} has {len(column)} rows, its decisions make {rows} networks"
                )

    def __len__(self) -> int:
        return len(self.descriptors)

    def suggest(self, trial: CategoricalSuggester) -> int:
        """Ask a trial for every decision and return the row."""
        row = 0
        for name, options in self.options.items():
            chosen = trial.suggest_categorical(name, list(options))
            row = row * len(options) + options.index(chosen)
        return row

    def row(self, params: Mapping[str, Any]) -> int:
        """Return the row of a network.

        Raises:
            UsageError: if a decision is missing or is no option.
        """
        row = 0
        for name, options in self.options.items():
            if params.get(name) not in options:
                raise UsageError(
                    f"table: {name} = {params.get(name)!r}; valid: {', '.join(options)}"
                )
            row = row * len(options) + options.index(params[name])
        return row

    def params(self, row: int) -> dict[str, str]:
        """Return the decisions of a row."""
        found: dict[str, str] = {}
        for name, options in reversed(tuple(self.options.items())):
            row, place = divmod(row, len(options))
            found[name] = options[place]
        return dict(reversed(tuple(found.items())))

    def values(self, row: int, objectives: Sequence[str]) -> list[float]:
        """Return a row's values of some columns."""
        return [float(self.column(name)[row]) for name in objectives]

    def column(self, name: str) -> Array:
        """Return one column.

        Raises:
            UsageError: for an unknown name; the message lists the valid ones.
        """
        if name not in self.columns:
            raise UsageError(f"table: unknown column {name!r}; valid: {', '.join(self.columns)}")
        return self.columns[name]

    def hypervolume(self, objectives: Sequence[str], reference: Sequence[float]) -> float:
        """Return the hypervolume of the whole table: the most that a search can reach."""
        points = np.column_stack([self.column(name) for name in objectives])
        return float(moocore.hypervolume(points, ref=np.asarray(reference, dtype=np.float64)))
