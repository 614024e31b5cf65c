"""What is done with a hostile input, and what must not come of it.

A target reads an input as a person's command would. A problem told in one line is what is asked
for; a finding is everything else: a traceback, a file changed outside the input's folder, code of
the input that ran, a value that is not what was written, a control code that came through, a wait
without an end.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fuzz_folders as inputs
import numpy as np
import torch
from fuzz_studies import study_mapping, study_text
from fuzz_truth import (
    CONTROL,
    Found,
    ledger_kept,
    number_kept,
    report_is_safe,
    round_trip,
    told,
    weights_kept,
)
from fuzz_values import CANARY

from cost_models import CostModelError, load_profile
from growsearch.cli import main
from growsearch.datasets import load_dataset
from growsearch.errors import GrowsearchError
from growsearch.export import load_network, read_weights
from growsearch.kinds import CandidateConfig, trial_id, trial_seed
from growsearch.report import read_run
from growsearch.search.config.file import load_study
from growsearch.search.samplers.initial_points import points_to_evaluate
from growsearch.search.study.study import Study, StudyOptions
from growsearch.trial.record import Trial
from growsearch.trial.retries import Run
from growsearch.trial.task import TrialTask
from search_spaces import SearchSpaceError

PATIENCE_S = 120
KNOWN = (GrowsearchError, CostModelError, SearchSpaceError)
_UNEXPECTED = "This should not happen"


class HungError(BaseException):
    """A target took longer than anybody waits; no handler of an exception may keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What must not be: of which kind, for which input, and where."""

    what: str
    kind: str
    seed: int
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one input is read: its own folder, and what lies beside it."""

    input: Path
    outside: Path
    sound: Path
    draw: random.Random


Target = Callable[[Place], Iterator[Found]]


def write_sound(folder: Path) -> None:
    """Write what inputs are made from, once."""
    inputs.write_sound_run(folder / "run")
    inputs.write_sound_run(folder / "other", seed=1)
    inputs.write_trained(folder / "network")
    for kind in ("arrays", "image-folder"):
        inputs.write_sound_data(folder / kind, kind)
    (folder / "profile.json").write_text(inputs.sound_profile())
    (folder / "resumed").mkdir()
    _resume(folder / "resumed" / "run")


def try_input(kind: str, seed: int, sound: Path) -> list[Finding]:
    """Make an input, read it, and return what must not have come of it."""
    place = Path(tempfile.mkdtemp(prefix="growsearch-fuzz-"))
    before = Path.cwd()
    try:
        (place / "outside").mkdir()
        (place / "outside" / "secret.txt").write_text("unchanged\n")
        (place / "input").mkdir()
        os.chdir(place / "input")
        made = Place(
            input=place / "input",
            outside=place / "outside",
            sound=sound,
            draw=random.Random(f"{kind} {seed}"),
        )
        found = [Finding(what=w, kind=kind, seed=seed, where=p) for w, p in _watched(kind, made)]
    finally:
        os.chdir(before)
        shutil.rmtree(place, ignore_errors=True)
    return found


def _watched(kind: str, place: Place) -> Iterator[Found]:
    untouched = _picture(place.outside)
    sys.modules.pop(CANARY, None)
    try:
        with _patience():
            yield from TARGETS[kind](place)
    except KNOWN as error:
        yield from told(str(error))
    except HungError:
        yield "hung", f"longer than {PATIENCE_S} s"
    except Exception as error:
        yield "traceback", _where(error)
    if _picture(place.outside) != untouched:
        yield "written outside", "the folder beside the input changed"
    if sorted(path.name for path in place.outside.parent.iterdir()) != ["input", "outside"]:
        yield "written outside", "something new lies beside the input"
    ran = CANARY in sys.modules or any(place.input.rglob("executed"))
    if ran and kind not in _OWN_CODE:
        yield "code run", "code of the input was imported"


# A study that a person wrote may name code: that is what it is for.
_OWN_CODE = ("study", "mapping")


def _where(error: BaseException) -> str:
    ours = [
        f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename
    ]
    last = ours[-1]
    text = " ".join(str(error).split())[:80]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {text!r}"


