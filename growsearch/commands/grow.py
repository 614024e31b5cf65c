"""How is one network grown from a terminal? `growsearch grow`: progress, checkpoints, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from growsearch.commands.examples import examples
from growsearch.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from growsearch.commands.grow_folder import GrowFolder
    from growsearch.commands.grow_run import GrowRun
    from growsearch.growth import Budget
    from growsearch.training import Recipe

EPILOG = examples(
    "growsearch grow --space resnet-digits --data digits --budget parameters=30% --epochs 20 "
    "--out runs/digits",
    "growsearch grow --space resnet20 --data cifar10 --data-dir data/cifar10 --budget "
    "macs=20M --recipe growth-cifar --epochs 160 --out runs/resnet20",
    "growsearch grow --space lstm-ptb-small --data ptb --data-dir data/ptb --budget macs=35% "
    "--recipe lstm-ptb-small --epochs 20 --epoch-tokens 50000 --out runs/lstm",
    "growsearch grow --space resnet-digits --data digits --budget 'latency[wafer-cs2]=40%' "
    "--epochs 20 --out runs/wafer",
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
        int | None, typer.Option(min=1, help="Train on so many examples (tokens of a text) only.")
    ] = None,
    epoch_tokens: Annotated[
        int | None, typer.Option(min=2, help="Of a text: an epoch is a stretch of so many tokens.")
    ] = None,
    device_batch: Annotated[
        int | None,
        typer.Option(min=1, help="Examples at once where a latency is bounded [default: 1]."),
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
    optimizer: Annotated[
        str | None, typer.Option(help="sgd or adamw; overrides the recipe [default: sgd].")
    ] = None,
    policy: Annotated[
        str,
        typer.Option(
            help="Who chooses the structure: learned, or a baseline: random (drawn anew every "
            "epoch), random-order, uniform (fixed widths)."
        ),
    ] = "learned",
    direct_design: Annotated[
        bool, typer.Option(help="Train what was grown once more, from fresh weights (a baseline).")
    ] = False,
    layers: Annotated[
        bool, typer.Option(help="Grow layers, where the space has a choice of them.")
    ] = True,
    freeze_at: Annotated[
        float, typer.Option(help="The share of the epochs in which structure changes.")
    ] = 0.5,
    steering: Annotated[
        str, typer.Option(help="What drives the indicators: task, normalised or taylor.")
    ] = "task",
    steering_strength: Annotated[
        float, typer.Option(help="How hard normalised and taylor push, against the penalty.")
    ] = 0.3,
    birth: Annotated[
        str, typer.Option(help="Which new channels come first: by chance, or by gradient.")
    ] = "chance",
    relaxation: Annotated[
        str, typer.Option(help="What stands for a 0/1 indicator: sigmoid or gumbel.")
    ] = "sigmoid",
    temperature: Annotated[
        str, typer.Option(help="Of every structure its own, or one global: structure or global.")
    ] = "structure",
    temperature_decay: Annotated[
        bool, typer.Option(help="Let the temperature's rise follow the learning rate.")
    ] = False,
    control_gain: Annotated[
        float, typer.Option(help="How hard the budget pulls on the indicators.")
    ] = 160.0,
    width_multiple: Annotated[
        int,
        typer.Option(
            min=1, help="Keep widths at multiples of this: 8 saves time with AVX2, 16 with AVX-512."
        ),
    ] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads to train with [default: torch's choice].")
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write model.onnx, too, checked in ONNX Runtime.")
    ] = False,
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
    from growsearch.growth import GrowthConfig, IndicatorConfig

    indicators = IndicatorConfig(
        control_gain=control_gain,
        layer_gain=control_gain,
        steering=steering,
        steering_strength=steering_strength,
        relaxation=relaxation,
        temperature=temperature,
        temperature_decay=temperature_decay,
    )
    config = GrowthConfig(
        recipe=_recipe(recipe, epochs, batch_size, learning_rate, precision, optimizer),
        policy=_known_policy(policy),
        direct_design=direct_design,
        grow_layers=layers,
        freeze_at=freeze_at,
        birth=birth,
        width_multiple=width_multiple,
        indicators=indicators,
    )
    space, data = _pinned(space, data, data_dir)
    folder = GrowFolder(out)
    with folder.locked():
        before = folder.read_settings() or {}
        run = GrowRun(
            space=space,
            data=data,
            data_dir=data_dir,
            subset=subset,
            epoch_tokens=epoch_tokens,
            budget=_at_batch(parse_budget(budget), device_batch),
            config=config,
            seed=seed,
            threads=threads or before.get("threads") or torch.get_num_threads(),
            onnx=onnx,
        )
        _run(run, folder, Console(highlight=False))


def _pinned(space: str, data: str, data_dir: Path | None) -> tuple[str, str]:
    """Give own code and data the hash of what they are, so that a run goes on with the same."""
    if ":" in space + data:
        from search_spaces import SearchSpaceError
        from search_spaces.user_code import add_code_folder, is_own, pinned

        add_code_folder(Path.cwd())
        try:
            space = pinned(space) if is_own(space) else space
        except SearchSpaceError as error:
            raise UsageError(f"--space: {error}") from error
    if ":" in data or data == "arrays":
        from growsearch.datasets import load_dataset, pinned_dataset

        data = pinned_dataset(data, load_dataset(data, data_dir))
    return space, data


def _recipe(
    name: str | None,
    epochs: int,
    batch_size: int | None,
    learning_rate: float | None,
    precision: str,
    optimizer: str | None,
) -> Recipe:
    import dataclasses

    from growsearch.training import SGD, AdamW, Recipe, published_recipe

    rules = {"sgd": SGD, "adamw": AdamW}
    if optimizer is not None and optimizer not in rules:
        raise UsageError(f"--optimizer: unknown {optimizer!r}; valid: {', '.join(rules)}")

    recipe = Recipe(epochs=epochs) if name is None else published_recipe(name, epochs=epochs)
    changes = {
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "precision": precision,
        "optimizer": None if optimizer is None else rules[optimizer](),
    }
    given = {key: value for key, value in changes.items() if value is not None}
    return dataclasses.replace(recipe, **given)  # type: ignore[arg-type]


def _known_policy(policy: str) -> str:
    from growsearch.growth import POLICIES

    if policy not in POLICIES:
        # Before anything is loaded or written.
        raise UsageError(f"--policy: unknown {policy!r}; valid: {', '.join(sorted(POLICIES))}")
    return policy


def _at_batch(budget: Budget, batch_size: int | None) -> Budget:
    import dataclasses

    if batch_size is None:
        return budget
    if budget.metric != "latency":
        raise UsageError(
            f"--device-batch: a bound on {budget.metric} knows no batch; remove the option"
        )
    return dataclasses.replace(budget, batch_size=batch_size)


def _run(run: GrowRun, folder: GrowFolder, console: Console) -> None:
    from growsearch.commands.grow_folder import History
    from growsearch.commands.grow_progress import GrowProgress

    progress = GrowProgress(
        console,
        History(folder),
        epochs=run.config.total_epochs,
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
