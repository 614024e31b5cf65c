"""Own task of a study, "module:attribute": a person's loss and metrics on a data set."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from growsearch.datasets.dataset import Dataset, Split
from growsearch.errors import UsageError
from growsearch.metrics import predict_split
from growsearch.metrics.placement import device_of
from growsearch.pareto import MEASURES, Direction
from growsearch.pareto.quantities import COUNT, ENERGY, TIME, quantity_of
from growsearch.training.tasks.augmented import AugmentedExamples
from growsearch.training.tasks.task import Outputs, Scores
from search_spaces import SearchSpaceError
from search_spaces.user_code import arguments_for, find, is_own

_DIRECTIONS: tuple[Direction, ...] = ("minimize", "maximize")
# What a trial has beside its task's metrics, and what begins or marks names of another kind.
_TAKEN = ("epochs", "epoch", "loss", "mac_error")
_MARKS = ("test_", "latency", "energy", "budget_", "full_", "width")
_FORM = "give the class a mapping such as metrics = {'mae': 'minimize'}"


def own_metrics(name: str | None) -> Mapping[str, Direction]:
    """Return the metrics that an own task declares, by name with their directions; nobody's none.

    Raises:
        UsageError: if the task is not there, or its metrics are none.

    Example:
        >>> from growsearch.training import own_metrics
        >>> own_metrics("regression")
        {}
    """
    if name is None or not is_own(name):
        return {}
    plain = name.partition("@")[0]
    declared = getattr(_found(name), "metrics", None)
    if not isinstance(declared, Mapping) or not declared:
        raise UsageError(f"task: {plain} does not say what it is judged by; {_FORM}")
    for metric, direction in declared.items():
        if direction not in _DIRECTIONS:
            raise UsageError(f"task: {plain}: metrics.{metric} = {direction!r}; {_FORM}")
        if not isinstance(metric, str) or not metric.isidentifier():
            raise UsageError(f"task: {plain}: {metric!r} is no name of a metric; {_FORM}")
        _check_name(plain, metric, direction)
    return dict(declared)


def _check_name(task: str, metric: str, direction: Direction) -> None:
    """Refuse a metric's name that stands for something else in a ledger or a report."""
    cost = quantity_of(metric) in (TIME, ENERGY, COUNT)
    if cost or metric in _TAKEN or metric.startswith(_MARKS):
        raise UsageError(f"task: {task}: {metric} names something else already; call it otherwise")
    known = MEASURES.get(metric)
    if known is not None and not (known.every_epoch and known.direction == direction):
        raise UsageError(
            f"task: {task}: {metric} is the {known.title.lower()}, to {known.direction}, of other "
            "tasks; call yours otherwise"
        )


def _found(name: str) -> Any:
    plain = name.partition("@")[0]
    try:
        found = find(name)
    except SearchSpaceError as error:
        raise UsageError(f"task: {error}") from error
    if not isinstance(found, type):
        raise UsageError(
            f"task: {plain} is a {type(found).__name__}; give a class with metrics, loss and scores"
        )
    for method in ("loss", "scores"):
        if not callable(getattr(found, method, None)):
            raise UsageError(f"task: {plain} has no method {method}; see the guide on own tasks")
    return found


@functools.lru_cache(maxsize=4)
def _made(name: str, data: _ByIdentity) -> Any:
    """Return the task of a person, made once for a data set: it may hold a teacher."""
    plain = name.partition("@")[0]
    make = _found(name)
    try:
        return make(**arguments_for(make, {"dataset": data.dataset}))
    except SearchSpaceError as error:
        raise UsageError(f"task: {error}") from error
    except Exception as error:
        raise UsageError(f"task: {plain} fails: {type(error).__name__}: {error}") from error


def _held(dataset: Dataset) -> object:
    """Return what is there once for a data set, whatever is said of it."""
    return dataset.train if dataset.train.streamed else dataset.train.inputs


@dataclass(frozen=True, slots=True, eq=False)
class _ByIdentity:
    """A data set as a key: tensors have no hash, and are the same where the data set is."""

    dataset: Dataset

    def __hash__(self) -> int:
        return id(_held(self.dataset))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and (
            _held(other.dataset) is _held(self.dataset)
            and (
                self.dataset.train.streamed
                or other.dataset.train.labels is self.dataset.train.labels
            )
        )


