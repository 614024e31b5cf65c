"""Weights & Biases: one run a trial in a project named for the study."""

from __future__ import annotations

from pathlib import Path

from growsearch.errors import UsageError
from growsearch.files import folder_inside
from growsearch.search.trackers.tracker import Tracked


class WandbTracker:
    """Uses wandb as it is set up here: WANDB_MODE=offline keeps runs in RUN/wandb."""

    def __init__(self, run: Path, study: str) -> None:
        try:
            import wandb  # noqa: F401
        except ImportError as error:
            raise UsageError(
                "trackers: wandb is not installed: pip install 'growsearch[wandb]'"
            ) from error
        self._run, self._study = run, study

    def has(self, trial_id: str) -> bool:
        """Tell whether the run's folder has a log of the trial that was written to its end."""
        return self._marker(trial_id).exists()

    def log(self, tracked: Tracked) -> None:
        """Write a run."""
        import wandb

        trial = tracked.trial
        with wandb.init(
            project=self._study,
            id=trial.id,
            name=trial.id,
            group=trial.kind,
            dir=str(self._run),
            config=tracked.params(),
            tags=[trial.status],
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", disable_git=True),
        ) as run:
            for epoch, figures in tracked.epochs():
                run.log(figures, step=epoch)
            run.summary.update(tracked.metrics())
        self._marker(trial.id).parent.mkdir(parents=True, exist_ok=True)
        self._marker(trial.id).touch()

    def _marker(self, trial_id: str) -> Path:
        return folder_inside(self._run, "wandb", "written", trial_id)
