"""Training section of a study: device, precision, layout, compiler and threads of its trials."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, StrictBool, field_validator

from growsearch.errors import UsageError
from growsearch.kinds import Strict
from growsearch.training.computing import Auto, Computing
from growsearch.training.devices import AUTO, check_device

_MAX_THREADS = 4096


class TrainingSettings(Strict):
    """How trials compute. What auto stands for is found out where a trial runs."""

    device: str = Field(
        default=AUTO,
        description="Where trials train: cpu, cuda, cuda:1, mps, xpu or another backend that torch "
        "knows; auto is the accelerator that Ray gave the trial, else the machine's, else the cpu.",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] | None = Field(
        default=None,
        description="Of convolutions and products in training: float32, bfloat16 or float16; auto "
        "is bfloat16 where the hardware computes it. A candidate's own precision goes before it. "
        "Default: auto on accelerators, on a CPU what the recipe says (float32).",
    )
    channels_last: Literal["auto", True, False] = Field(
        default=AUTO,
        description="Lay images out with channels innermost; auto does so on CUDA below float32.",
    )
    compile: Literal["off", "on"] = Field(
        default="off",
        description="Let torch.compile make the training passes, of what grows once its structure "
        "is final. It takes a minute at the start.",
    )
    threads: int | Auto = Field(
        default=AUTO,
        description="Processor threads that each trial trains with; auto is search.cpus_per_trial. "
        "Latencies are measured with one thread whatever this is.",
    )

    sync_batchnorm: StrictBool = Field(
        default=True,
        description="Where several workers train a trial: batch normalisation sees the examples of "
        "all of them, as on one device; false: each worker's own, and the first one's statistics "
        "are kept.",
    )

    @field_validator("device")
    @classmethod
    def _a_device(cls, value: str) -> str:
        try:
            check_device(value)
        except UsageError as error:
            raise ValueError(str(error).removeprefix("device: ")) from error
        return value

    @field_validator("threads", mode="before")
    @classmethod
    def _a_count(cls, value: Any) -> Any:
        if value != AUTO and (type(value) is not int or not 1 <= value <= _MAX_THREADS):
            raise ValueError(
                f"auto, or a whole number from 1 to {_MAX_THREADS:,}, in digits without quotes"
            )
        return value

    @field_validator("compile", mode="before")
    @classmethod
    def _on_or_off(cls, value: Any) -> Any:
        """Take what YAML reads "on" and "off" as, and Python's own words."""
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

    @property
    def computing(self) -> Computing:
        """The same as what a trial is sent."""
        return Computing(
            device=self.device,
            precision=self.precision,
            channels_last=self.channels_last,
            compile=self.compile == "on",
        )
