"""Study configuration: the YAML that a person writes, checked key by key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, StrictBool, field_validator, model_validator

from growsearch.datasets import TOKEN_DATASETS
from growsearch.datasets.texts.text_windows import WINDOW_WORDS
from growsearch.errors import UsageError
from growsearch.kinds import DataChoice, Strict, TextReading, TrialKinds
from growsearch.kinds.values import Duration, Share
from growsearch.pareto import MEASURES, Bound, Direction, Preference
from growsearch.search.config.bounds import check_agreement, parse_limits, parse_quantities
from growsearch.search.config.metric_options import MetricOptions
from growsearch.search.config.numbers import MAX_SEED, Number, Whole
from growsearch.search.config.sharing import sharing_problem
from growsearch.search.config.training import TrainingSettings
from growsearch.search.config.units import with_units

__all__ = [
    "PLAIN_OBJECTIVES",
    "FirstFidelitySettings",
    "Limits",
    "SearchSettings",
    "SelectSettings",
    "StopEarly",
    "StudyConfig",
]

PLAIN_OBJECTIVES = ("accuracy", "macs", "dense_macs", "parameters", "training_macs")
Sampler = Literal["auto", "random", "tpe", "nsga2", "gp", "gp-ehvi"]
Backend = Literal["ray", "serial"]
Proxy = Literal["synflow", "snip", "gradient_flow"]

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+")
# Devices that Ray shares out as "GPU".
_RAYS_GPUS = ("cuda", "xpu")
_LATENCY = re.compile(r"latency\[(.+)\]")


class Limits(Strict):
    """A hard bound on a metric."""

    max: Number | None = None
    min: Number | None = None


class StopEarly(Strict):
    """Asynchronous successive halving: the worse trials of each rung are stopped.

    Rungs are after ``first`` epochs and its multiples by powers of ``eta``; a trial goes on if it
    is among the best 1/``eta`` that came there.
    """

    first: Whole = Field(default=1, ge=1)
    eta: Whole = Field(default=3, ge=2)


class FirstFidelitySettings(Strict):
    """Rung 0: candidates are scored before they train, and the better share of a pool trains.

    ``proxy`` scores an untrained network, see `growsearch.trial.proxies`; of every ``pool``
    candidates the share ``keep`` is trained.
    """

    proxy: Proxy = "synflow"
    keep: Number = Field(default=0.5, gt=0.0, lt=1.0)
    pool: Whole = Field(default=16, ge=2)


class SearchSettings(Strict):
    """How the space is searched.

    ``points_to_evaluate`` come first: candidates, "dense" or "papers". ``warm_start`` are folders
    of earlier runs on the same data, from which the sampler learns.
    """

    sampler: Sampler = "auto"
    trials: Whole = Field(default=32, ge=1)
    parallel: Whole = Field(default=1, ge=1)
    seed: Whole = Field(default=0, ge=0, le=MAX_SEED)
    backend: Backend = "ray"
    stop_early: StopEarly | None = None
    first_fidelity: FirstFidelitySettings | None = None
    points_to_evaluate: tuple[dict[str, Any] | Literal["dense", "papers"], ...] = ()
    warm_start: tuple[Path, ...] = ()
    # What one attempt at a trial may take, in seconds or as "30 min"; without it there is no limit.
    time_limit: Duration = None
    gpus_per_trial: Number = Field(
        default=0.0,
        ge=0.0,
        description="GPUs that Ray gives each trial for itself, to train or measure on: a part of "
        "one (0.5 is two trials a GPU) or a whole number; 0 gives none. On several, of one node, a "
        "trial trains data-parallel, a worker each.",
    )
    workers_per_trial: Whole = Field(
        default=1,
        ge=1,
        le=4096,
        description="Processes of one node that train each trial together, each on its share of "
        "every batch; they have cpus_per_trial cores each. On GPUs it follows from gpus_per_trial.",
    )
    cpus_per_trial: Whole = Field(
        default=1,
        ge=1,
        le=4096,
        description="Processor cores that Ray reserves for each trial (each worker of it, where "
        "there are several), and its threads where training.threads is auto.",
    )


class SelectSettings(Strict):
    """Which network the study ends with.

    ``weights`` go with ``prefer: weights``; ``confidence`` is how sure the bounds must be met.
    """

    max: dict[str, Number] = Field(default_factory=dict)
    min: dict[str, Number] = Field(default_factory=dict)
    prefer: Preference = "accuracy"
    weights: dict[str, Number] = Field(default_factory=dict)
    confidence: Share = None

    @model_validator(mode="after")
    def _weights_are_used(self) -> SelectSettings:
        if bool(self.weights) != (self.prefer == "weights"):
            raise ValueError("weights and prefer: weights go together; add the other, or remove it")
        return self

    @field_validator("max", "min", mode="before")
    @classmethod
    def _quantities(cls, value: Any) -> Any:
        return parse_quantities(value)

    def bounds(self) -> tuple[Bound, ...]:
        """Return the bounds in the order they were written."""
        upper = [Bound(objective=n, sense="max", value=v) for n, v in self.max.items()]
        lower = [Bound(objective=n, sense="min", value=v) for n, v in self.min.items()]
        return (*upper, *lower)


class TextSettings(Strict):
    """How a text is read: as a whole, in windows that follow one another.

    ``carried`` lets recurrent networks read on from the state in which the last window left them;
    without it each window is read alone. ``epoch_tokens`` makes an epoch a stretch of so many
    tokens, from a random place each time.
    """

    carried: StrictBool = True
    window: Whole = Field(default=WINDOW_WORDS, ge=1)
    epoch_tokens: Whole | None = Field(default=None, ge=2)


class StudyConfig(Strict):
    """A whole study, every value resolved."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    dataset: str
    data_dir: Path | None = None
    # Train on so many examples (tokens of a text) only.
    subset: Whole | None = Field(default=None, ge=1)
    # A text that is read as a whole; without it, in windows alone.
    text: TextSettings | None = None
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    # Where own code, "module:attribute", is found, beside what is installed.
    code_dir: Path | None = None
    trials: TrialKinds
    objectives: dict[str, Direction] = Field(min_length=1)
    constraints: dict[str, Limits] = Field(default_factory=dict)
    search: SearchSettings = Field(default_factory=SearchSettings)
    select: SelectSettings = Field(default_factory=SelectSettings)
    # Where the search can be followed beside its own files; see `growsearch.search.trackers`.
    trackers: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = ()
    # Where a copy of the run is kept while it searches: s3://bucket/runs, or any of pyarrow's.
    mirror: str | None = None
    # Files of `growsearch profile`: such a device is predicted, and measured for the front alone.
    profiles: dict[str, Path] = Field(default_factory=dict)
    # Of measures beyond accuracy: what they are taken against, how far an attack may go.
    metrics: MetricOptions = Field(default_factory=MetricOptions)

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, value: str) -> str:
        from growsearch.datasets import check_dataset_name

        try:
            check_dataset_name(value)
        except UsageError as error:
            raise ValueError(str(error).removeprefix("dataset: ")) from error
        return value

    @field_validator("mirror")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is not None and not _ADDRESS.fullmatch(value):
            raise ValueError("an address has a scheme: s3://bucket/runs, or file:///folder")
        return value

    @field_validator("constraints", mode="before")
    @classmethod
    def _constraint_quantities(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {name: parse_limits(name, limits) for name, limits in value.items()}

    @model_validator(mode="after")
    def _known_metrics(self) -> StudyConfig:
        for name in (*self.objectives, *self.constraints, *self.select.max, *self.select.min):
            _check_metric(name)
        for name in self.select.weights:
            if name not in self.objectives:
                raise ValueError(f"select.weights: {name} is no objective of this study")
        missing = [n for n in (*self.select.max, *self.select.min) if n not in self.metric_names]
        if missing:
            raise ValueError(
                f"select: {missing[0]} is not measured in this study; add it to the objectives"
            )
        return self

    @model_validator(mode="after")
    def _a_text_is_one(self) -> StudyConfig:
        if self.text is not None and self.dataset not in TOKEN_DATASETS:
            raise ValueError(
                f"text: {self.dataset} is no text; remove the key, or take one of: "
                f"{', '.join(TOKEN_DATASETS)}"
            )
        return self

    @model_validator(mode="after")
    def _bounds_agree(self) -> StudyConfig:
        check_agreement("constraints", self.bounds())
        check_agreement("select", (*self.select.bounds(), *self.bounds()))
        return self

    @model_validator(mode="after")
    def _profiles_are_used(self) -> StudyConfig:
        for device in self.profiles:
            if device not in self.devices:
                raise ValueError(
                    f"profiles: latency[{device}] is no objective or constraint of this study; "
                    f"add it, or remove the profile of {device}"
                )
        return self

    @model_validator(mode="after")
    def _rungs_before_the_end(self) -> StudyConfig:
        stop, most = self.search.stop_early, self.trials.max_epochs
        if stop is not None and stop.first >= most:
            raise ValueError(
                f"search.stop_early: first = {stop.first} is not before the end of the longest "
                f"trial, {most} epochs; lower it, or remove stop_early"
            )
        return self

    @model_validator(mode="after")
    def _something_to_score(self) -> StudyConfig:
        if self.search.first_fidelity is None:
            return self
        if self.objectives.get("accuracy") != "maximize":
            raise ValueError(
                "search.first_fidelity: proxies stand for the accuracy; add accuracy: maximize to "
                "the objectives, or remove the key"
            )
        if not any(kind.fixed_network(space) for kind, space in self.trials.items()):
            raise ValueError(
                "search.first_fidelity: only trials that start with their network (sparse, without "
                "grow) can be scored before training; growth decides on it later. Add such, or "
                "remove the key"
            )
        return self

    @model_validator(mode="after")
    def _gpus_are_used(self) -> StudyConfig:
        from cost_models import DEVICES

        share = self.search.gpus_per_trial
        if share > 1 and share != round(share):
            raise ValueError(
                f"search.gpus_per_trial = {share}: a part of one GPU, or a whole number of them"
            )
        accelerated = [name for name, device in DEVICES.items() if device.needs.accelerator]
        trains = self.training.device
        if share and trains == "cpu" and not set(accelerated) & set(self.devices):
            raise ValueError(
                "search.gpus_per_trial: trials train on the cpu and no device of this study is a "
                f"GPU; let training.device be auto, add the latency of one "
                f"({', '.join(accelerated)}), or remove the key"
            )
        if not share and self.search.backend == "ray" and trains.partition(":")[0] in _RAYS_GPUS:
            raise ValueError(
                f"training.device = {trains}: Ray hides GPUs from trials that ask for none; give "
                "search.gpus_per_trial, such as 1, or search with backend: serial"
            )
        return self

    @model_validator(mode="after")
    def _workers_can_train_together(self) -> StudyConfig:
        problem = sharing_problem(self.workers, self.search, self.training, self.trials)
        if problem is not None:
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _threads_are_a_number(self) -> StudyConfig:
        """Resolve auto here, since a run goes on with as many as it started with."""
        resolved = self.training.model_copy(update={"threads": self.threads})
        # The model is frozen for everybody else.
        self.__dict__["training"] = resolved
        return self

    @property
    def workers(self) -> int:
        """The processes that train each trial together."""
        search = self.search
        if search.gpus_per_trial > 1 and self.training.device != "cpu":
            return int(search.gpus_per_trial)
        return search.workers_per_trial

    @property
    def threads(self) -> int:
        """The threads that each trial trains with."""
        found = self.training.threads
        return found if isinstance(found, int) else self.search.cpus_per_trial

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices whose latency is asked for, in order of their first mention."""
        found = (_LATENCY.fullmatch(name) for name in (*self.objectives, *self.constraints))
        return tuple(dict.fromkeys(match[1] for match in found if match))

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Every metric that a finished trial of this study has."""
        return (
            *PLAIN_OBJECTIVES,
            *self.quality_names,
            *(f"latency[{device}]" for device in self.devices),
        )

    @property
    def quality_names(self) -> tuple[str, ...]:
        """The measures beyond accuracy that are asked for, in order of their first mention."""
        asked = dict.fromkeys((*self.objectives, *self.constraints))
        known = _quality_metrics()
        return tuple(name for name in asked if name in known)

    @property
    def data(self) -> DataChoice:
        """The data of the study, ready to be loaded."""
        text = self.text
        return DataChoice(
            name=self.dataset,
            folder=self.data_dir,
            subset=self.subset,
            text=None
            if text is None
            else TextReading(
                carried=text.carried, window=text.window, epoch_tokens=text.epoch_tokens
            ),
        )

    def bounds(self) -> tuple[Bound, ...]:
        """Return the study's hard constraints."""
        found = []
        for name, limits in self.constraints.items():
            if limits.max is not None:
                found.append(Bound(objective=name, sense="max", value=limits.max))
            if limits.min is not None:
                found.append(Bound(objective=name, sense="min", value=limits.min))
        return tuple(found)

    def to_plain(self) -> dict[str, Any]:
        """Return what `load_study` reads, every default written out."""
        return with_units(self.model_dump(mode="json", exclude_none=True))


def _check_metric(name: str) -> None:
    from cost_models import DEVICES

    match = _LATENCY.fullmatch(name)
    if match and match[1] not in DEVICES:
        raise ValueError(f"unknown device {match[1]!r} in {name}; valid: {', '.join(DEVICES)}")
    valid = (*PLAIN_OBJECTIVES, *_quality_metrics())
    if not match and name not in valid:
        raise ValueError(f"unknown metric {name!r}; valid: {', '.join(valid)}, latency[DEVICE]")


def _quality_metrics() -> tuple[str, ...]:
    """Return the names of the measures beyond accuracy."""
    return tuple(name for name in MEASURES if name not in PLAIN_OBJECTIVES)
