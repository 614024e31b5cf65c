"""Computing of a study's trials: device, precision, layout and compiler, as they are wished for.

What "auto" stands for is found out where a trial runs, which may be another machine.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import torch

from growsearch.training.devices import AUTO, computed_precision, training_device
from growsearch.training.loop import TrainingOptions
from growsearch.training.recipes.recipe import Precision

Auto = Literal["auto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Computing:
    """How trials compute.

    ``device`` is a name for `training_device`. ``precision`` "auto" is bfloat16 where the hardware
    computes it; None is that on accelerators, and the recipe's own on a CPU. ``channels_last``
    "auto" is channels innermost on CUDA below float32, whose units want them so.

    Example:
        >>> from growsearch.training import TrainingOptions
        >>> from growsearch.training.computing import Computing
        >>> Computing(device="cpu", precision="float32").options(TrainingOptions()).precision
        'float32'
    """

    device: str = AUTO
    precision: Precision | Auto | None = None
    channels_last: bool | Auto = AUTO
    compile: bool = False

    def options(self, base: TrainingOptions, own: Precision | None = None) -> TrainingOptions:
        """Return ``base`` with what is wished for, as it is had here.

        ``own`` is a candidate's precision, which goes before that of all.

        Raises:
            UsageError: for a device that is not there.
        """
        device = training_device(self.device)
        precision = None if own is not None else self._precision(device)
        low = (own or precision or "float32") != "float32"
        wished = self.channels_last
        channels_last = wished if isinstance(wished, bool) else low and device.type == "cuda"
        return dataclasses.replace(
            base,
            device=str(device),
            precision=precision,
            channels_last=channels_last,
            compile=self.compile,
        )

    def _precision(self, device: torch.device) -> Precision | None:
        if self.precision is None and device.type == "cpu":
            return None
        if self.precision is None or self.precision == "auto":
            return computed_precision(device)
        return self.precision
