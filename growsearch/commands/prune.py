"""Prune command: a study of one pruning trial, with a line an epoch and an export at its end."""

from __future__ import annotations

from typing import Annotated

import typer

from growsearch.commands import completion
from growsearch.commands.examples import examples
from growsearch.commands.one_trial.options import (
    BatchSizeOption,
    DataDirOption,
    DataOption,
    DeviceBatchOption,
    DeviceOption,
    EpochTokensOption,
    FreshOption,
    OnnxOption,
    OptimizerOption,
    OutOption,
    PrecisionOption,
    RecipeOption,
    SeedOption,
    SubsetOption,
    ThreadsOption,
    WidthMultipleOption,
)
from growsearch.errors import UsageError

EPILOG = examples(
    "growsearch prune --space resnet20 --init resnet20.pth --data cifar10 --data-dir data/cifar10 "
    "--budget macs=50% --epochs 20 --out runs/half",
    "growsearch prune --space my_module:Net --init net.safetensors --data my_module:data "
    "--budget 'latency[cpu]=60%' --width-multiple 8 --epochs 10 --out runs/fast",
    "growsearch prune --space my_module:pretrained --init own --data my_module:data "
    "--budget parameters=2M --shares 'layer4*=50%' --epochs 10 --out runs/small",
)


def prune(
    space: Annotated[
        str,
        typer.Option(
            help="Space of the network, or your own as MODULE:ATTRIBUTE.",
            autocompletion=completion.spaces,
        ),
    ],
    init: Annotated[
        str,
        typer.Option(
            help="Its trained weights: a file (.safetensors, .pth), a function MODULE:FUNCTION, or "
            "own (those that a network of yours comes with)."
        ),
    ],
    data: DataOption,
    budget: Annotated[
        str,
        typer.Option(
            help="The bound on the network: parameters=36%, macs=20M, 'latency[cpu]=2 ms' or "
            "'latency[cpu]=60%'; see: growsearch list devices.",
            autocompletion=completion.budgets,
        ),
    ],
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the whole run.")],
    out: OutOption,
    data_dir: DataDirOption = None,
    subset: SubsetOption = None,
    epoch_tokens: EpochTokensOption = None,
    device_batch: DeviceBatchOption = None,
    seed: SeedOption = 0,
    recipe: RecipeOption = None,
    batch_size: BatchSizeOption = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of fine-tuning [default: a tenth of the recipe's].")
    ] = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = None,
    optimizer: OptimizerOption = None,
    importance: Annotated[
        str,
        typer.Option(
            help="What says how much a channel matters: taylor, fisher, group-l2, batchnorm, gates "
            "(learned), or random (a baseline)."
        ),
    ] = "taylor",
    allocation: Annotated[
        str, typer.Option(help="How the budget is spread: knapsack, or uniform (one share).")
    ] = "knapsack",
    shares: Annotated[
        list[str] | None,
        typer.Option(help="Share that groups keep, as PATTERN=SHARE; may be given several times."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="How many times channels go; 1 is once.")] = 5,
    over: Annotated[
        float, typer.Option(help="The share of the epochs over which several steps are spread.")
    ] = 0.3,
    width_multiple: WidthMultipleOption = 1,
    least_share: Annotated[
        float, typer.Option(help="No group goes below this share of its channels.")
    ] = 0.1,
    layers: Annotated[
        bool, typer.Option(help="Let layers go, too, where the space has a choice of them.")
    ] = True,
    distillation: Annotated[
        float, typer.Option(help="Weight of the original network as a teacher; 0 is none.")
    ] = 0.5,
    features: Annotated[
        float, typer.Option(help="Weight of the distance to the teacher's maps of attention.")
    ] = 0.0,
    threads: ThreadsOption = None,
    fresh: FreshOption = False,
    onnx: OnnxOption = False,
) -> None:
    """Prune a trained network to a budget while it trains on, and export it.

    It is a study of one pruning trial: its folder is a run like any other, for report, select,
    evaluate and compare. Killed or stopped, the same command goes on after the last finished epoch,
    and ends with the same network, bit for bit.
    """
    from growsearch.commands.one_trial.study import budget_of, run_one_trial, text_of, threads_of
    from growsearch.search.ledger.run_folder import fresh_folder

    keys = {
        "space": space,
        "init": init,
        "budget": budget_of(budget),
        "epochs": epochs,
        "recipe": recipe,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "optimizer": optimizer,
        # What is learned by another arithmetic is another candidate.
        "precision": precision if precision in ("bfloat16", "float16") else None,
        "device_batch": device_batch,
        "importance": importance,
        "allocation": allocation,
        "shares": _shares(shares or []),
        "steps": steps,
        "over": over,
        "width_multiple": width_multiple,
        "least_share": least_share,
        "layers": layers,
        "distillation": distillation,
        "features": features,
    }
    settings = {
        "dataset": data,
        "data_dir": data_dir,
        "subset": subset,
        "text": text_of(data, space, epoch_tokens),
        "training": {
            "threads": threads_of(out, threads),
            "device": device,
            "precision": None if keys["precision"] else precision,
        },
        "search": {"trials": 1, "seed": seed, "sampler": "random", "backend": "serial"},
    }
    run_one_trial("prune", keys, settings, fresh_folder(out) if fresh else out, onnx=onnx)


def _shares(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        pattern, sign, share = (part.strip() for part in text.partition("="))
        if not sign or not pattern or not share:
            raise UsageError(f"--shares: {text!r} is not PATTERN=SHARE; write 'layer4*=50%'")
        found[pattern] = share
    return found
