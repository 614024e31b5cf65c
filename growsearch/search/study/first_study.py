"""First study: what a person answers becomes a commented study, tried before it is handed over.

Questions are five: data, network, weights, device and budget. All other keys get a value with a
comment that says what it does; lengths of trials are measured, so that a search has a dozen of them
in its time.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cost_models import CostModelError, trace
from growsearch.datasets import BUNDLED, TOKEN_DATASETS
from growsearch.datasets.folder_layout import FolderLayout, layout_of
from growsearch.datasets.keys import NO_KEYS
from growsearch.datasets.reading.boundary import reading
from growsearch.datasets.reading.image_file import common_size
from growsearch.errors import UsageError
from growsearch.growth import build_full
from growsearch.kinds import Learning
from growsearch.kinds.checking.context import space_for
from growsearch.kinds.values import parse_duration
from growsearch.pareto.quantities import parse_quantity
from growsearch.search.config.file import load_study
from growsearch.search.config.study import StudyConfig
from growsearch.search.study.checks import check_task
from growsearch.search.study.trial_needs import NotTried, TrialNeeds, trial_needs
from search_spaces import SearchSpaceError
from search_spaces.user_code import is_own

IMAGE_FOLDER = "image-folder"
# A search learns little from fewer, and shorter trials learn little themselves.
_WANTED_TRIALS, _LEAST_EPOCHS, _MOST_EPOCHS = 16, 4, 60
_TRIED_STEPS = 3
# Images of several or of large sizes are read at this size where no accelerator trains.
_ON_A_CPU, _LARGE = 64, 96
# Up to so many pixels a side of the images, this network.
_USUAL_NETWORKS = ((12, "resnet-digits"), (48, "resnet20"), (112, "resnet14-bottleneck"))
_USUAL_LARGE, _USUAL_WORDS = "mobilenetv2-imagenet", "lstm-ptb-small"
# The largest budget over the least; the next where that is too small for the network.
_PARTS = (5, 2, 1)
_BUDGETED = {"growth", "prune"}
_COLUMN, _WIDTH = 40, 88
_USUAL_BUDGET, _ALL = "70%", 0.9
# What YAML takes for no text, in one version of it or another.
_YAML_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
_SPARSITY = "{low: 0.5, high: 0.9}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a person said.

    Attributes:
        data: a data set by name, a folder of images, or own code, MODULE:ATTRIBUTE.
        data_dir: of a data set by name whose files lie somewhere.
        network: a space by name or own code; None is one that fits the images.
        weights: a file of trained weights, "own", or MODULE:FUNCTION; None is none.
        device: whose latency counts.
        most: upper bounds as they are written, by objective: {"parameters": "500k"}.
        time: how long a search may take, as "10 min".
        accelerator: whether trials train on one.
    """

    data: str = "digits"
    data_dir: Path | None = None
    network: str | None = None
    weights: str | None = None
    device: str = "cpu"
    most: Mapping[str, str] = dataclasses.field(default_factory=dict)
    time: str = "10 min"
    accelerator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStudy:
    """A study in YAML, what was found out for it, and what could not be had."""

    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Data:
    """How a study names its data, in words and in keys; ``side`` is that of its images."""

    dataset: str
    words: str
    data_dir: Path | None = None
    image_size: int | None = None
    why_size: str = ""
    side: int | None = None
    notes: tuple[str, ...] = ()


