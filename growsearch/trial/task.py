"""What does every trial of a study share? Data, devices and the place for its files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from cost_models import MachineLock
from growsearch.trial.quality import Quality
from growsearch.trial.record import Latency

# (module, one example, device, this host's lock) -> what the device takes.
Measure = Callable[[nn.Module, tuple[Tensor, ...], str, MachineLock], Latency]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialTask:
    """The part of a study that a trial needs, small enough to be sent to a worker.

    ``folder`` is the run's folder; the trial writes into ``folder/trials/<id>``. ``profiles`` are
    the files to predict a device's latency from; a device without one is measured or estimated.
    ``time_limit_s`` is what one attempt at a trial may take; None is no limit. ``measure`` takes
    the place of `growsearch.trial.score.measured_latency` where latencies are measured elsewhere.
    ``code_dir`` is where a worker finds own code. ``source_dir`` is the folder of the data that
    tickets are pretrained on; None is ``data_dir``.
    ``quality`` are the measures beyond accuracy that a finished trial has.
    """

    dataset: str
    data_dir: Path | None
    devices: tuple[str, ...]
    folder: Path
    profiles: Mapping[str, Path] = field(default_factory=dict)
    time_limit_s: float | None = None
    measure: Measure | None = None
    code_dir: Path | None = None
    source_dir: Path | None = None
    quality: Quality = field(default_factory=Quality)


def machine_lock() -> MachineLock:
    """Return the lock that all of a user's trials on this host share, whatever their study."""
    folder = Path(tempfile.gettempdir()) / f"growsearch-measuring-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return MachineLock(folder)
