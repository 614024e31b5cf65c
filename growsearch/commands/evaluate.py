"""Evaluate command: measures beyond accuracy of one trial's network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from growsearch.commands.examples import examples
from growsearch.errors import UsageError

if TYPE_CHECKING:
    from growsearch.datasets import Split
    from growsearch.kinds.learning import SplitName
    from growsearch.trial.record import Trial

EPILOG = examples(
    "growsearch evaluate runs/digits 3f2a91c0de",
    "growsearch evaluate runs/digits 3f2a91c0de --metrics ece,nll,pgd_accuracy --json",
    "growsearch evaluate runs/cifar 3f2a91c0de --metrics ood_auroc --against cifar100",
)
ALL = "all"
_SPLITS: dict[str, SplitName] = {"test": "test", "validation": "validation"}


def evaluate(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    trial: Annotated[str, typer.Argument(help="The trial's id.", show_default=False)],
    metrics: Annotated[
        str, typer.Option(help="Names with commas between, or all that fit the data.")
    ] = ALL,
    split: Annotated[str, typer.Option(help="test (the search never saw it) or validation.")] = (
        "test"
    ),
    against: Annotated[
        str | None,
        typer.Option(help="Data set for OOD metrics [default: the study's, else noise]."),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the data lies now [default: as in the study].")
    ] = None,
    code: Annotated[
        Path | None, typer.Option(help="Where own modules of the run are found; they are imported.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Take measures beyond accuracy of a trial's network, and keep them in its folder."""
    from growsearch.commands.terminal import say
    from growsearch.report import read_run
    from search_spaces.user_code import add_code_folder

    if code is not None:
        add_code_folder(code)
    if split not in _SPLITS:
        raise UsageError(f"--split: unknown {split!r}; valid: {', '.join(_SPLITS)}")
    found = _trial(read_run(run).trials, trial)
    data = evaluation(
        run, found, metrics=metrics, split=_SPLITS[split], against=against, data_dir=data_dir
    )
    if as_json:
        typer.echo(json.dumps(data, indent=2))
        return
    _show(data)
    say(f"Written to {run / 'trials' / found.id / _file()}")


def evaluation(
    run: Path,
    trial: Trial,
    *,
    metrics: str,
    split: SplitName,
    against: str | None,
    data_dir: Path | None,
) -> dict[str, Any]:
    """Evaluate the network of ``trial``, write evaluation.json beside it and return its content.

    Values of an earlier evaluation under the same conditions are kept.

    Raises:
        UsageError: for an unknown metric or data, or files that are missing or of another network.
    """
    import dataclasses

    from growsearch.export import load_network
    from growsearch.files import write_json
    from growsearch.report.evaluations import read_evaluation
    from growsearch.search.config.file import load_study

    study, folder = load_study(run / "study.yaml", run=True), run / "trials" / trial.id
    where = data_dir or study.data_dir
    learning = dataclasses.replace(study.data_choice, folder=where).load()
    dataset = learning.dataset
    examples = dataset.split(split)
    options = study.metrics
    if against is not None:
        changed = options.ood_auroc.model_copy(update={"against": against})
        options = options.model_copy(update={"ood_auroc": changed})
    quality = options.quality(_names(metrics, examples))
    quality.check(dataset, where)
    model = load_network(folder)
    values = quality.take(model, learning, where, split)
    content = {
        "data": dataset.name,
        "split": split,
        "examples": len(examples),
        "conditions": options.model_dump(mode="json"),
        "metrics": values,
    }
    before = read_evaluation(folder) or {}
    same = ("data", "split", "examples", "conditions")
    if all(before.get(key) == content[key] for key in same):
        content["metrics"] = {**before["metrics"], **values}
    write_json(folder / _file(), content)
    return content


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


def _trial(trials: Sequence[Trial], name: str) -> Trial:
    finished = [trial for trial in trials if trial.finished]
    for trial in finished:
        if trial.id == name:
            return trial
    known = next((trial for trial in trials if trial.id == name), None)
    if known is not None:
        raise UsageError(f"trial {name} was {known.status} and has no network; take a finished one")
    some = ", ".join(trial.id for trial in finished[:8]) + (", ..." if len(finished) > 8 else "")
    raise UsageError(f"trial {name!r} is not in this run; finished ones: {some or 'none'}")


def _file() -> str:
    from growsearch.report.evaluations import EVALUATION_FILE

    return EVALUATION_FILE


def _show(data: Mapping[str, Any]) -> None:
    from rich.table import Table

    from growsearch.commands.terminal import Terminal
    from growsearch.pareto import MEASURES, format_quantity

    table = Table(title=f"{data['examples']:,} {data['split']} examples of {data['data']}")
    table.add_column("name")
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("better")
    for name, value in data["metrics"].items():
        better = "higher" if MEASURES[name].direction == "maximize" else "lower"
        table.add_row(name, MEASURES[name].title, format_quantity(value, name), better)
    Terminal(width=80).print(table)