@dataclass(frozen=True, slots=True)
class OwnTask(AugmentedExamples):
    """What a person's class says, as the training loop asks for it.

    The class has ``metrics``, a mapping of names to "minimize" or "maximize"; a method
    ``loss(outputs, targets)``, which may take ``inputs`` and ``label_smoothing`` by name, and gives
    a scalar; and a method ``scores(outputs, targets)``, which may take ``inputs``, and gives a
    number for each metric. Its constructor may take ``dataset``, and is called once a process, so
    that it may load a teacher; networks and tensors among its attributes go to the device of the
    batch. Networks give one tensor with the examples on its first axis;
    several heads stand side by side along the last, and the class takes them apart.

    Example:
        >>> import sys, types
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import OwnTask
        >>> class Hinge:
        ...     metrics = {"margin": "maximize"}
        ...     def loss(self, outputs, targets):
        ...         return torch.relu(1 - targets * outputs[:, 0]).mean()
        ...     def scores(self, outputs, targets):
        ...         return {"margin": (targets * outputs[:, 0]).mean()}
        >>> sys.modules["hinge"] = types.ModuleType("hinge")
        >>> sys.modules["hinge"].Hinge = Hinge
        >>> signs = torch.tensor([-1.0, 1.0]).repeat(20)
        >>> task = OwnTask(from_tensors(signs[:, None], signs, task="hinge:Hinge"))
        >>> float(task.loss(torch.zeros(4, 1), torch.ones(4)))
        1.0
    """

    own: Any = field(init=False, repr=False, compare=False)
    takes: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        AugmentedExamples.__post_init__(self)
        assert self.dataset.task.name is not None
        own = _made(self.dataset.task.name, _ByIdentity(self.dataset))
        object.__setattr__(self, "own", own)
        object.__setattr__(self, "takes", _named(own.loss))

    @property
    def _name(self) -> str:
        return str(self.dataset.task.name).partition("@")[0]

    def loss(
        self,
        outputs: Outputs,
        targets: Tensor,
        *,
        inputs: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Return the person's loss.

        Raises:
            UsageError: if it is no scalar with a gradient, or does not know label smoothing.
        """
        given: dict[str, Any] = {}
        if "inputs" in self.takes:
            given["inputs"] = inputs
        if "label_smoothing" in self.takes:
            given["label_smoothing"] = label_smoothing
        elif label_smoothing:
            raise UsageError(
                f"label_smoothing: {label_smoothing} in the recipe, but the loss of {self._name} "
                "does not take label_smoothing; add it, or take another recipe"
            )
        _bring(self.own, targets.device)
        found = self.own.loss(outputs, targets, **given)
        if not isinstance(found, Tensor) or found.numel() != 1:
            raise UsageError(f"task: the loss of {self._name} is no tensor with one number")
        return found.reshape(())

    @property
    def metrics(self) -> Mapping[str, Direction]:
        """The metrics that the class declares."""
        return own_metrics(self.dataset.task.name)

    @torch.no_grad()
    def scores(self, model: nn.Module, split: Split) -> Scores:
        """Return the person's metrics of all outputs on ``split``.

        Raises:
            UsageError: if one is missing, too many or no finite number.
        """
        # Where it asks for all inputs, they have to be in memory.
        given = {"inputs": split.inputs} if "inputs" in _named(self.own.scores) else {}
        outputs, labels = predict_split(model, split)
        _bring(self.own, labels.device)
        found = self.own.scores(outputs, labels, **given)
        wanted = self.metrics
        if not isinstance(found, Mapping) or set(found) != set(wanted):
            raise UsageError(
                f"task: scores of {self._name} gave {_names(found)}; wanted is a number for each "
                f"of {', '.join(wanted)}"
            )
        values = {name: float(found[name]) for name in wanted}
        accuracy = values.pop("accuracy", None)
        return Scores(accuracy=accuracy, metrics=values)


def _bring(own: Any, device: torch.device) -> None:
    """Have an own task's networks and tensors, such as a teacher, where the batch is."""
    held = {"": own} if isinstance(own, nn.Module) else getattr(own, "__dict__", {})
    for name, value in tuple(held.items()):
        if isinstance(value, nn.Module) and device_of(value) != device:
            value.to(device)
        elif isinstance(value, Tensor) and value.device != device:
            setattr(own, name, value.to(device))


def _named(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the arguments that ``function`` takes."""
    return frozenset(inspect.signature(function).parameters)


def _names(found: Any) -> str:
    return ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
