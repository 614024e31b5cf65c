"""Trial task: what every trial of a study shares, data, devices and the place for its files."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from cost_models import MachineLock
from growsearch.errors import MachineError
from growsearch.kinds import DataChoice, TrialKinds
from growsearch.training.computing import Computing
from growsearch.trial.quality import Quality
from growsearch.trial.record import Latency
from search_spaces.typed_code import TypedCode
from search_spaces.user_code import add_code_folder, lend

# (module, one example, device, this host's lock) -> what the device takes.
Measure = Callable[[nn.Module, tuple[Tensor, ...], str, MachineLock], Latency]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialTask:
    """The part of a study that a trial needs, small enough to be sent to a worker.

    ``folder`` is the run's folder; the trial writes into ``folder/trials/<id>``. ``profiles`` are
    the files to predict a device's latency from; a device without one is measured or estimated.
    ``time_limit_s`` is what one attempt at a trial may take; None is no limit. ``measure`` takes
    the place of `growsearch.trial.score.measured_latency` where latencies are measured elsewhere.
    ``code_dir`` is where a worker finds own code. ``kinds`` is what the study says of each kind of
    trial; ``threads`` are a trial's to train with.
    ``computing`` says on what device and in which precision.
    ``quality`` are the measures beyond accuracy that a finished trial has; ``callbacks`` the names
    of own hooks that take part in its training. ``typed`` is own code that was typed into the
    session which the study runs in: it goes to the study's workers with the task, and nowhere else.
    """

    data: DataChoice
    devices: tuple[str, ...]
    folder: Path
    profiles: Mapping[str, Path] = field(default_factory=dict)
    time_limit_s: float | None = None
    measure: Measure | None = None
    code_dir: Path | None = None
    kinds: TrialKinds | None = None
    threads: int = 1
    computing: Computing = field(default_factory=Computing)
    quality: Quality = field(default_factory=Quality)
    callbacks: tuple[str, ...] = ()
    typed: tuple[TypedCode, ...] = ()

    def bring_code(self) -> None:
        """Let this process find the study's own code."""
        if self.code_dir is not None:
            add_code_folder(self.code_dir)
        lend(self.typed)


def machine_lock() -> MachineLock:
    """Return the lock that all of a user's trials on this host share, whatever their study.

    Raises:
        MachineError: if there is no folder for temporary files, or another user's is in its place.
    """
    try:
        folder = Path(tempfile.gettempdir()) / f"growsearch-measuring-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise MachineError(
                f"{folder} is a link, a file or another user's: trials wait for each other there; "
                "remove it, or set TMPDIR to a folder of your own"
            )
        return MachineLock(folder)
    except OSError as error:
        raise MachineError(
            f"no lock for measurements can be kept in the folder for temporary files "
            f"({error.strerror or error}); make room there, or set TMPDIR to a folder that can be "
            "written to"
        ) from error
