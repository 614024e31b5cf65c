"""Profile command: a device's latency model, measured, fitted and validated."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from growsearch.commands import completion
from growsearch.commands.examples import examples
from growsearch.errors import UsageError
from growsearch.reading import reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.progress import Progress

    from cost_models import LatencyProfile
    from cost_models.profiling.building import NetworkSource, ProfilePlan, ProfileRun

EPILOG = examples(
    "growsearch profile --space resnet20 -o cpu.json",
    "growsearch profile --device cpu --space resnet20 --space resnet56 --batch 16 --minutes "
    "10 -o cpu-16.json",
)
_INTERRUPTED = 130
_STAGES = {
    "networks": "Draw networks to calibrate on and to check",
    "operators": "Choose operators",
    "timing": "Time all in turn",
    "fit": "Fit",
}
# Above this mean error the profile still ranks networks, but hardly tells how long one takes.
_GOOD_ERROR = 0.10


def profile(
    space: Annotated[
        list[str],
        typer.Option(
            help="Whose networks to profile with; repeat it.",
            show_default=False,
            autocompletion=completion.spaces,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The profile's file.", show_default=False)
    ],
    device: Annotated[
        str,
        typer.Option(
            help="What to profile: a device of this machine.", autocompletion=completion.devices
        ),
    ] = "cpu",
    batch: Annotated[int, typer.Option(min=1, max=2**20, help="Examples at a time.")] = 1,
    threads: Annotated[int, typer.Option(min=1, max=4096, help="Threads to run on.")] = 1,
    operators: Annotated[
        int | None,
        typer.Option(min=0, help="Operators to time [default: 700, 0 for whole-graph runtimes]."),
    ] = None,
    networks: Annotated[
        int | None,
        typer.Option(min=3, help="Networks to calibrate on [default: 10, 40 without operators]."),
    ] = None,
    validate: Annotated[int, typer.Option(min=5, help="Other networks to check against.")] = 30,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Fixes what is drawn.")] = 0,
    minutes: Annotated[
        float, typer.Option(help="At most so long for timing; it ends once repeats agree.")
    ] = 15.0,
    widest: Annotated[
        float, typer.Option(help="Scale widths up to this; 2 covers twice a space's widths.")
    ] = 2.0,
    transform: Annotated[
        list[str] | None, typer.Option(help="Transform some of the networks so; repeat it.")
    ] = None,
    input_shape: Annotated[
        str | None, typer.Option("--input", help="One example, as 1x8x8 [default: the space's].")
    ] = None,
) -> None:
    """Measure a device once, so that any network's latency can be predicted: fit and validate.

    The profile predicts latencies in a search (study key "profiles") and for machines that are not
    at hand. Stopped, the same command goes on with what was timed.
    """
    from cost_models import DEVICES, CostModelError
    from cost_models.profiling.building import ProfilePlan, times_operators
    from growsearch.commands.devices import noise_line
    from growsearch.commands.profile_networks import SpaceNetworks
    from growsearch.commands.terminal import Terminal

    source = SpaceNetworks.named(
        space,
        batch_size=batch,
        widest=widest,
        transforms=transform or (),
        input_shape=input_shape,
        sparse=device in DEVICES and bool(DEVICES[device].skips.kinds),
    )
    _check_out(out)
    try:
        if operators is None:
            operators = 700 if times_operators(device) else 0
        plan = ProfilePlan(
            device=device,
            batch_size=batch,
            threads=threads,
            operators=operators,
            networks=networks if networks is not None else (10 if operators else 40),
            validation=validate,
            seed=seed,
            minutes=minutes,
        )
        console = Terminal()
        console.print(noise_line(threads=threads), soft_wrap=True, markup=False)
        found = _measured(plan, source, out, console)
    except CostModelError as error:
        raise UsageError(str(error)) from error
    _show(console, found, out)


def _check_out(out: Path) -> None:
    with reading(f"--out: {out}", "give the name of a file"):
        if out.is_dir() or out.suffix != ".json":
            raise UsageError(f"--out: {out} must be a file that ends in .json, as in cpu.json")


def _measured(
    plan: ProfilePlan, source: NetworkSource, out: Path, console: Console
) -> LatencyProfile:
    from cost_models.profiling.building import ProfileRun, run_until_settled
    from cost_models.profiling.profile_file import profile_to_json
    from growsearch.files import write_text
    from growsearch.trial.task import machine_lock

    started = time.monotonic()
    partial = out.with_name(f".{out.name}.partial")
    with _bars(console) as bars:
        show = _shower(bars)
        run = ProfileRun(plan, source, show)
        if _resumed(run, partial):
            console.print(f"Going on with {run.timer.passes} passes that were timed before.")
        lock = machine_lock()
        try:
            run_until_settled(
                run,
                show,
                around_pass=lock.exclusive,
                after_pass=lambda: write_text(partial, json.dumps(run.state())),
            )
        except KeyboardInterrupt:
            _interrupted(run, partial)
        show("fit", 0.0)
        found = run.finish((time.monotonic() - started) / 60)
        write_text(out, profile_to_json(found))
        show("fit", 1.0)
    partial.unlink(missing_ok=True)
    return found


def _bars(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=not console.is_terminal)


def _shower(bars: Progress) -> Callable[[str, float], None]:
    tasks: dict[str, Any] = {}

    def show(stage: str, share: float) -> None:
        if stage not in tasks:
            for done in tasks.values():
                bars.update(done, completed=1.0)
            tasks[stage] = bars.add_task(_STAGES[stage], total=1.0)
        bars.update(tasks[stage], completed=share)

    return show


def _resumed(run: ProfileRun, partial: Path) -> bool:
    """Go on from an interrupted profile of the same plan; anything else is started over."""
    try:
        state = json.loads(partial.read_text(encoding="utf-8"))
        return run.resume(state)
    except Exception:
        # A partial file of another version, or damaged: nothing in it is worth a message.
        return False


def _interrupted(run: ProfileRun, partial: Path) -> NoReturn:
    kept = "nothing was timed yet"
    if partial.exists():
        kept = f"{run.timer.passes} passes are kept; run the same command again to go on"
    print(f"\nStopped; {kept}.", file=sys.stderr)
    raise typer.Exit(_INTERRUPTED)


def _show(console: Console, found: LatencyProfile, out: Path) -> None:
    from growsearch.report.terminal_table import terminal_table

    record, validation = found.record, found.validation
    networks = validation.profile.networks
    table = terminal_table(
        [
            ("latency by", "text"),
            ("mean error", "number"),
            ("within 5 %", "number"),
            ("within 10 %", "number"),
            ("Kendall tau", "number"),
        ],
        f"Predicted beside measured, {networks} networks not fitted on",
    )
    for name, row in (("this profile", validation.profile), ("MACs alone", validation.macs_only)):
        table.add_row(
            name,
            f"{row.mape:.1%}",
            f"{row.within_5:.0%}",
            f"{row.within_10:.0%}",
            f"{row.kendall_tau:.3f}",
        )
    console.print(table)
    conditions = record.conditions
    console.print(
        f"{len(record.operators)} operators and {len(record.with_role('calibration'))} networks, "
        f"{conditions.passes} passes, {conditions.minutes:.1f} minutes; "
        f"repeat noise {validation.repeat_noise:.1%}",
        soft_wrap=True,
    )
    _warn(console, found)
    console.print(f"Profile: {out}", soft_wrap=True, markup=False)


def _warn(console: Console, found: LatencyProfile) -> None:
    from cost_models.profiling.latency_profile import QUIET

    validation = found.validation
    if validation.repeat_noise > QUIET:
        console.print(
            f"Warning: repeats differ by {validation.repeat_noise:.1%}; the machine was busy. "
            "Stop other work and profile again.",
            soft_wrap=True,
        )
    elif validation.profile.mape > _GOOD_ERROR:
        console.print(
            f"Warning: the mean error is {validation.profile.mape:.1%}. Take more --networks (and "
            "--operators), or spaces closer to what is searched.",
            soft_wrap=True,
        )
