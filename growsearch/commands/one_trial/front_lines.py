"""Lines of a front that one run grows: whose epochs these are, and the table at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from growsearch.commands.one_trial.lines import GrowProgress, quality_words
from growsearch.kinds import GrowthCandidate, candidate_from_json
from growsearch.pareto import format_quantity
from growsearch.report.describe import kind_title
from growsearch.report.live.time_left import clock

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from growsearch.export import ExportResult
    from growsearch.search.ledger.recorder import Recorder
    from growsearch.search.study.study import Study
    from growsearch.training import EpochRecord
    from growsearch.trial.record import Trial


class FrontProgress(GrowProgress):
    """Hears of every step and epoch of a trunk's branches, one after the other, and shows them."""

    _recorder: Recorder

    def around(self, recorder: Recorder) -> AbstractContextManager[None]:
        """Say what is read, and find out which branch it is when one begins."""
        self._recorder, self._branch = recorder, ""
        return super().around(recorder)

    def resumed(self, records: Sequence[EpochRecord]) -> None:
        """Say how much of the trunk, or of the branch as well, is there."""
        self._begin()
        self._console.print(f"{len(records)} of {self._epochs} epochs are finished.", markup=False)
        super()._show(records[-1])

    def _show(self, record: EpochRecord) -> None:
        self._begin()
        super()._show(record)

    def _begin(self) -> None:
        name = next(iter(self._recorder.running))
        if name == self._branch:
            return
        candidate = self._recorder.starts[name].candidate
        assert isinstance(candidate, GrowthCandidate)
        assert candidate.trunk is not None
        trunk, bound = candidate.trunk, candidate.budget
        index = trunk.index(bound.value)
        before, decline = sum(trunk.stage_epochs[: index + 1]), trunk.decline_epochs[index]
        self._branch, self._epochs, self._done = name, before + decline, 0
        words = bound_words(candidate)
        self._console.print(
            f"\nBranch {index + 1} of {len(trunk.budgets)}, {words}: {before} epochs of the trunk, "
            f"{decline} of its own",
            markup=False,
        )


def front_summary(run: Study, exported: Sequence[ExportResult]) -> list[str]:
    """Return the end of a front for people: a line a branch, and what all took together."""
    trials = sorted(run.trials, key=lambda trial: trial.metrics["macs"])
    folders = {each.folder.name: each.folder for each in exported}
    first = trials[0]
    seconds = sum(trial.duration_s for trial in trials)
    return [
        "",
        f"{kind_title(first.kind).capitalize()}: {first.config['space']} on {run.config.dataset}, "
        f"{len(trials)} networks of one trunk in {clock(seconds)}",
        "  budget          MACs   parameters  validation       test  exported as",
        *(_row(trial, folders[trial.id].name) for trial in trials),
        *_spent(trials),
        "Exported, read back and compared, each with its MODEL_CARD.md:",
        f"  {run.folder.path / 'export'}",
        "The run has a report, and select, evaluate and compare work on it:",
        f"  {run.folder.path / 'report.html'}",
    ]


def bound_words(candidate: GrowthCandidate) -> str:
    """Return such as "macs 20 %"."""
    metric, value = candidate.budget.metric, candidate.budget.value
    shown = f"{100 * value:g} %" if isinstance(value, float) else format_quantity(value, metric)
    return f"{metric} {shown}"


def _row(trial: Trial, folder: str) -> str:
    metrics, candidate = trial.metrics, candidate_from_json(trial.config)
    assert isinstance(candidate, GrowthCandidate)
    found, tested = quality_words(trial)
    return (
        f"  {bound_words(candidate):<12}  {format_quantity(metrics['macs'], 'macs'):>6}"
        f"  {format_quantity(metrics['parameters'], 'parameters'):>11}"
        f"  {found:>10}  {tested:>9}  {folder}"
    )


def _spent(trials: Sequence[Trial]) -> list[str]:
    """Say what the front took, and what as many networks would take that train alone."""
    whole = trials[0].metrics["front_training_macs"]
    alone = sum(map(_alone, trials))
    return [
        f"  training MACs  {format_quantity(whole, 'macs')} for all, the trunk once: "
        f"{whole / alone:.2f} of what as many",
        f"                 networks take that train {trials[0].config['epochs']} epochs each",
    ]


def _alone(trial: Trial) -> float:
    """Return the training MACs of the branch's network over the epochs of one budget alone."""
    metrics, config = trial.metrics, trial.config
    trunk = config["trunk"]
    index = trunk["budgets"].index(next(iter(config["budget"].values())))
    epochs = sum(trunk["stage_epochs"][: index + 1]) + trunk["decline_epochs"][index]
    an_epoch = metrics["dense_training_macs"] / epochs
    return float(an_epoch * metrics["macs"] / metrics["full_macs"] * config["epochs"])
