"""How is one network grown from a terminal? `growsearch grow`: progress, checkpoints, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from growsearch.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from growsearch.commands.grow_folder import GrowFolder
    from growsearch.commands.grow_run import GrowRun
    from growsearch.growth import GrowthConfig
    from growsearch.training import Recipe

EPILOG = (
    "Examples: growsearch grow --space resnet-digits --data digits --budget parameters=30% "
    "--epochs 20 --out runs/digits | growsearch grow --space resnet20 --data cifar10 "
    "--data-dir data/cifar10 --budget macs=20M --recipe growth-cifar --epochs 160 "
    "--out runs/resnet20 | growsearch grow --space resnet-digits --data digits "
    "--budget 'latency[wafer-cs2]=40%' --epochs 20 --out runs/wafer"
)
_INTERRUPTED = 130


def grow(
    space: Annotated[
        str, typer.Option(help="What to grow in; see: growsearch list spaces.", show_default=False)
    ],
    data: Annotated[str, typer.Option(help="What to train on; see: growsearch list datasets.")],
    budget: Annotated[
        str,
        typer.Option(
            help="The bound on the network: parameters=36%, macs=20M, 'latency[cpu]=2 ms' or "
            "latency[wafer-cs2]=40%; see: growsearch list devices."
        ),
    ],
    epochs: Annotated[int, typer.Option(min=2, help="Epochs of the whole run.")],
    out: Annotated[Path, typer.Option(help="The run's folder; one that is there resumes.")],
    data_dir: Annotated[Path | None, typer.Option(help="Where the data set's files are.")] = None,
    subset: Annotated[
        int | None, typer.Option(min=1, help="Train on so many examples only.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the result.")] = 0,
    recipe: Annotated[
        str | None, typer.Option(help="A paper's recipe, scaled to --epochs [default: cosine].")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Overrides the recipe [default: 64].")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Overrides the recipe [default: 0.1].")
    ] = None,
    precision: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    policy: Annotated[
        str, typer.Option(help="Who chooses the channels: learned, random or random-order.")
    ] = "learned",
    freeze_at: Annotated[
        float, typer.Option(help="The share of the epochs in which structure changes.")
    ] = 0.5,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads to train with [default: torch's choice].")
    ] = None,
) -> None:
    """Grow one network from nothing to a budget while it trains, and export it.

    Killed or stopped, the same command goes on after the last finished epoch, and ends with the
    same network, bit for bit.
    """
    import torch
    from rich.console import Console

    from growsearch.commands.budget_text import parse_budget
    from growsearch.commands.grow_folder import GrowFolder
    from growsearch.commands.grow_run import GrowRun

    folder = GrowFolder(out)
    with folder.locked():
        before = folder.read_settings() or {}
        run = GrowRun(
            space=space,
            data=data,
            data_dir=data_dir,
            subset=subset,
            budget=parse_budget(budget),
            config=_config(
                _recipe(recipe, epochs, batch_size, learning_rate, precision), policy, freeze_at
            ),
            seed=seed,
            threads=threads or before.get("threads") or torch.get_num_threads(),
        )
        _run(run, folder, Console(highlight=False))


def _recipe(
    name: str | None,
    epochs: int,
    batch_size: int | None,
    learning_rate: float | None,
    precision: str,
) -> Recipe:
    import dataclasses

    from growsearch.training import Recipe, published_recipe

    recipe = Recipe(epochs=epochs) if name is None else published_recipe(name, epochs=epochs)
    changes = {"batch_size": batch_size, "learning_rate": learning_rate, "precision": precision}
    given = {key: value for key, value in changes.items() if value is not None}
    return dataclasses.replace(recipe, **given)  # type: ignore[arg-type]


def _config(recipe: Recipe, policy: str, freeze_at: float) -> GrowthConfig:
    from growsearch.growth import POLICIES, GrowthConfig

    if policy not in POLICIES:
        # Before anything is loaded or written.
        raise UsageError(f"--policy: unknown {policy!r}; valid: {', '.join(sorted(POLICIES))}")
    return GrowthConfig(recipe=recipe, policy=policy, freeze_at=freeze_at)


def _run(run: GrowRun, folder: GrowFolder, console: Console) -> None:
    from growsearch.commands.grow_folder import History
    from growsearch.commands.grow_progress import GrowProgress

    progress = GrowProgress(
        console,
        History(folder.history),
        epochs=run.config.recipe.epochs,
        metric=run.budget.metric,
    )
    try:
        run.run(folder, console, progress)
    except KeyboardInterrupt:
        print(
            f"\nStopped. {progress.epochs_done} finished epochs are kept in {folder.path}; "
            "run the same command again to go on.",
            file=sys.stderr,
        )
        raise typer.Exit(_INTERRUPTED) from None
