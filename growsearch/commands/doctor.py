"""Doctor command: is this machine ready, and what will a trial of a study need on it?"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from growsearch.commands import completion
from growsearch.commands.examples import examples

EPILOG = examples(
    "growsearch doctor",
    "growsearch doctor --ray --seconds 10",
    "growsearch doctor examples/digits.yaml",
    "growsearch doctor study.yaml --steps 20 --json",
    "growsearch doctor runs/digits",
)

State = Literal["ok", "note", "problem"]
_NEEDED = ("torch", "ray", "optuna", "numpy", "scipy", "fvcore", "moocore", "safetensors")
# What an extra installs, and what it is for.
_EXTRAS = {
    "onnx": (("onnx", "onnxscript", "onnxruntime"), "device cpu-onnxruntime, --onnx"),
    "openvino": (("openvino",), "device cpu-openvino"),
    "energy": (("pynvml",), "energy of GPUs"),
    "cluster": (("aiohttp",), "growsearch submit"),
    "notebook": (("pandas",), "Front.to_pandas"),
    "tensorboard": (("tensorboardX", "tensorboard"), "trackers: [tensorboard]"),
    "wandb": (("wandb",), "trackers: [wandb]"),
}
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_MIN_FREE_GIB = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line: what was looked at, what was found and, where something is missing, the remedy."""

    name: str
    state: State
    found: str
    remedy: str = ""

    def line(self) -> str:
        """Return the line for people."""
        mark = {"ok": "ok", "note": "--", "problem": "!!"}[self.state]
        remedy = f" -> {self.remedy}" if self.remedy else ""
        return f"{mark}  {self.name}: {self.found}{remedy}"


