"""Completion of argument values in a shell: spaces, data sets, devices, run folders, objectives.

A shell waits for it at every key, so that nothing here imports torch: names of registries stand
here once more, and a contract test holds the two against each other. What is read of a run's folder
is a small part of it, and anything wrong with it completes nothing.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

SPACES = [
    "resnet-digits",
    "mlp-digits",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet18",
    "resnet34",
    "resnet18-imagenet",
    "resnet34-imagenet",
    "resnet50-imagenet",
    "resnet14-bottleneck",
    "wide-resnet50-imagenet",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "vgg11-imagenet",
    "vgg13-imagenet",
    "vgg16-imagenet",
    "vgg19-imagenet",
    "wide-resnet28-10",
    "mobilenetv1",
    "mobilenetv1-imagenet",
    "mobilenetv2",
    "mobilenetv2-imagenet",
    "mobilevit-s",
    "mobilevit-s-imagenet",
    "botnet50",
    "botnet50-imagenet",
    "deeplabv3-resnet50",
    "deeplabv3-resnet101",
    "deeplabv3-resnet14",
    "basic3resnet-digits",
    "basic3resnet",
    "plain3net",
    "bottleneck4resnet-imagenet",
    "plain4net-imagenet",
    "gpt3-small",
    "lstm-ptb",
    "gru-ptb-small",
    "lstm-ptb-small",
    "rnn-ptb-small",
]
DATASETS = [
    "digits",
    "cifar10",
    "cifar100",
    "fashion-mnist",
    "image-folder",
    "hf-disk",
    "mask-folder",
    "arrays",
    "ptb",
]
DEVICES = [
    "cpu",
    "cpu-sparse",
    "cpu-onnxruntime",
    "cpu-openvino",
    "cpu-openvino-bf16",
    "cuda",
    "cuda-fp16",
    "cuda-2:4",
    "wafer-cs2",
    "wafer-cs3",
]
RECIPES = [
    "sparse-ift-cifar",
    "sparse-ift-cifar-cosine",
    "sparse-ift-imagenet",
    "random-pruning-cifar",
    "random-pruning-imagenet-dense",
    "random-pruning-imagenet-sparse",
    "growth-cifar",
    "growth-cifar-wide",
    "gpt3-small",
    "lstm-ptb-small",
    "lstm-ptb-medium",
    "lstm-ptb-large",
]
METRICS = [
    "accuracy",
    "nll",
    "ece",
    "adaptive_ece",
    "brier",
    "fgsm_accuracy",
    "pgd_accuracy",
    "certified_accuracy",
    "ood_auroc",
    "ood_auroc_energy",
    "perplexity",
    "mse",
    "mae",
    "r2",
    "mAP",
    "mean_iou",
]
FORMATS = ["html", "md", "csv", "json", "png", "svg", "pdf", "tex", "parquet", "optuna", "all"]
PREFERENCES = ["accuracy", "knee", "hypervolume", "weights"]
LISTS = [
    "spaces",
    "devices",
    "transforms",
    "distributions",
    "updaters",
    "tickets",
    "datasets",
    "augmentations",
    "samplers",
]
TRAINING_DEVICES = ["auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps", "xpu"]
BACKENDS = ["ray", "serial"]
OPTIMIZERS = ["sgd", "adamw", "adam", "lion"]

_STUDY, _LEDGER = "study.yaml", "trials.jsonl"
# A folder of many runs, and the end of a ledger: enough for a shell, and read at once.
_MAX_ENTRIES, _MAX_BYTES = 2000, 2**18
# A ledger may be anybody's, and a shell runs what is put into its line: nothing else is offered.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_MEASURE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*(\[[A-Za-z0-9_.:-]+\])?")
Complete = Callable[[typer.Context, str], list[str]]


def one_of(names: Iterable[str]) -> Complete:
    """Return a completion from fixed names."""
    known = tuple(names)

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:  # noqa: ARG001
        return [name for name in known if name.startswith(incomplete)]

    return complete


spaces = one_of(SPACES)
datasets = one_of(DATASETS)
devices = one_of(DEVICES)
recipes = one_of(RECIPES)
formats = one_of(FORMATS)
preferences = one_of(PREFERENCES)
lists = one_of(LISTS)
training_devices = one_of(TRAINING_DEVICES)
backends = one_of(BACKENDS)
optimizers = one_of(OPTIMIZERS)
precisions = one_of(("float32", "bfloat16", "float16", "auto"))
splits = one_of(("test", "validation"))


def metrics(ctx: typer.Context, incomplete: str) -> list[str]:  # noqa: ARG001
    """Complete a list of measures with commas between."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in METRICS if name.startswith(last)]


