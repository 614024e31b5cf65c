"""Study configuration: the YAML that a person writes, checked key by key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from growsearch.datasets import BY_LABELS, TOKEN_DATASETS, TaskChoice
from growsearch.datasets.task_choice import GAMMA
from growsearch.errors import UsageError
from growsearch.kinds import DataChoice, Strict, TextReading, TrialKinds
from growsearch.kinds.values import OwnName, TaskName, of_run
from growsearch.pareto import MEASURES, Bound, Direction
from growsearch.pareto.ties import ties_problem
from growsearch.search.config.augmentation_value import AugmentationValue
from growsearch.search.config.bounds import check_agreement, parse_limits
from growsearch.search.config.data_settings import DataSettings, TextSettings
from growsearch.search.config.metric_names import (
    LATENCY,
    PLAIN_OBJECTIVES,
    check_metric,
    quality_metrics,
)
from growsearch.search.config.metric_options import MetricOptions
from growsearch.search.config.numbers import Number, Whole
from growsearch.search.config.search_settings import (
    FirstFidelitySettings,
    SearchSettings,
    StopEarly,
)
from growsearch.search.config.select_settings import Limits, SelectSettings
from growsearch.search.config.sharing import problem_of, workers_of_trial
from growsearch.search.config.training import TrainingSettings
from growsearch.search.config.units import with_units
from growsearch.training.tasks.own_task import own_metrics
from search_spaces.user_code import is_own, was_found

__all__ = [
    "PLAIN_OBJECTIVES",
    "FirstFidelitySettings",
    "Limits",
    "SearchSettings",
    "SelectSettings",
    "StopEarly",
    "StudyConfig",
]

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+")


class StudyConfig(Strict):
    """A whole study, every value resolved."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=80,
        description="Name of the study, and of its run's folder: runs/NAME.",
    )
    dataset: str = Field(description="A data set by name, or your own as MODULE:ATTRIBUTE.")
    data_dir: Path | None = Field(
        default=None,
        description="Folder of the data's files, relative to the study's file. Default: none, for "
        "data that need no files.",
    )
    subset: Whole | None = Field(
        default=None,
        ge=1,
        description="Train on so many examples (tokens of a text) only. Default: all.",
    )
    data: DataSettings | None = Field(
        default=None, description="How the data set's files are read."
    )
    augmentation: AugmentationValue = Field(
        default=None,
        description=(
            "How training images change by chance: a name, or a list of names and "
            "{name: {value: ...}}, one after another. Default: the data set's own."
        ),
    )
    text: TextSettings | None = Field(
        default=None, description="Read a text as a whole. Default: windows alone."
    )
    training: TrainingSettings = Field(
        default_factory=TrainingSettings, description="Where and how trials compute."
    )
    code_dir: Path | None = Field(
        default=None,
        description="Folder with own code, MODULE:ATTRIBUTE, beside what is installed; relative "
        "to the study's file. Default: that file's folder.",
    )
    task: TaskName = Field(
        default=None,
        description="What is learned: regression, multi-label, or your own as MODULE:ATTRIBUTE; "
        "without it classes of examples, words or pixels, as the labels say.",
    )
    class_weights: Literal["balanced"] | tuple[Number, ...] | None = Field(
        default=None,
        description="Factor of each class in the loss: balanced (inversely proportional to its "
        "frequency in the training split), or a number above 0 a class; without it all are 1.",
    )
    loss: Literal["cross-entropy", "focal"] | None = Field(
        default=None,
        description="Loss of classes: cross-entropy (default), or focal, which looks away from "
        "what is right already.",
    )
    gamma: Number | None = Field(
        default=None,
        ge=0,
        description="Focusing parameter of loss: focal, from 0 on (default 2); at 0 it is the "
        "cross-entropy.",
    )
    callbacks: tuple[OwnName, ...] = Field(
        default=(),
        description="Own hooks of the training loop, MODULE:CLASS each, made for every trial: "
        "subclasses of growsearch.training.Hook.",
    )
    baselines: tuple[Literal["mine", "dense", "uniform"], ...] = Field(
        default=(),
        description="Networks beside those that are searched, run first: the given one with its "
        "weights as it is (mine), the whole one trained (dense), and uniform widths at the study's "
        "budgets (uniform). No sampler hears of them, and search.trials does not count them. "
        "Default: none.",
    )
    trials: TrialKinds = Field(
        description="What is searched over: a key a kind of trial, at least one."
    )
    objectives: dict[str, Direction] = Field(
        min_length=1,
        description="What the front is made of: metrics, or latency[DEVICE], each with its "
        "direction.",
    )
    constraints: dict[str, Limits] = Field(
        default_factory=dict,
        description="Hard bounds by metric: networks outside them are not on the front, and those "
        "that will be for certain are not trained.",
    )
    search: SearchSettings = Field(
        default_factory=SearchSettings, description="How the space is searched."
    )
    select: SelectSettings = Field(
        default_factory=SelectSettings, description="Which network the study ends with."
    )
    trackers: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = Field(
        default=(), description="Where the search can be followed beside its own files."
    )
    mirror: str | None = Field(
        default=None,
        description="Address at which a copy of the run is kept while it searches: "
        "s3://bucket/runs, file:///folder or any other of pyarrow's.",
    )
    profiles: dict[str, Path] = Field(
        default_factory=dict,
        description="Files of growsearch profile by device: its latency is predicted while the "
        "search runs, and measured for the front alone.",
    )
    metrics: MetricOptions = Field(
        default_factory=MetricOptions, description="Conditions of the measures beyond accuracy."
    )
    # Of a finished network's own study: see `growsearch.search.study.finishing`.
    whole: Literal[True] | None = Field(
        default=None,
        description="Trials learn the validation examples, too, and are judged by the test.",
        json_schema_extra={"key": None},
    )

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
    def _not_whole_while_it_searches(self, info: ValidationInfo) -> StudyConfig:
        if self.whole and not of_run(info):
            raise ValueError(
                "whole: a search judges by examples that no network has learned; remove the key, "
                "and train the network that it finds by growsearch finish"
            )
        return self

    @model_validator(mode="after")
    def _a_task_that_is_one(self) -> StudyConfig:
        if self.gamma is not None and self.loss != "focal":
            raise ValueError("gamma: goes with loss: focal; add it, or remove gamma")
        try:
            self.task_choice()
            self.judged_by()
        except UsageError as error:
            raise ValueError(str(error)) from error
        if self.text is not None and self.task_choice() != BY_LABELS:
            key = "task" if self.task else "class_weights" if self.class_weights else "loss"
            raise ValueError(f"{key}: a text that is read as a whole has its own; remove the key")
        return self

    @model_validator(mode="after")
    def _known_metrics(self) -> StudyConfig:
        named: dict[str, Iterable[str]] = {
            "objectives": self.objectives,
            "constraints": self.constraints,
            "select.max": self.select.max,
            "select.min": self.select.min,
        }
        for key, names in named.items():
            for name in names:
                check_metric(key, name, self.judged_by())
        for name in self.select.weights:
            if name not in self.objectives:
                raise ValueError(f"select.weights: {name} is no objective of this study")
        missing = [n for n in (*self.select.max, *self.select.min) if n not in self.metric_names]
        if missing:
            raise ValueError(
                f"select: {missing[0]} is not measured in this study; add it to the objectives"
            )
        problem = ties_problem(self.objectives) if self.select.ties == "cheapest" else None
        if problem is not None:
            raise ValueError(f"select.ties: cheapest: {problem}; take highest or auto")
        return self

    @model_validator(mode="after")
    def _a_text_is_one(self) -> StudyConfig:
        if self.text is not None and self.dataset not in TOKEN_DATASETS:
            raise ValueError(
                f"text: {self.dataset} is no text; remove the key, or take one of: "
                f"{', '.join(TOKEN_DATASETS)}"
            )
        if self.text is not None and self.augmentation is not None:
            raise ValueError("augmentation: a text has no images to change; remove the key")
        return self

    @model_validator(mode="after")
    def _data_keys_are_used(self) -> StudyConfig:
        if self.data is not None:
            self.data.check_for(self.dataset)
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
    def _gpus_and_workers_are_used(self) -> StudyConfig:
        problem = problem_of(self.search, self.training, self.trials, self.devices)
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
        return workers_of_trial(self.search, self.training)

    @property
    def threads(self) -> int:
        """The threads that each trial trains with."""
        found = self.training.threads
        return found if isinstance(found, int) else self.search.cpus_per_trial

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices whose latency is asked for, in order of their first mention."""
        found = (LATENCY.fullmatch(name) for name in (*self.objectives, *self.constraints))
        return tuple(dict.fromkeys(match[1] for match in found if match))

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Every metric that a finished trial of this study has."""
        return (
            *PLAIN_OBJECTIVES,
            *self.task_metrics,
            *self.quality_names,
            *(f"latency[{device}]" for device in self.devices),
        )

    def judged_by(self) -> Mapping[str, Direction]:
        """Return the metrics of an own task; of another one's run, those that its study names.

        A task that nobody here has named is not imported; see `search_spaces.code_origin`.
        """
        if self.task is None or not is_own(self.task) or was_found(self.task):
            return own_metrics(self.task)
        asked = (*self.constraints, *self.select.max, *self.select.min)
        named: dict[str, Direction] = {**dict.fromkeys(asked, "maximize"), **self.objectives}
        others = {*PLAIN_OBJECTIVES, *quality_metrics()}
        return {
            name: direction
            for name, direction in named.items()
            if name.isidentifier() and name not in others
        }

    @property
    def quality_names(self) -> tuple[str, ...]:
        """The measures beyond accuracy that are asked for, in order of their first mention."""
        asked = dict.fromkeys((*self.objectives, *self.constraints))
        known = set(quality_metrics()) - set(self.judged_by())
        return tuple(name for name in asked if name in known)

    @property
    def task_metrics(self) -> tuple[str, ...]:
        """The task's own metrics that are asked for or known, beside accuracy."""
        asked = (*self.objectives, *self.constraints)
        told = [name for name in asked if name in MEASURES and MEASURES[name].every_epoch]
        found = dict.fromkeys((*self.judged_by(), *told))
        return tuple(name for name in found if name not in PLAIN_OBJECTIVES)

    def task_choice(self) -> TaskChoice:
        """Return what the study says of its task.

        Raises:
            UsageError: for keys that do not go together.
        """
        weights = self.class_weights
        return TaskChoice(
            name=self.task,
            class_weights=weights if weights is None or weights == "balanced" else tuple(weights),
            loss=self.loss or "cross-entropy",
            gamma=GAMMA if self.gamma is None else self.gamma,
        )

    @property
    def data_choice(self) -> DataChoice:
        """The data of the study, ready to be loaded."""
        text, keys = self.text, self.data or DataSettings()
        return DataChoice(
            name=self.dataset,
            folder=self.data_dir,
            subset=self.subset,
            whole=bool(self.whole),
            task=self.task_choice(),
            augmentation=self.augmentation,
            keys=keys.keys(self.search.parallel),
            loading=keys.loading(self.search.parallel),
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
