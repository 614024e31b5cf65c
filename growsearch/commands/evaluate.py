"""Evaluate command: measures beyond accuracy of one trial's network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from growsearch.commands import completion
from growsearch.commands.examples import examples
from growsearch.commands.network_options import CodeOption, RunArgument
from growsearch.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table
    from torch import nn

    from growsearch.datasets import Dataset, Split
    from growsearch.kinds.learning import SplitName
    from growsearch.search.config.study import StudyConfig
    from growsearch.trial.record import Trial
    from search_spaces.code_origin import CodeOfRun

EPILOG = examples(
    "growsearch evaluate runs/digits 3f2a91c0de",
    "growsearch evaluate runs/digits 3f2a91c0de --metrics ece,nll,pgd_accuracy --json",
    "growsearch evaluate runs/cifar 3f2a91c0de --metrics ood_auroc --against cifar100",
)
ALL = "all"
_SPLITS: dict[str, SplitName] = {"test": "test", "validation": "validation"}


def evaluate(
    run: RunArgument,
    trial: Annotated[
        str,
        typer.Argument(
            help="The trial's id, or its unique beginning.",
            show_default=False,
            autocompletion=completion.trial_ids,
        ),
    ],
    metrics: Annotated[
        str,
        typer.Option(
            help="Names with commas between, or all that fit the data.",
            autocompletion=completion.metrics,
        ),
    ] = ALL,
    split: Annotated[
        str,
        typer.Option(
            help="test (the search never saw it) or validation.", autocompletion=completion.splits
        ),
    ] = "test",
    against: Annotated[
        str | None,
        typer.Option(
            help="Data set for OOD metrics [default: the study's, else noise].",
            autocompletion=completion.datasets,
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the data lies now [default: as in the study].")
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            help="Where the network runs: auto, cpu, cuda, cuda:1, mps, xpu.",
            autocompletion=completion.training_devices,
        ),
    ] = "auto",
    code: CodeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Take measures and each class's figures of a trial's network; keep them in its folder."""
    from growsearch.commands.terminal import say
    from growsearch.report import read_run
    from growsearch.report.choice.study_choice import network_of
    from search_spaces.code_origin import CodeOfRun

    if split not in _SPLITS:
        raise UsageError(f"--split: unknown {split!r}; valid: {', '.join(_SPLITS)}")
    found = network_of(read_run(run), trial)
    asked = Asked(
        metrics=metrics, split=_SPLITS[split], against=against, data_dir=data_dir, device=device
    )
    data = evaluation(run, found, asked, CodeOfRun(code))
    if as_json:
        typer.echo(json.dumps(data, indent=2))
        return
    _show(data)
    say(f"Written to {run / 'trials' / found.id / _file()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be measured: metrics by name, on which split, against what, with the data where.

    ``data_dir`` None is where the study says; the network runs on ``device``.
    """

    metrics: str
    split: SplitName
    against: str | None = None
    data_dir: Path | None = None
    device: str = "auto"


def evaluation(run: Path, trial: Trial, asked: Asked, names: CodeOfRun) -> dict[str, Any]:
    """Evaluate the network of ``trial``, write evaluation.json beside it and return its content.

    Values of an earlier evaluation under the same conditions are kept. ``names`` decides which own
    code the run may name.

    Raises:
        UsageError: for an unknown metric or data, files that are missing or of another network, or
            code that may not be imported.
    """
    import dataclasses

    from growsearch.export import load_network
    from growsearch.search.config.file import load_study
    from growsearch.training import task_of
    from growsearch.training.devices import training_device
    from growsearch.trial.trial_folder import trial_folder

    study, folder = load_study(run / "study.yaml", run=True), trial_folder(run, trial.id)
    where = asked.data_dir or study.data_dir
    _check_names(study, names)
    learning = dataclasses.replace(
        dataclasses.replace(study.data_choice, folder=where).load(),
        device=training_device(asked.device),
    )
    dataset = learning.dataset
    examples = dataset.split(asked.split)
    options = study.metrics
    if asked.against is not None:
        changed = options.ood_auroc.model_copy(update={"against": asked.against})
        options = options.model_copy(update={"ood_auroc": changed})
    if not dataset.task.is_own:
        quality = options.quality(_names(asked.metrics, examples))
        quality.check(dataset, where)
    model = load_network(folder, names)
    if dataset.task.is_own:
        values = _own_values(asked.metrics, learning.scores(model, asked.split).named())
    else:
        values = quality.take(model, learning, where, asked.split)
    with learning.judging(model):
        classes = classes_of(model, dataset, asked.split)
    content = {
        "data": dataset.name,
        "split": asked.split,
        "examples": len(examples),
        "conditions": options.model_dump(mode="json"),
        "metrics": values,
        **classes,
        **({"own": list(task_of(dataset).metrics)} if dataset.task.is_own else {}),
    }
    return _kept(folder, content)


def _check_names(study: StudyConfig, names: CodeOfRun) -> None:
    """Refuse own data and an own task of the run whose code may not be imported."""
    from search_spaces import SearchSpaceError

    for key, check, name in (
        ("dataset", names.check_data, study.dataset),
        ("task", names.check, study.task or ""),
    ):
        try:
            check(name)
        except SearchSpaceError as error:
            raise UsageError(f"{key}: {error}") from error


def _kept(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Write ``content``, with what was measured before under the same conditions; return both."""
    from growsearch.files import write_json
    from growsearch.report.evaluations import read_evaluation

    before = read_evaluation(folder) or {}
    same = ("data", "split", "examples", "conditions")
    if all(before.get(key) == content[key] for key in same):
        content = {**content, "metrics": {**before["metrics"], **content["metrics"]}}
    write_json(folder / _file(), content)
    return content


def _own_values(metrics: str, found: Mapping[str, float]) -> dict[str, float]:
    """Return what an own task is judged by, or those of ``metrics``."""
    wanted = list(found) if metrics == ALL else [name.strip() for name in metrics.split(",")]
    for name in wanted:
        if name not in found:
            raise UsageError(f"--metrics: unknown {name!r}; this task has: {', '.join(found)}")
    return {name: found[name] for name in wanted}


def classes_of(model: nn.Module, dataset: Dataset, split: SplitName) -> dict[str, Any]:
    """Return the figures of every class and the table of confusion, of up to `MAX_CLASSES`.

    Labels that are no classes of examples or pixels have none, nor has an own task.
    """
    import dataclasses

    from growsearch.metrics import class_confusion, per_class
    from growsearch.report.evaluations import MAX_CLASSES

    examples, classes = dataset.split(split), dataset.num_classes
    told = examples.label_kind in ("one an example", "one a pixel")
    if dataset.task.is_own or not told or classes > MAX_CLASSES:
        return {}
    table = class_confusion(model, examples, classes=classes)
    names = dataset.report.class_names or tuple(f"class {number}" for number in range(classes))
    return {
        "classes": [
            {"name": name, **dataclasses.asdict(figures)}
            for name, figures in zip(names, per_class(table), strict=True)
        ],
        "confusion": table.tolist(),
    }


def _names(metrics: str, split: Split) -> tuple[str, ...]:
    from growsearch.metrics import METRICS, fitting_metric

    if metrics == ALL:
        return tuple(name for name in METRICS if _fits(name, split))
    names = tuple(dict.fromkeys(name.strip() for name in metrics.split(",") if name.strip()))
    if not names:
        raise UsageError(f"--metrics: no name in {metrics!r}; valid: all, {', '.join(METRICS)}")
    for name in names:
        fitting_metric(name, split)
    return names


def _fits(name: str, split: Split) -> bool:
    from growsearch.metrics import fitting_metric

    try:
        fitting_metric(name, split)
    except UsageError:
        return False
    return True


def _file() -> str:
    from growsearch.report.evaluations import EVALUATION_FILE

    return EVALUATION_FILE


def _show(data: Mapping[str, Any]) -> None:
    from growsearch.commands.terminal import Terminal
    from growsearch.pareto import format_quantity
    from growsearch.report.describe import direction_of, title
    from growsearch.report.terminal_table import terminal_table

    table = terminal_table(
        [("name", "text"), ("measure", "folds"), ("value", "number"), ("better", "text")],
        f"{data['examples']:,} {data['split']} examples of {data['data']}",
    )
    for name, value in data["metrics"].items():
        better = "higher" if direction_of(name, {}) == "maximize" else "lower"
        table.add_row(name, title(name), format_quantity(value, name), better)
    terminal = Terminal(width=80)
    terminal.print(table)
    if data.get("classes"):
        terminal.print()
        terminal.print(_class_table(data))


def _class_table(data: Mapping[str, Any]) -> Table:
    """Return the classes' figures, and what each is mostly taken for where it is not told."""
    from growsearch.report.terminal_table import terminal_table

    table = terminal_table(
        [
            ("class", "folds"),
            ("count", "number"),
            ("precision", "number"),
            ("recall", "number"),
            ("mostly taken for", "folds"),
        ],
        "Classes",
    )
    names = [entry["name"] for entry in data["classes"]]
    for place, (entry, row) in enumerate(zip(data["classes"], data["confusion"], strict=True)):
        wrong = [0 if other == place else count for other, count in enumerate(row)]
        most = max(wrong)
        taken = f"{names[wrong.index(most)]} ({most:,})" if most else ""
        shares = [_share(entry[key]) for key in ("precision", "recall")]
        table.add_row(entry["name"], f"{entry['count']:,}", *shares, taken)
    return table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
