"""Init command: five questions, and a commented study that has been tried."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from growsearch.commands import completion
from growsearch.commands.examples import examples
from growsearch.errors import UsageError

if TYPE_CHECKING:
    from growsearch.search.study.first_study import Answers

EPILOG = examples(
    "growsearch init",
    "growsearch init --yes",
    "growsearch init --data images/ --max parameters=500k --max 'latency[cpu]=2 ms'",
    "growsearch init shapes.yaml --data images/ --network my_net:Net --weights my_net.pth "
    "--max 'latency[cpu]=2 ms' --time '20 min'",
)
_DEVICE = "cpu"


def init(
    study: Annotated[Path, typer.Argument(help="The file to write.")] = Path("study.yaml"),
    data: Annotated[
        str | None,
        typer.Option(
            help="A folder of images (one folder a class), a data set (growsearch list datasets), "
            "or your own as MODULE:ATTRIBUTE.",
            autocompletion=completion.datasets,
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the files of a data set by name lie.")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="A space (growsearch list spaces) or your own as MODULE:CLASS [default: one that "
            "fits the images].",
            autocompletion=completion.spaces,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Its trained weights: .safetensors, .pth, MODULE:FUNCTION, or own."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Whose latency counts; see: growsearch list devices [default: cpu].",
            autocompletion=completion.devices,
        ),
    ] = None,
    most: Annotated[
        list[str] | None,
        typer.Option(
            "--max",
            help="An upper bound, NAME=VALUE: parameters, macs, latency[DEVICE].",
            autocompletion=completion.budgets,
        ),
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="How long a search may take [default: 10 min].")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing: defaults where no option says more.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over the file.")] = False,
) -> None:
    """Write a study for your data, network, device and budget, with a comment on every choice.

    What is not given is asked for, in a terminal and without --yes. A few steps of training are
    taken, so that trials get a length with which a dozen of them fit in the time.
    """
    from growsearch.commands.terminal import say
    from growsearch.files import write_text
    from growsearch.search.study.first_study import first_study

    if study.exists() and not force:
        raise UsageError(f"{study} is there already; name another file, or write over it: --force")
    ask = sys.stdin.isatty() and not yes
    given = _Given(data=data, network=network, weights=weights, device=device, time=time)
    answers = _answers(given, data_dir, list(most or []), ask=ask)
    found = first_study(answers, study)
    write_text(study, found.text)
    for note in found.notes:
        say(f"{note}.")
    for line in (f"Written to {study}. Next:", f"  growsearch search {study}"):
        say(line)


class _Given:
    """The options that may be asked for; None was not given."""

    def __init__(self, **options: str | None) -> None:
        self.options = options

    def get(self, name: str, question: str, default: str, *, ask: bool) -> str:
        """Return an option, or what a person answers, or the default."""
        value = self.options[name]
        if value is not None or not ask:
            return default if value is None else value
        return str(typer.prompt(question, default=default, show_default=bool(default))).strip()


def _answers(given: _Given, data_dir: Path | None, most: list[str], *, ask: bool) -> Answers:
    """Return what is known of the five things.

    Raises:
        UsageError: for a bound or a device that is none.
    """
    from growsearch.kinds.values import parse_duration
    from growsearch.search.study.first_study import Answers
    from growsearch.training.devices import training_device

    data = given.get("data", "Data: a folder of images, or a name", "digits", ask=ask)
    network = given.get("network", "Network: yours as MODULE:CLASS, or a name", "", ask=ask)
    weights = given.get("weights", "Trained weights of it: a file, or own", "", ask=ask)
    bounded = [found for text in most if (found := _latency_device(text)) is not None]
    default = bounded[0] if bounded else _DEVICE
    device = given.get("device", "Device whose latency counts", default, ask=ask)
    _check_device(device, bounded)
    if ask and not most:
        most = _asked_bounds(device)
    time = given.get("time", "Time for the search", "10 min", ask=ask)
    try:
        parse_duration(time)
    except ValueError as error:
        raise UsageError(f"--time: {error}") from error
    return Answers(
        data=data,
        data_dir=data_dir,
        network=network or None,
        weights=weights or None,
        device=device,
        most=dict(_bound(text) for text in most),
        time=time,
        accelerator=training_device("auto").type != "cpu",
    )


def _asked_bounds(device: str) -> list[str]:
    asked = {"parameters": "parameters, as 500k", f"latency[{device}]": "latency, as 2 ms"}
    found = []
    for name, words in asked.items():
        question = f"At most: {words} (empty: no bound)"
        answer = str(typer.prompt(question, default="", show_default=False)).strip()
        found += [f"{name}={answer}"] if answer else []
    return found


def _bound(text: str) -> tuple[str, str]:
    """Return (objective, bound as it is written)."""
    from growsearch.pareto import parse_bound

    bound = parse_bound(text, "max")
    name = bound.objective
    if name not in ("parameters", "macs") and _latency_device(text) is None:
        raise UsageError(f"--max: {name} is no budget; valid: parameters, macs, latency[DEVICE]")
    return name, text.partition("=")[2].strip()


def _latency_device(text: str) -> str | None:
    name = text.partition("=")[0].strip()
    inside = name.removeprefix("latency[").removesuffix("]")
    return inside if name == f"latency[{inside}]" else None


def _check_device(device: str, bounded: list[str]) -> None:
    from cost_models import DEVICES

    for name in (device, *bounded):
        if name not in DEVICES:
            raise UsageError(f"--device: unknown {name!r}; valid: {', '.join(DEVICES)}")
    others = [name for name in bounded if name != device]
    if others:
        raise UsageError(
            f"--max: latency[{others[0]}] beside --device {device}; one device counts here, others "
            "are further objectives in the file"
        )
