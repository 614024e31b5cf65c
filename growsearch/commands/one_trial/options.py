"""Options of commands that are a study of one trial: what is trained on, how, and where it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from growsearch.commands import completion

DataOption = Annotated[
    str,
    typer.Option(
        help="What to train on; see: growsearch list datasets.", autocompletion=completion.datasets
    ),
]
OutOption = Annotated[Path, typer.Option(help="The run's folder; one that is there resumes.")]
DataDirOption = Annotated[Path | None, typer.Option(help="Where the data set's files are.")]
SubsetOption = Annotated[
    int | None, typer.Option(min=1, help="Train on so many examples (tokens of a text) only.")
]
EpochTokensOption = Annotated[
    int | None, typer.Option(min=2, help="Of a text: an epoch is a stretch of so many tokens.")
]
DeviceBatchOption = Annotated[
    int | None,
    typer.Option(min=1, help="Examples at once where a latency is bounded [default: 1]."),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Fixes the result.")]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        help="A paper's recipe, scaled to --epochs [default: cosine].",
        autocompletion=completion.recipes,
    ),
]
BatchSizeOption = Annotated[
    int | None, typer.Option(min=1, help="Overrides the recipe [default: 64].")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="Where to train: auto, cpu, cuda, cuda:1, mps, xpu.",
        autocompletion=completion.training_devices,
    ),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        help="float32, bfloat16, float16 or auto [default: float32 on a CPU, else auto].",
        autocompletion=completion.precisions,
    ),
]
OptimizerOption = Annotated[
    str | None,
    typer.Option(
        help="sgd, adamw, adam or lion; overrides the recipe [default: sgd].",
        autocompletion=completion.optimizers,
    ),
]
WidthMultipleOption = Annotated[
    int,
    typer.Option(
        min=1, help="Keep widths at multiples of this: 8 saves time with AVX2, 16 with AVX-512."
    ),
]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Threads to train with [default: torch's choice].")
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Start anew in a new folder.")]
OnnxOption = Annotated[
    bool, typer.Option("--onnx", help="Write model.onnx, too, checked in ONNX Runtime.")
]
