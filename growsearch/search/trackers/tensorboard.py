"""TensorBoard: one folder a trial below RUN/tensorboard. Written by tensorboardX, as Ray does."""

from __future__ import annotations

from pathlib import Path

from growsearch.errors import UsageError
from growsearch.files import folder_inside
from growsearch.search.trackers.tracker import Tracked


class TensorBoardTracker:
    """Curves over epochs, and settings beside final figures in TensorBoard's HPARAMS."""

    def __init__(self, run: Path, study: str) -> None:  # noqa: ARG002
        try:
            import tensorboardX  # noqa: F401
        except ImportError as error:
            raise UsageError(
                "trackers: tensorboard needs tensorboardX: pip install 'growsearch[tensorboard]'"
            ) from error
        self._run = run

    def has(self, trial_id: str) -> bool:
        """Tell whether the trial has a folder that was written to its end."""
        return (self._place(trial_id) / "written").exists()

    def log(self, tracked: Tracked) -> None:
        """Write the trial's folder."""
        from tensorboardX import SummaryWriter
        from tensorboardX.summary import hparams

        place = self._place(tracked.trial.id)
        final = {f"final/{name}": value for name, value in tracked.metrics().items()}
        with SummaryWriter(str(place)) as writer:
            # add_hparams would open a second file, of the same name within the same second.
            for summary in hparams(tracked.params(), final):
                writer.file_writer.add_summary(summary)
            for name, value in final.items():
                writer.add_scalar(name, value, 0)
            for epoch, figures in tracked.epochs():
                for name, value in figures.items():
                    writer.add_scalar(name, value, epoch)
        (place / "written").touch()

    def _place(self, trial_id: str) -> Path:
        return folder_inside(self._run, "tensorboard", trial_id)