def first_study(answers: Answers, file: Path) -> FirstStudy:
    """Return the study that ``answers`` come to, for ``file``; nothing is written there.

    It was read, its data were loaded and a few steps of its largest networks were taken. A kind of
    trial that the network cannot have is left out, which a note tells.

    Raises:
        UsageError: naming the answer that is wrong.
    """
    data = _data(answers)
    network = answers.network or _usual_network(data, answers.data)
    folder = file.absolute().parent
    kinds = tuple(_kinds(answers))
    own = [name for name in (network, data.dataset, answers.weights or "") if is_own(name)]
    draft = _Draft(
        answers=answers,
        data=data,
        network=network,
        folder=folder,
        kinds=kinds,
        code=_code_folder(own, (folder, Path.cwd())),
    )
    draft, needs = _feasible(draft)
    failed = [need for need in needs if isinstance(need, NotTried)]
    left = tuple(kind for kind in kinds if kind not in {need.kind for need in failed})
    if not left:
        reasons = "; ".join(f"{need.kind}: {need.reason}" for need in failed)
        raise UsageError(f"--network: {network} cannot be searched. {reasons}")
    epochs, told = _epochs(answers, [need for need in needs if isinstance(need, TrialNeeds)])
    done = dataclasses.replace(draft, kinds=left, epochs=epochs)
    notes = (
        *data.notes,
        *(f"No trials of the kind {need.kind}: {need.reason}" for need in failed),
        told,
    )
    return FirstStudy(text=done.text(), notes=notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    answers: Answers
    data: _Data
    network: str
    folder: Path
    kinds: tuple[str, ...]
    # Where own modules lie; None where all are installed, or there are none.
    code: Path | None
    epochs: int = 2
    part: int = _PARTS[0]
    # The counts of the whole network, by metric.
    full: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def text(self) -> str:
        """Return the study as people read it."""
        return "\n".join([*self._head(), *self._trials(), *self._goal(), *self._search(), ""])

    def _head(self) -> Iterator[str]:
        yield f"# Which network should I train on {self.data.words}?"
        yield "# Try it: growsearch doctor; search it: growsearch search; both with this file."
        yield f"name: {_quoted(_name(self.answers))}"
        yield _beside(f"dataset: {_quoted(self.data.dataset)}", self.data.words)
        if self.data.data_dir is not None:
            yield f"data_dir: {_quoted(self._relative(self.data.data_dir))}"
        if self.data.image_size is not None:
            yield _beside(f"data: {{image_size: {self.data.image_size}}}", self.data.why_size)
        if self.code is not None:
            where = _quoted(self._relative(self.code))
            yield _beside(f"code_dir: {where}", "where your own modules lie")
        yield ""

    def _trials(self) -> Iterator[str]:
        shown = ["dense", *(["uniform"] if {"growth", "prune"} & set(self.kinds) else [])]
        mine = ["mine"] if self.answers.weights else []
        yield _beside(
            f"baselines: [{', '.join([*mine, *shown])}]",
            "trained and shown beside what is found" + ("; yours as it is" if mine else ""),
        )
        yield "trials:"
        for kind in self.kinds:
            yield from _KINDS[kind](self)
        yield ""

    def common(self, *, weights: bool = True) -> Iterator[str]:
        """Yield the keys that every kind has."""
        yield f"    space: {_quoted(self.network)}"
        if self.answers.weights and weights:
            yield f"    init: {_quoted(self._weights())}"
        yield f"    epochs: {self.epochs}"

    def budget(self) -> str:
        """Return the range of budgets of networks that grow or are pruned."""
        for metric in ("parameters", "macs"):
            most = self.answers.most.get(metric)
            if most is not None:
                return self._range(metric, _USUAL_BUDGET if self._is_loose(metric, most) else most)
        return self._range("macs", _USUAL_BUDGET)

    def _is_loose(self, metric: str, most: str) -> bool:
        """Tell whether the whole network is all but inside a bound, which then bounds nothing."""
        full = self.full.get(metric)
        return full is not None and "%" not in most and parse_quantity(most, metric) > _ALL * full

    def _range(self, metric: str, most: str) -> str:
        if self.part == 1:
            return f"{{{metric}: {most}}}"
        return f"{{{metric}: {{low: {_part(most, self.part)}, high: {most}}}}}"

    def _goal(self) -> Iterator[str]:
        latency = f"latency[{self.answers.device}]"
        quality = "perplexity: minimize" if self._is_text else "accuracy: maximize"
        yield "objectives:"
        yield f"  {quality}"
        yield _beside(f'  "{latency}": minimize', "of one example; what it is, the report tells")
        yield _beside("  parameters: minimize", "those that are not zero")
        counts = {k: v for k, v in self.answers.most.items() if not k.startswith("latency")}
        if counts:
            yield _beside("constraints:", "known before training: others are not trained")
            for name, most in counts.items():
                yield f"  {name}: {{max: {most}}}"
        yield ""

    def _search(self) -> Iterator[str]:
        yield f"search: {{time_budget: {self.answers.time}, parallel: {_cores()}, seed: 0}}"
        latency = f"latency[{self.answers.device}]"
        most = {k: v for k, v in self.answers.most.items() if k.startswith("latency")}
        if most:
            yield _beside("select:", "the best network inside these is the choice")
            yield f'  max: {{"{latency}": {most[latency]}}}'

    @property
    def _is_text(self) -> bool:
        return self.data.dataset in TOKEN_DATASETS

    def _relative(self, path: Path) -> str:
        found = path.expanduser().resolve()
        inside = found.is_relative_to(self.folder)
        return os.path.relpath(found, self.folder) if inside else str(found)

    def _weights(self) -> str:
        weights = self.answers.weights or ""
        return weights if weights == "own" or is_own(weights) else self._relative(Path(weights))


def _growth(draft: _Draft) -> Iterator[str]:
    yield _beside("  growth:", "channels grow from a small start and fresh weights up to a budget")
    yield from draft.common(weights=False)
    yield f"    budget: {draft.budget()}"


def _prune(draft: _Draft) -> Iterator[str]:
    yield _beside("  prune:", "yours loses channels and blocks while it trains on")
    yield from draft.common()
    yield f"    budget: {draft.budget()}"


def _sparse(draft: _Draft) -> Iterator[str]:
    yield _beside("  sparse:", "weights are zero; saves memory, and time only on some devices")
    yield from draft.common()
    yield "    transform: none"
    yield f"    sparsity: {_SPARSITY}"
    yield "    distribution: [uniform, erk]"
    yield "    updater: [static, rigl]"


_KINDS = {"growth": _growth, "prune": _prune, "sparse": _sparse}


def _kinds(answers: Answers) -> Iterator[str]:
    if answers.weights:
        yield "prune"
    yield from ("growth", "sparse")


def _code_folder(names: list[str], places: tuple[Path, ...]) -> Path | None:
    """Return the first place that has a module of ``names``; others are installed.

    A study has one such folder: its own, or that in which the command was called.
    """
    modules = [name.partition(":")[0].partition(".")[0] for name in names]
    for place in places:
        for module in modules:
            if (place / f"{module}.py").is_file() or (place / module).is_dir():
                return place
    return None


def _feasible(draft: _Draft) -> tuple[_Draft, list[TrialNeeds | NotTried]]:
    """Try a draft, with a smaller range of budgets where the least is below any network."""
    with tempfile.TemporaryDirectory(prefix="growsearch-init-") as place:
        file = Path(place) / "study.yaml"
        learning = _loaded(_read(draft, file), file)
        draft = dataclasses.replace(draft, full=_full_counts(draft.network, learning))
        for part in _PARTS:
            draft = dataclasses.replace(draft, part=part)
            needs = list(trial_needs(_read(draft, file), learning, steps=_TRIED_STEPS))
            failed = {need.kind for need in needs if isinstance(need, NotTried)}
            if not failed & _BUDGETED:
                break
    return draft, needs


def _read(draft: _Draft, file: Path) -> StudyConfig:
    """Write the draft to a temporary file and read it as a search would."""
    here = dataclasses.replace(draft, folder=file.parent)
    file.write_text(here.text(), encoding="utf-8")
    with _as_study(file):
        return load_study(file)


def _loaded(config: StudyConfig, file: Path) -> Learning:
    with _as_study(file):
        learning = config.data_choice.load()
        check_task(config, learning)
    return learning


@contextmanager
def _as_study(file: Path) -> Iterator[None]:
    """Name the study, and not the temporary file that it is read from."""
    try:
        yield
    except UsageError as error:
        raise UsageError(str(error).replace(str(file), "study")) from error


def _full_counts(network: str, learning: Learning) -> dict[str, int]:
    """Return the parameters and MACs of the whole network; what cannot be counted is left out."""
    try:
        space = space_for(network, learning.dataset)
        work = trace(build_full(space, seed=0), space.example_inputs())
    except (CostModelError, SearchSpaceError):
        # Why is told where the kinds are tried.
        return {}
    return {"parameters": work.parameters, "macs": work.dense_macs}


def _epochs(answers: Answers, needs: list[TrialNeeds]) -> tuple[int, str]:
    """Return the epochs of a trial with which a dozen fit in the time, and how they were found."""
    slowest = max(need.cost.epoch_s for need in needs)
    seconds = parse_duration(answers.time) * _cores() / _WANTED_TRIALS
    epochs = min(max(math.floor(seconds / slowest), _LEAST_EPOCHS), _MOST_EPOCHS)
    fits = math.floor(parse_duration(answers.time) * _cores() / (epochs * slowest))
    told = (
        f"An epoch of the largest network takes about {slowest:.2g} s here, by a few steps: "
        f"{epochs} epochs a trial, so that {max(fits, 0)} such trials fit in {answers.time}"
    )
    if fits < _WANTED_TRIALS // 2:
        told += "; that is few: give more --time, a smaller --network, or a GPU"
    return epochs, told


def _data(answers: Answers) -> _Data:
    if is_own(answers.data):
        return _Data(dataset=answers.data, words="your own data")
    folder = Path(answers.data).expanduser()
    if folder.is_dir():
        return _image_folder(folder, answers)
    if answers.data not in BUNDLED and answers.data_dir is None:
        _check_known(answers.data)
        raise UsageError(f"--data-dir: {answers.data} needs the folder of its files; name it")
    if answers.data in BUNDLED:
        return _Data(dataset=answers.data, words="handwritten digits, 8 x 8", side=8)
    return _Data(dataset=answers.data, words=answers.data, data_dir=answers.data_dir)


def _check_known(name: str) -> None:
    """Refuse what is neither a data set nor a folder.

    Raises:
        UsageError: listing the names.
    """
    from growsearch.datasets import DATASETS

    if name not in DATASETS:
        raise UsageError(
            f"--data: {name!r} is no folder and no data set; valid: a folder of images, "
            f"{', '.join(DATASETS)}, or your own as MODULE:ATTRIBUTE"
        )


def _image_folder(folder: Path, answers: Answers) -> _Data:
    with reading(f"--data: {folder}", "no folder of images that can be read", ""):
        layout: FolderLayout = layout_of(folder, NO_KEYS)
        own = common_size(layout.files)
    count = len(layout.files)
    words = f"{count:,} images of {len(layout.classes)} classes, a folder each"
    found = _Data(
        dataset=IMAGE_FOLDER,
        words=words,
        data_dir=folder,
        notes=(f"{words}; {'; '.join(layout.notes)}",),
        side=None if own is None else max(own),
    )
    if answers.accelerator or (own is not None and max(own) <= _LARGE):
        return found
    why = "of several sizes" if own is None else f"of {own[1]} x {own[0]}"
    return dataclasses.replace(
        found,
        image_size=_ON_A_CPU,
        side=_ON_A_CPU,
        why_size=f"images {why} are read at this size: small, for a CPU; 224 is usual",
    )


def _usual_network(data: _Data, name: str) -> str:
    if data.dataset in TOKEN_DATASETS:
        return _USUAL_WORDS
    if data.side is None:
        if is_own(name):
            raise UsageError("--network: give the network for your own data, as MODULE:CLASS")
        return "resnet20" if name in ("cifar10", "cifar100", "fashion-mnist") else _USUAL_LARGE
    return next((name for side, name in _USUAL_NETWORKS if data.side <= side), _USUAL_LARGE)


def _name(answers: Answers) -> str:
    source = answers.network if answers.network and is_own(answers.network) else answers.data
    word = Path(source.partition(":")[0]).name or "study"
    kept = "".join(c if c.isalnum() or c in "._-" else "-" for c in word).strip("-._")
    return (kept if kept[:1].isalnum() and kept.isascii() else "study")[:60]


def _part(most: str, times: int) -> str:
    """Return a bound divided by ``times``, as it is written."""
    number = most.rstrip("%kKMGT ")
    try:
        return f"{float(number) / times:g}{most[len(number) :]}"
    except ValueError as error:
        raise UsageError(f"--max: {most!r} is no number such as 500k or 40%") from error


def _cores() -> int:
    return max(1, len(os.sched_getaffinity(0)))


def _quoted(text: str) -> str:
    plain = text.isascii() and re.fullmatch(r"[A-Za-z_][\w./-]*", text) is not None
    is_word = text.lower() in _YAML_WORDS
    return text if (plain and not is_word) or text == "." else json.dumps(text, ensure_ascii=False)


def _beside(line: str, comment: str) -> str:
    """Return a line with its comment behind it, or above where there is no room."""
    whole = f"{line:<{_COLUMN}}# {comment}"
    indent = " " * (len(line) - len(line.lstrip()))
    return whole if len(whole) <= _WIDTH else f"{indent}# {comment}\n{line}"