def doctor(
    study: Annotated[
        Path | None,
        typer.Argument(
            help="A study: say what its trials will need. The folder of a run: check its files.",
            show_default=False,
            autocompletion=completion.study_files,
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.5, help="How long to check the noise of times.")
    ] = 2.0,
    start_ray: Annotated[
        bool, typer.Option("--ray", help="Start a Ray and run a task in it, which takes a while.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    steps: Annotated[
        int, typer.Option(min=1, max=10_000, help="Steps of a study that are measured.")
    ] = 5,
) -> None:
    """Check versions, devices, Ray, disk, noise and extras; 1 is returned if a search cannot run.

    A line that starts with -- is about something optional. With a STUDY it is a dry run: the
    largest networks of each kind of trial are trained for a few steps, and memory and time are
    told: of a step, an epoch, a trial and the study. Of a run's folder it counts what is in its
    ledgers (search, repeats, finished choices) and tells files that are damaged, missing or of no
    trial. Nothing is written.
    """
    if study is not None and study.is_dir():
        _report(_run_files(study), as_json=as_json)
        return
    if study is not None:
        _dry_run(study, steps, as_json=as_json)
        return
    _report(list(examine(seconds, start_ray=start_ray)), as_json=as_json)


def _report(findings: list[Finding], *, as_json: bool) -> None:
    """Print findings, and end with 1 where one is a problem."""
    if as_json:
        rows = [
            {"name": f.name, "state": f.state, "found": f.found, "remedy": f.remedy}
            for f in findings
        ]
        typer.echo(json.dumps(rows, indent=2))
    else:
        for finding in findings:
            typer.echo(finding.line())
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def _run_files(run: Path) -> list[Finding]:
    from growsearch.report.run_files import check_files

    return [
        Finding(
            name=each.name,
            state="problem" if each.problem else "ok" if each.sound else "note",
            found=each.found,
            remedy=each.remedy,
        )
        for each in check_files(run)
    ]


def _dry_run(study: Path, steps: int, *, as_json: bool) -> None:
    from growsearch.commands.doctor_study import dry_run

    lines, data, complete = dry_run(study, steps)
    devices = [finding.line() for finding in _accelerators()]
    typer.echo(json.dumps(data, indent=2) if as_json else "\n".join([*devices, *lines]))
    if not complete:
        raise typer.Exit(1)


def examine(seconds: float, *, start_ray: bool = False) -> Iterator[Finding]:
    """Look at everything, one after the other; what raises is a problem and stops nothing."""
    yield _python()
    yield from _packages()
    yield from _accelerators()
    looks: dict[str, Callable[[], Finding]] = {
        "devices": _devices,
        "ray": _ray_task if start_ray else _ray,
        "disk": _disk,
        "noise": lambda: _noise(seconds),
    }
    for name, look in looks.items():
        try:
            yield look()
        except Exception as error:  # whatever is broken, the other lines are wanted
            yield Finding(
                name=name,
                state="problem",
                found=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
                remedy="see the message",
            )
    yield _browser()
    yield from _extras()


def _python() -> Finding:
    import platform

    good = sys.version_info >= (3, 11)
    return Finding(
        name="python",
        state="ok" if good else "problem",
        found=f"{platform.python_version()} on {platform.platform()}",
        remedy="" if good else "install Python 3.11 or later",
    )


def _packages() -> Iterator[Finding]:
    import importlib.metadata

    for name in ("growsearch", *_NEEDED):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            # A checkout that is not installed can be used as it is.
            here = name == "growsearch"
            yield Finding(
                name=name,
                state="note" if here else "problem",
                found="not installed" if not here else "a checkout, not installed",
                remedy="pip install -e ." if here else "pip install growsearch",
            )
            continue
        yield Finding(name=name, state="ok", found=version)


def _accelerators() -> Iterator[Finding]:
    from growsearch.commands.doctor_accelerators import accelerators

    try:
        for name, found in accelerators():
            yield Finding(name=f"trains on {name}", state="ok", found=found)
    except Exception as error:  # a driver that is broken; the other lines are wanted
        reason = " ".join(str(error).split())[:200]
        yield Finding(
            name="trains on",
            state="problem",
            found=f"{type(error).__name__}: {reason}",
            remedy="mend the driver, or write training: {device: cpu} in studies",
        )


def _devices() -> Finding:
    from cost_models import DEVICES, available_devices

    usable = list(available_devices())
    missing = [name for name in DEVICES if name not in usable]
    return Finding(
        name="devices",
        state="ok",
        found=", ".join(usable)
        + (f"; not here: {', '.join(missing)} (growsearch devices says why)" if missing else ""),
    )


def _ray() -> Finding:
    """Start no Ray: where it keeps sockets and objects is what it fails by."""
    import tempfile

    folder = Path(tempfile.gettempdir())
    with tempfile.NamedTemporaryFile(dir=folder, prefix="growsearch-doctor-"):
        pass
    shared = Path("/dev/shm")
    if shared.is_dir():
        free = shutil.disk_usage(shared).free / 2**30
        if free < _MIN_FREE_GIB:
            return Finding(
                name="ray",
                state="note",
                found=f"{shared} has {free:.1f} GiB free: Ray keeps objects on disk, slowly",
                remedy="in a container: --shm-size 2g; or search with --backend serial",
            )
    found = f"{folder} can be written" + (f", {shared} is large enough" if shared.is_dir() else "")
    return Finding(name="ray", state="ok", found=found)


def _ray_task() -> Finding:
    from growsearch.search.cluster.check import seconds_to_first_task

    return Finding(
        name="ray",
        state="ok",
        found=f"started and ran a task in {seconds_to_first_task():.0f} s",
    )


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    good = free >= _MIN_FREE_GIB
    return Finding(
        name="disk",
        state="ok" if good else "problem",
        found=f"{free:.1f} GiB free in {Path.cwd()}",
        remedy="" if good else "free some space, or give --out on another disk",
    )


def _noise(seconds: float) -> Finding:
    from cost_models import host_noise

    noise = host_noise(seconds, 1)
    return Finding(
        name="noise",
        state="ok" if noise.quiet else "note",
        found=f"this machine is {noise.verdict}",
    )


def _browser() -> Finding:
    found = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if found:
        return Finding(name="chromium", state="ok", found=found)
    return Finding(
        name="chromium",
        state="note",
        found="not found; only our own tests of report.html use it",
        remedy="apt install chromium",
    )


def _extras() -> Iterator[Finding]:
    for extra, (packages, use) in _EXTRAS.items():
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        yield Finding(
            name=extra,
            state="note" if missing else "ok",
            found=(f"without {', '.join(missing)}" if missing else "installed") + f" ({use})",
            remedy=f"pip install 'growsearch[{extra}]'" if missing else "",
        )
