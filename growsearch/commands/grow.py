"""Grow command: a study of one growth trial, with a line an epoch and an export at its end."""

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

EPILOG = examples(
    "growsearch grow --space resnet-digits --data digits --budget parameters=30% --epochs 20 "
    "--out runs/digits",
    "growsearch grow --space resnet20 --data cifar10 --data-dir data/cifar10 --budget "
    "macs=20M --recipe growth-cifar --epochs 160 --policy learned --out runs/resnet20",
    "growsearch grow --space lstm-ptb-small --data ptb --data-dir data/ptb --budget macs=35% "
    "--recipe lstm-ptb-small --epochs 20 --epoch-tokens 50000 --out runs/lstm",
    "growsearch grow --space resnet-digits --data digits --budget 'latency[wafer-cs2]=40%' "
    "--epochs 20 --out runs/wafer",
    "growsearch grow --space resnet-digits --data digits --budgets macs=10%,20%,40%,80% "
    "--epochs 16 --out runs/front",
)


def grow(
    space: Annotated[
        str,
        typer.Option(
            help="What to grow in; see: growsearch list spaces.",
            show_default=False,
            autocompletion=completion.spaces,
        ),
    ],
    data: DataOption,
    epochs: Annotated[
        int, typer.Option(min=2, help="Epochs of the whole run; with --budgets, of one alone.")
    ],
    out: OutOption,
    budget: Annotated[
        str | None,
        typer.Option(
            help="The bound on the network: parameters=36%, macs=20M, 'latency[cpu]=2 ms' or "
            "latency[wafer-cs2]=40%; see: growsearch list devices.",
            autocompletion=completion.budgets,
        ),
    ] = None,
    budgets: Annotated[
        str | None,
        typer.Option(
            help="Instead: several bounds, macs=10%,20%,40%; one trunk grows through them, with a "
            "finished network at each."
        ),
    ] = None,
    stage_epochs: Annotated[
        str | None,
        typer.Option(help="With --budgets: the trunk's epochs at each, 12,8,6 [by --epochs]."),
    ] = None,
    decline_epochs: Annotated[
        str | None,
        typer.Option(help="With --budgets: epochs of a branch's end, 4 or 4,4,3 [by --epochs]."),
    ] = None,
    data_dir: DataDirOption = None,
    subset: SubsetOption = None,
    epoch_tokens: EpochTokensOption = None,
    device_batch: DeviceBatchOption = None,
    seed: SeedOption = 0,
    recipe: RecipeOption = None,
    batch_size: BatchSizeOption = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Overrides the recipe [default: 0.1].")
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="How the rate falls: cosine, steps (after 50 and 75 %), late-steps (70 and 90 %), "
            "one-cycle, constant [default: the recipe's]."
        ),
    ] = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = None,
    optimizer: OptimizerOption = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="Who chooses the structure: planned, learned (the paper's indicators), or a "
            "baseline: random (drawn anew every epoch), random-order, uniform (fixed "
            "widths) [default: planned]."
        ),
    ] = None,
    seed_share: Annotated[
        float | None,
        typer.Option(
            help="planned starts with this share of the budget; 0: one channel a group "
            "[default: 0.4]."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="planned comes to the budget in so many changes [default: 5]."),
    ] = None,
    allocation: Annotated[
        str | None,
        typer.Option(
            help="What planned widens: uniform (all alike), or fisher (by gradients) "
            "[default: uniform]."
        ),
    ] = None,
    pace: Annotated[
        str | None,
        typer.Option(
            help="What the learning rate follows: compute (training MACs) or epochs "
            "[default: compute]."
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            help="Train until uniform widths' training MACs are spent: match; or one pass an "
            "epoch: epochs [default: match]."
        ),
    ] = None,
    norms: Annotated[
        str | None,
        typer.Option(
            help="Filters behind a BatchNorm after a change: reset, transfer or kept "
            "[default: reset]."
        ),
    ] = None,
    direct_design: Annotated[
        bool | None,
        typer.Option(
            help="Train what was grown once more, from fresh weights (a baseline) [default: no]."
        ),
    ] = None,
    layers: Annotated[
        bool | None,
        typer.Option(help="Grow layers, where the space has a choice of them [default: yes]."),
    ] = None,
    freeze_at: Annotated[
        float | None,
        typer.Option(help="The share of the epochs in which structure changes [default: 0.3]."),
    ] = None,
    birth: Annotated[
        str | None,
        typer.Option(
            help="Which new channels come first: by chance, or by gradient [default: chance]."
        ),
    ] = None,
    relaxation: Annotated[
        str | None,
        typer.Option(help="What stands for a 0/1 indicator: sigmoid or gumbel [default: sigmoid]."),
    ] = None,
    temperature: Annotated[
        str | None,
        typer.Option(
            help="Of every structure its own, or one global: structure or global "
            "[default: structure]."
        ),
    ] = None,
    temperature_decay: Annotated[
        bool | None,
        typer.Option(help="Let the temperature's rise follow the learning rate [default: no]."),
    ] = None,
    control_gain: Annotated[
        float | None,
        typer.Option(
            help="How hard the budget pulls on the indicators [default: 10 an epoch, 160 at least]."
        ),
    ] = None,
    width_multiple: WidthMultipleOption = 1,
    init: Annotated[
        str | None,
        typer.Option(
            help="Trained weights of the full network to begin with: a file (.safetensors, .pth), "
            "a function MODULE:FUNCTION, or own (those of a network of yours)."
        ),
    ] = None,
    threads: ThreadsOption = None,
    fresh: FreshOption = False,
    onnx: OnnxOption = False,
) -> None:
    """Grow one network up to a budget while it trains, or a front of them, and export it.

    It is a study of one growth trial, with --budgets of one a budget: its folder is a run like any
    other, for report, select, evaluate and compare. Killed or stopped, the same command goes on
    after the last finished epoch, and ends with the same networks, bit for bit.
    """
    from growsearch.commands.one_trial.study import (
        budget_of,
        budgets_of,
        numbers_of,
        one_or_several,
        run_one_trial,
        text_of,
        threads_of,
    )
    from growsearch.search.ledger.run_folder import fresh_folder

    one_or_several(budget, budgets)
    through = None if budgets is None else budgets_of(budgets)
    growth = {
        "space": space,
        "budget": None if budget is None else budget_of(budget),
        "budgets": through,
        "stage_epochs": numbers_of("--stage-epochs", stage_epochs),
        "decline_epochs": numbers_of("--decline-epochs", decline_epochs),
        "epochs": epochs,
        "recipe": recipe,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "schedule": schedule,
        "optimizer": optimizer,
        # What is learned by another arithmetic is another candidate.
        "precision": precision if precision in ("bfloat16", "float16") else None,
        "device_batch": device_batch,
        "policy": policy,
        "seed_share": seed_share,
        "steps": steps,
        "allocation": allocation,
        "pace": pace,
        "until": until,
        "norms": norms,
        "layers": layers,
        "freeze_at": freeze_at,
        "birth": birth,
        "width_multiple": width_multiple,
        "direct_design": direct_design,
        "relaxation": relaxation,
        "temperature": temperature,
        "temperature_decay": temperature_decay,
        "control_gain": control_gain,
        "init": init,
    }
    settings = {
        "dataset": data,
        "data_dir": data_dir,
        "subset": subset,
        "text": text_of(data, space, epoch_tokens),
        "training": {
            "threads": threads_of(out, threads),
            "device": device,
            "precision": None if growth["precision"] else precision,
        },
        "search": {
            "trials": 1 if through is None else sum(map(len, through.values())),
            "seed": seed,
            "sampler": "random",
            "backend": "serial",
        },
    }
    run_one_trial("growth", growth, settings, fresh_folder(out) if fresh else out, onnx=onnx)
