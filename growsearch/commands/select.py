"""Select command: the best network of a run inside a budget, exported and proven equal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from growsearch.commands import completion
from growsearch.commands.examples import examples
from growsearch.commands.network_options import CodeOption, RunArgument, TrialOption
from growsearch.errors import UsageError

if TYPE_CHECKING:
    from growsearch.export import ExportResult
    from growsearch.pareto import Wishes
    from growsearch.trial.record import Trial

EPILOG = examples(
    "growsearch select runs/digits",
    "growsearch select runs/digits --trial 3f2a",
    "growsearch select runs/digits --max 'latency[cpu]=0.5ms' --min accuracy=0.95",
    "growsearch select runs/digits --max 'latency[cpu]=0.5ms' --confidence 90%",
    "growsearch select runs/digits --prefer weights --weight accuracy=2",
    "growsearch select runs/digits --max macs=200k --prefer knee --onnx",
)


def select(
    run: RunArgument,
    trial: TrialOption = None,
    most: Annotated[
        list[str] | None,
        typer.Option(
            "--max",
            help="An upper bound, NAME=VALUE; repeat it.",
            autocompletion=completion.bounded_measures,
        ),
    ] = None,
    least: Annotated[
        list[str] | None,
        typer.Option(
            "--min",
            help="A lower bound, NAME=VALUE; repeat it.",
            autocompletion=completion.bounded_measures,
        ),
    ] = None,
    prefer: Annotated[
        str | None,
        typer.Option(
            help="accuracy: the best of the first objective; knee: the nearest to the best of all; "
            "hypervolume: what dominates most by itself; weights: by --weight "
            "[default: accuracy].",
            autocompletion=completion.preferences,
        ),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            help="OBJECTIVE=NUMBER for --prefer weights, 1 where not given; repeat it.",
            autocompletion=completion.bounded_measures,
        ),
    ] = None,
    confidence: Annotated[
        str | None,
        typer.Option(
            help="How sure the bounds must be met, for example 90%, given how far latencies may be "
            "off [default: by the values found]."
        ),
    ] = None,
    ties: Annotated[
        str | None,
        typer.Option(
            help="Of networks within one standard error of the highest accuracy: cheapest, "
            "highest, or auto, the cheapest where validation examples are few [default: auto]."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The export's folder [default: RUN/export/ID].")
    ] = None,
    code: CodeOption = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write model.onnx, too, checked in ONNX Runtime.")
    ] = False,
) -> None:
    """Choose a network of a run and export it, proven equal: without flags the study's choice.

    The study's choice is what its key select asks for, as on the report's page. Bounds,
    --prefer, --weight, --confidence and --ties take the place of all of it; --trial takes a
    network by its id.
    """
    from growsearch.commands.terminal import say
    from growsearch.report import choice_lines, choose, read_run, study_choice
    from growsearch.report.choice.study_choice import network_of
    from growsearch.report.choice_text import trial_lines

    found = read_run(run)
    asked = Asked(
        most=most or [],
        least=least or [],
        prefer=prefer,
        weight=weight or [],
        confidence=confidence,
        ties=ties,
    )
    taken: Trial | None
    if trial is not None:
        asked.refuse_beside_trial()
        taken = named = network_of(found, trial)
        lines = trial_lines(named, found)
    else:
        wishes = asked.wishes()
        choice = study_choice(found) if wishes is None else choose(found, wishes)
        lines = choice_lines(choice, asked.bounds)
        taken = choice.chosen
    for line in lines:
        say(line)
    if taken is None:
        raise typer.Exit(1)
    from growsearch.search.study.trial_export import export_trial
    from search_spaces.code_origin import CodeOfRun

    typer.echo()
    result = export_trial(run, taken, out, onnx=onnx, names=CodeOfRun(code))
    for line in export_lines(result):
        say(line)
    if onnx and result.onnx_difference is None:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The flags that say what to choose, as they were written."""

    most: list[str]
    least: list[str]
    prefer: str | None
    weight: list[str]
    confidence: str | None
    ties: str | None

    @property
    def bounds(self) -> tuple[str, ...]:
        """The bounds as the person wrote them."""
        return (*self.most, *self.least)

    def wishes(self) -> Wishes | None:
        """Return what the flags ask for; None without any, where the study is asked.

        Raises:
            UsageError: naming the flag that is wrong.
        """
        from growsearch.pareto import Wishes, parse_bound, parse_share, parse_weight

        if not self._given():
            return None
        sure = self.confidence
        return Wishes(
            bounds=(
                *(parse_bound(text, "max") for text in self.most),
                *(parse_bound(text, "min") for text in self.least),
            ),
            prefer=self.prefer or "accuracy",  # type: ignore[arg-type]  # select refuses others
            weights=dict(map(parse_weight, self.weight)),
            confidence=None if sure is None else parse_share(sure, "--confidence"),
            ties=self.ties or "auto",  # type: ignore[arg-type]  # select refuses others
        )

    def refuse_beside_trial(self) -> None:
        """Refuse flags that a network which is named has no use for.

        Raises:
            UsageError: naming the first.
        """
        given = self._given()
        if given:
            raise UsageError(
                f"{given[0]}: chooses a network, and --trial names one; give one of the two"
            )

    def _given(self) -> list[str]:
        flags = {
            "--max": self.most,
            "--min": self.least,
            "--prefer": self.prefer,
            "--weight": self.weight,
            "--confidence": self.confidence,
            "--ties": self.ties,
        }
        return [name for name, value in flags.items() if value not in (None, [])]


def export_lines(result: ExportResult) -> list[str]:
    """Return what is said of an export: its files, what was not written, what was proven."""
    from growsearch.export.model_card import CARD_FILE

    names = ", ".join([path.name for path in result.files] + [CARD_FILE])
    return [
        f"Exported to {result.folder}:",
        f"  {names}",
        f"  weights: {result.weight_bytes:,} bytes, {result.weight_bytes / result.plain_bytes:.2f} "
        "of the size with every zero written",
        *left_out_lines(result),
        f"Reloaded; {_proven(result)}.",
        *input_lines(result),
    ]


def left_out_lines(result: ExportResult) -> list[str]:
    """Return a line for each file that was not written: why."""
    return [f"  no {name}: {why}" for name, why in result.left_out.items()]


def input_lines(result: ExportResult) -> list[str]:
    """Return how the network is run on image files, or why its input is raw."""
    from growsearch.export.loader import LOADER_FILE

    about = result.preprocessing
    if about.images is None:
        return [f"Its input is raw: {about.raw_because}."]
    if not about.images.of_files:
        return [f"It reads images of {len(about.images.mean)} channels, which no picture file has."]
    if result.reads_files:
        return [f"Run it on images: python {result.folder / LOADER_FILE} photo.png"]
    return [f"Run it on images: growsearch predict {result.folder} photo.png"]


def _proven(result: ExportResult) -> str:
    if not result.differences:
        return "the weights give the same outputs to the bit"
    apart = ", ".join(f"{most:.1g} ({name})" for name, most in result.differences.items())
    return f"outputs differ by at most {apart}"