def run_folders(ctx: typer.Context, incomplete: str) -> list[str]:  # noqa: ARG001
    """Complete the folder of a run, and of folders that hold runs."""
    return sorted(_runs_below(incomplete))


def study_files(ctx: typer.Context, incomplete: str) -> list[str]:  # noqa: ARG001
    """Complete a study: YAML files, and folders that may hold some."""
    parent, typed = _split(incomplete)
    found = []
    for entry in _entries(parent or "."):
        if entry.name.startswith(typed) and not entry.name.startswith("."):
            if entry.is_dir():
                found.append(f"{parent}{entry.name}/")
            elif entry.name.endswith((".yaml", ".yml")):
                found.append(f"{parent}{entry.name}")
    return sorted(found)


def trial_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the id of a trial of the run that stands before it."""
    lines = _last_lines(ctx)
    return sorted(
        {
            name
            for line in lines
            if isinstance(name := line.get("id"), str)
            and _ID.fullmatch(name)
            and name.startswith(incomplete)
        }
    )


def bounded_measures(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a measure before the = of a bound or a weight, by the run's trials."""
    names = dict.fromkeys(
        name
        for line in _last_lines(ctx)
        if isinstance(line.get("metrics"), dict)
        for name in line["metrics"]
        if _MEASURE.fullmatch(name)
    )
    return [f"{name}=" for name in names if f"{name}=".startswith(incomplete)]


def budgets(ctx: typer.Context, incomplete: str) -> list[str]:  # noqa: ARG001
    """Complete the measure of a budget."""
    known = ["parameters=", "macs=", *(f"latency[{device}]=" for device in DEVICES)]
    return [name for name in known if name.startswith(incomplete)]


def _split(incomplete: str) -> tuple[str, str]:
    parent, slash, typed = incomplete.rpartition("/")
    return f"{parent}{slash}", typed


def _runs_below(incomplete: str) -> list[str]:
    """Return the runs that begin so, and else the folders that may hold one."""
    parent, typed = _split(incomplete)
    runs: list[str] = []
    folders: list[str] = []
    for entry in _entries(parent or "."):
        if not entry.name.startswith(typed) or entry.name.startswith(".") or not entry.is_dir():
            continue
        is_run = os.path.lexists(Path(entry.path) / _STUDY)
        (runs if is_run else folders).append(f"{parent}{entry.name}")
    holding = [name for name in folders if any(_is_run(each) for each in _entries(name))]
    return runs + [f"{name}/" for name in holding]


def _is_run(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() and os.path.lexists(Path(entry.path) / _STUDY)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            for place, entry in enumerate(entries):
                if place >= _MAX_ENTRIES:
                    return
                yield entry
    except OSError:
        return


def _run_in_line() -> str | None:
    """Return the first run that the shell's line names."""
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    words = (word.strip("'\"") for word in line.split())
    return next((word for word in words if os.path.lexists(Path(word) / _STUDY)), None)


def _last_lines(ctx: typer.Context) -> list[dict[str, Any]]:
    """Return the last whole lines of the ledger of the run that is named before."""
    # Behind an option without its value nothing of the line has been parsed.
    run = ctx.params.get("run") or _run_in_line()
    if run is None:
        return []
    try:
        # A pipe would keep the shell waiting.
        place = os.open(Path(str(run)) / _LEDGER, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(place, "rb") as file:  # noqa: PTH123
            if not stat.S_ISREG(os.fstat(place).st_mode):
                return []
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MAX_BYTES))
            content = file.read(_MAX_BYTES)
    except (OSError, ValueError):
        return []
    found = []
    for line in content.split(b"\n"):
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict):
            found.append(data)
    return found
