"""Commands that are a study of one trial: how options become its keys, and how it ends."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from growsearch.errors import GrowsearchError, UsageError

if TYPE_CHECKING:
    from growsearch.search.study.study import Study, StudyOptions

# Keys of a study as the options that write them.
_OPTIONS = {
    "dataset": "data",
    "data_dir": "data-dir",
    "text.epoch_tokens": "epoch-tokens",
    "training.threads": "threads",
    "training.device": "device",
    "training.precision": "precision",
    "search.seed": "seed",
}
_VERBS = {"growth": "grow"}
_BUDGETS = "parameters=36%, macs=20M, 'latency[cpu]=2 ms', latency[wafer-cs2]=40%"


def run_one_trial(
    kind: str, keys: Mapping[str, Any], data: Mapping[str, Any], out: Path, *, onnx: bool
) -> None:
    """Search a study of one trial of ``kind``, show how it goes, export it and write its report.

    With budgets it is one trunk, whose branches are a trial each.

    Args:
        kind: a name in KINDS whose trials have a budget.
        keys: the kind's; those that are None are left out.
        data: the values of the other options, by `study_settings`.
        out: the run's folder; one that is there resumes.
        onnx: write model.onnx, too.

    Raises:
        UsageError: naming the option that is wrong.
        GrowsearchError: if the trial fails.
    """
    from growsearch.commands.one_trial.front_lines import FrontProgress, front_summary
    from growsearch.commands.one_trial.lines import GrowProgress, summary
    from growsearch.commands.search import run_study
    from growsearch.commands.terminal import Terminal
    from growsearch.report import write_report
    from growsearch.search.study.study import StudyOptions

    given = {key: value for key, value in keys.items() if value is not None}
    run = _study(kind, {**data, "trials": {kind: given}}, out)
    console = Terminal()
    front = "budgets" in given
    progress = (FrontProgress if front else GrowProgress)(console, run)
    # A run of one network is that network's: another setting is another run.
    options = StudyOptions(
        report=progress.listener(), around=progress.around, retry_failed=True, editable=False
    )
    _run(kind, run, options, run_study)
    for trial in run.trials:
        if not trial.finished:
            raise GrowsearchError(f"{run.folder.path}: {trial.error}")
    place = run.folder.path / "export"
    exported = [
        run.export(trial.id, place / trial.id if front else place, onnx=onnx)
        for trial in run.trials
    ]
    write_report(run.folder.path)
    lines = front_summary(run, exported) if front else summary(run, run.trials[0], exported[0])
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def budget_of(text: str) -> dict[str, str]:
    """Return a bound that is written as NAME=VALUE.

    Raises:
        UsageError: if it is not.
    """
    name, sign, value = (part.strip() for part in text.partition("="))
    if not sign or not name or not value:
        raise UsageError(f"--budget: {text!r} is not NAME=VALUE; write for example {_BUDGETS}")
    return {name: value}


def one_or_several(budget: str | None, budgets: str | None) -> None:
    """Refuse both or none of --budget and --budgets.

    Raises:
        UsageError: with the remedy.
    """
    if (budget is None) == (budgets is None):
        raise UsageError(
            f"--budget: give one bound as --budget ({_BUDGETS}), or several as --budgets "
            "(macs=10%,20%,40%)"
        )


def budgets_of(text: str) -> dict[str, list[str]]:
    """Return bounds that are written as NAME=VALUE,VALUE.

    Raises:
        UsageError: if they are not.
    """
    name, sign, values = (part.strip() for part in text.partition("="))
    found = [value.strip() for value in values.split(",")]
    if not sign or not name or not all(found):
        raise UsageError(
            f"--budgets: {text!r} is not NAME=VALUE,VALUE; write for example macs=10%,20%,40%"
        )
    return {name: found}


def numbers_of(option: str, text: str | None) -> list[int] | None:
    """Return whole numbers that are written with commas.

    Raises:
        UsageError: if they are none.
    """
    if text is None:
        return None
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise UsageError(f"{option}: {text!r} are no whole numbers; write 12,8,6") from error


def text_of(data: str, space: str, epoch_tokens: int | None) -> dict[str, Any] | None:
    """Return how a text is read: in windows of the space's length, the state carried on."""
    from growsearch.datasets import TOKEN_DATASETS
    from search_spaces import SEARCH_SPACES

    if data not in TOKEN_DATASETS:
        if epoch_tokens is not None:
            raise UsageError(f"--epoch-tokens: {data} is no text; remove the option")
        return None
    shape = SEARCH_SPACES[space].input_shape if space in SEARCH_SPACES else ()
    if len(shape) == 3:
        raise UsageError(
            f"--space: {space} reads images, but {data} is a text; use a space such as "
            "lstm-ptb-small"
        )
    window = {"window": shape[0]} if len(shape) == 1 else {}
    return {**window, **({} if epoch_tokens is None else {"epoch_tokens": epoch_tokens})}


def threads_of(out: Path, threads: int | None) -> int:
    """Return the threads asked for, else those of the run that is there, else torch's choice."""
    import torch

    from growsearch.search.config.file import load_study

    if threads is not None:
        return threads
    before = out / "study.yaml"
    # Whoever writes there says what is wrong with a name that is too long.
    if os.path.exists(before):  # noqa: PTH110
        return load_study(before, run=True).threads
    return torch.get_num_threads()


def _study(kind: str, settings: Mapping[str, Any], folder: Path) -> Study:
    """Return the study of one trial; a mistake names the option that made it."""
    from growsearch.search.study.study import Study

    keys = settings["trials"][kind]
    space, data = keys["space"], settings["dataset"]
    verb = _VERBS.get(kind, kind)
    names = space + data + (keys.get("init") or "")
    own = {"code_dir": Path.cwd()} if ":" in names else {}
    given = {key: value for key, value in {**settings, **own}.items() if value is not None}
    try:
        return Study(
            {
                "name": re.sub(r"[^A-Za-z0-9._-]+", "-", f"{verb}-{space}-{data}")[:80],
                **given,
                "objectives": {
                    "perplexity" if "text" in given else "accuracy": (
                        "minimize" if "text" in given else "maximize"
                    ),
                    _objective(keys.get("budget") or keys["budgets"]): "minimize",
                },
            },
            folder,
        )
    except UsageError as error:
        raise UsageError(_as_options(kind, str(error))) from error


def _objective(budget: Mapping[str, object]) -> str:
    (name,) = budget
    return name if name.startswith("latency[") else {"parameters": "parameters"}.get(name, "macs")


def _as_options(kind: str, message: str) -> str:
    """Say "--learning-rate" for what a study calls trials.KIND.learning_rate."""
    message = message.removeprefix("study: ")
    for key, option in {**_OPTIONS, f"trials.{kind}.budget": "budget"}.items():
        message = re.sub(rf"^{re.escape(key)}\b", f"--{option}", message)
    return re.sub(
        rf"^(?:trials\.{kind}\.)?(\w+)\b(?= = |: )",
        lambda match: "--" + match[1].replace("_", "-"),
        message,
    )


def _run(kind: str, run: Study, options: StudyOptions, run_study: Any) -> None:
    try:
        run_study(run, options)
    except UsageError as error:
        raise UsageError(_as_options(kind, str(error))) from error