def _picture(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    def hung(*_: object) -> None:
        raise HungError

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _command(*arguments: str) -> Iterator[Found]:
    """Run a command line in this process; yield what it must not do."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["growsearch", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit:
        pass
    finally:
        sys.argv = before
    said = err.getvalue()
    if _UNEXPECTED in said:
        kept = re.search(r"is in (\S+):", said)
        last = [said]
        if kept:
            told = Path(kept[1]).read_text().splitlines()
            last = [line for line in told if line.strip(" ^~")][-5:]
            Path(kept[1]).unlink()
        yield "traceback", f"{arguments[0]}: {' | '.join(line.strip() for line in last)}"[:500]
    if CONTROL.search(out.getvalue()) or CONTROL.search(said):
        yield "control code", f"{arguments[0]} let one through to the terminal"


def _study(place: Place) -> Iterator[Found]:
    text, number = study_text(place.draw)
    file = place.input / "study.yaml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    config = load_study(file)
    yield from round_trip(config)
    points_to_evaluate(config.trials, config.search.points_to_evaluate)
    if number is not None:
        yield from number_kept(config, number)


def _mapping(place: Place) -> Iterator[Found]:
    data = study_mapping(place.draw)
    config = Study(data, place.input / "run").config
    yield from round_trip(config)
    points_to_evaluate(config.trials, config.search.points_to_evaluate)


_FORMATS = ("html", "md", "csv", "json", "tex", "svg", "parquet", "optuna")


def _run(place: Place) -> Iterator[Found]:
    folder = inputs.copy_of(place.sound / "run", place.input / "run")
    (folder / f"{CANARY}.py").write_text("def run(): pass\n")
    inputs.change_folder(folder, place.draw, place.outside)
    for name in place.draw.sample(_FORMATS, 2):
        yield from _command("report", str(folder), "--format", name)
    yield from report_is_safe(folder)
    bound = place.draw.choice(["macs=1", "latency[cpu]=1ns", "accuracy=0.1%", "parameters=1"])
    yield from _command("select", str(folder), "--max", bound, "--out", "chosen")
    if place.draw.random() < 0.15:
        # These build the network and read its weights, in seconds.
        yield from _command("select", str(folder), "--min", "accuracy=1%", "--out", "chosen")
        trial = place.draw.choice(sorted(path.name for path in (folder / "trials").iterdir()))
        yield from _command("evaluate", str(folder), trial, "--metrics", "ece")
    if place.draw.random() < 0.4:
        # It draws two pictures, which take longer than all the rest.
        out = place.input / "comparison"
        yield from _command("compare", str(folder), str(place.sound / "other"), "--out", str(out))
    yield from ledger_kept(folder)


def _weights(place: Place) -> Iterator[Found]:
    folder = inputs.copy_of(place.sound / "network", place.input / "network")
    file = folder / "weights.safetensors"
    if place.draw.random() < 0.3:
        inputs.change_folder(folder, place.draw, place.outside)
    else:
        inputs.change_weights(file, place.draw)
    with contextlib.suppress(*KNOWN):
        state = read_weights(file)
        yield from weights_kept(file, state)
    module = load_network(folder)
    with torch.no_grad():
        module(torch.zeros(1, *inputs.NETWORK["input_shape"]))


def _profile(place: Place) -> Iterator[Found]:
    file = place.input / "profile.json"
    shutil.copyfile(place.sound / "profile.json", file)
    if place.draw.random() < 0.5:
        file.write_bytes(inputs.changed_bytes(file.read_bytes(), place.draw))
    else:
        inputs.change_folder(place.input, place.draw, place.outside)
    profile = load_profile(file)
    networks = profile.record.networks
    if not all(np.isfinite(profile.predict_s(network.operators)) for network in networks):
        yield "changed in silence", "a latency that is no number"


def _data(place: Place) -> Iterator[Found]:
    kind = place.draw.choice(["arrays", "image-folder"])
    folder = inputs.copy_of(place.sound / kind, place.input / kind)
    inputs.change_data(folder, place.draw, place.outside)
    dataset = load_dataset(kind, folder)
    labels = torch.cat([dataset.train.labels, dataset.validation.labels, dataset.test.labels])
    if not bool(torch.isfinite(dataset.train.inputs).all()):
        yield "changed in silence", "inputs that are no numbers"
    if int(labels.min()) < 0 or int(labels.max()) >= dataset.num_classes:
        yield "changed in silence", f"labels outside {dataset.num_classes} classes"


_SMALL: dict[str, Any] = {
    "name": "resumed",
    "dataset": "digits",
    "trials": {
        "sparse": {
            "space": "mlp-digits",
            "transform": "none",
            "sparsity": {"low": 0.5, "high": 0.9},
            "updater": ["static", "set"],
            "epochs": 1,
        }
    },
    "objectives": {"accuracy": "maximize", "macs": "minimize"},
    "constraints": {"parameters": {"max": "80k"}},
    "search": {"trials": 4, "seed": 1, "sampler": "random", "backend": "serial"},
}


def _no_training(config: CandidateConfig, task: TrialTask, seed: int, report: object) -> Trial:  # noqa: ARG001
    """Return a made-up outcome at once."""
    known = trial_seed(config, seed) % 1000
    metrics = {"accuracy": known / 1000, "macs": 1000 + known, "parameters": 900.0}
    return Trial(
        id=trial_id(config, seed),
        number=0,
        kind=config.kind,
        status="finished",
        config=config.to_json(),
        seed=trial_seed(config, seed),
        metrics=metrics,
    )


def _resume(folder: Path, run: Run = _no_training) -> None:
    Study(_SMALL, folder).run(StudyOptions(run=run))


def _resumed(place: Place) -> Iterator[Found]:
    folder = inputs.copy_of(place.sound / "resumed" / "run", place.input / "run")
    ledger = folder / "trials.jsonl"
    ledger.write_text("".join(line + "\n" for line in ledger.read_text().splitlines()[:2]))
    inputs.change_folder(folder, place.draw, place.outside)
    _resume(folder)
    trials = read_run(folder).trials
    if len({trial.id for trial in trials}) < _SMALL["search"]["trials"]:
        yield "changed in silence", f"{len(trials)} trials in a run of 4"


TARGETS: dict[str, Target] = {
    "study": _study,
    "mapping": _mapping,
    "run": _run,
    "resume": _resumed,
    "weights": _weights,
    "profile": _profile,
    "data": _data,
}
# Of a hundred inputs.
SHARES = {
    "study": 34,
    "mapping": 16,
    "run": 18,
    "resume": 4,
    "weights": 14,
    "profile": 4,
    "data": 10,
}
