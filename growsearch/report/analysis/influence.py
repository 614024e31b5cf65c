"""Influence of settings on objectives: permutation importance on a forest of regression trees.

A forest predicts a metric from the settings of trials that it has not seen (folds). A setting's
importance is how much less of the metric's variance it explains once that setting's values are
shuffled among the trials that have it (Breiman, Random Forests, 2001, section 10). It tells what
the forest uses, not what causes what: settings that go together share their importance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from growsearch.pareto.quantities import SHARE, quantity_of
from growsearch.report.analysis.setting_columns import SettingColumn, setting_columns
from growsearch.report.run_data import Run, once_a_run
from growsearch.trial.record import Trial

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Of fewer trials any ranking would be chance.
MIN_TRIALS = 12
# From here on more trials change no ranking that a page shows, but take its time.
_MOST_TRIALS = 300
_MOST_METRICS = 4
_TREES, _FOLDS, _SHUFFLES = 20, 3, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """What made a difference to one metric.

    ``explained`` is the share of the metric's variance that the forest explains of trials that it
    has not seen; at most 1, and 0 or less where the settings tell nothing. ``settings`` are
    (name, importance, deviation over shuffles) in shares of that variance, the largest first.
    """

    metric: str
    trials: int
    explained: float
    settings: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Influences:
    """Influences on a run's objectives, with the columns that they were found from.

    ``trials`` are those whose settings ``columns`` has, in the order they finished.
    """

    trials: tuple[Trial, ...]
    columns: tuple[SettingColumn, ...]
    metrics: tuple[Influence, ...]


@once_a_run
def influences(run: Run) -> Influences:
    """Return the influence of settings on each objective; without any of fewer than 12 trials.

    Baselines do not count, as nobody chose their settings. The same run gives the same numbers.
    """
    trials = _evenly([trial for trial in run.finished if trial.kind != "baseline"])
    columns = setting_columns(trials)
    metrics = [
        found
        for name in list(run.objectives)[:_MOST_METRICS]
        if (found := _influence(name, trials, columns)) is not None
    ]
    return Influences(trials=tuple(trials), columns=columns, metrics=tuple(metrics))


def _evenly(trials: Sequence[Trial]) -> list[Trial]:
    count = min(len(trials), _MOST_TRIALS)
    return [trials[place * len(trials) // count] for place in range(count)]


def _influence(
    metric: str, trials: Sequence[Trial], columns: Sequence[SettingColumn]
) -> Influence | None:
    import numpy as np

    rows = [place for place, trial in enumerate(trials) if metric in trial.metrics]
    if len(rows) < MIN_TRIALS or not columns:
        return None
    target = np.array([trials[place].metrics[metric] for place in rows], dtype=np.float64)
    if quantity_of(metric).name != SHARE.name and target.min() > 0:
        # Times and counts differ by factors.
        target = np.log(target)
    if not target.std() > 1e-12 * max(1.0, float(np.abs(target).max())):
        return None
    table = np.stack([_encoded(column, rows) for column in columns], axis=1)
    present = np.array([[column.values[place] is not None for column in columns] for place in rows])
    explained, losses = _held_out(table, present, target)
    ranked = sorted(
        zip((c.name for c in columns), losses.mean(axis=1), losses.std(axis=1), strict=True),
        key=lambda entry: (-entry[1], entry[0]),
    )
    return Influence(
        metric=metric,
        trials=len(rows),
        explained=explained,
        settings=tuple((name, float(mean), float(spread)) for name, mean, spread in ranked),
    )


def _encoded(column: SettingColumn, rows: Sequence[int]) -> Floats:
    """Return a column as numbers; where a trial has no such setting, the middle of the others.

    A value of its own for "none" would tell the kind of trial, and take its importance.
    """
    import numpy as np

    values = np.array(
        [np.nan if (v := column.values[place]) is None else v for place in rows], dtype=np.float64
    )
    known = np.sort(values[~np.isnan(values)])
    filled = np.where(np.isnan(values), known[len(known) // 2] if len(known) else 0.0, values)
    # Trees go by the order alone, and the numbers of a study may be too large for theirs.
    return np.unique(filled, return_inverse=True)[1].astype(np.float64)


def _held_out(table: Floats, present: NDArray[np.bool_], target: Floats) -> tuple[float, Floats]:
    """Return the explained share, and what of it is lost: (settings, shuffles)."""
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor

    count, settings = table.shape
    draw = np.random.default_rng(0)
    fold = draw.permutation(count) % _FOLDS
    errors = np.zeros(1 + settings * _SHUFFLES)
    for held in range(_FOLDS):
        inside = np.flatnonzero(fold == held)
        forest: Any = RandomForestRegressor(_TREES, random_state=0, max_features=0.7, n_jobs=1)
        forest.fit(table[fold != held], target[fold != held])
        tables = [table[inside]]
        for setting in range(settings):
            having = np.flatnonzero(present[inside, setting])
            for _ in range(_SHUFFLES):
                shuffled = table[inside].copy()
                shuffled[having, setting] = shuffled[draw.permutation(having), setting]
                tables.append(shuffled)
        # One call for all: each would take longer to begin than to predict.
        predicted = forest.predict(np.concatenate(tables)).reshape(len(tables), -1)
        errors += ((predicted - target[inside]) ** 2).sum(axis=1)
    shares = 1 - errors / ((target - target.mean()) ** 2).sum()
    return float(shares[0]), (shares[0] - shares[1:]).reshape(settings, _SHUFFLES)
