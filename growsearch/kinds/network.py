"""Network of a trial: its description in files, and the module built again from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn

from growsearch.errors import UsageError
from growsearch.reading import reading
from growsearch.shown_text import shown
from growsearch.training import InUnits, TargetScale
from growsearch.transforms import Sizes, expand
from search_spaces import Architecture, SearchSpace, search_space
from search_spaces.user_code import is_own

FORMAT = 1
_REMEDY = "run the trial again, or restore the file"
# No network that is searched here comes near; a file could ask for all of the memory.
_MAX_AXES = 4
_MAX_INPUTS = 2**24
_MAX_CLASSES = 2**24
_MAX_WIDTH = 2**20

_USUAL_SIZES = Sizes()


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedTransform:
    """A Sparse-IFT member as it was applied: enough to build its layers again."""

    name: str
    sparsity: float
    activation: bool = True
    sizes: Sizes = _USUAL_SIZES

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; sizes that follow from the rest are left out."""
        data: dict[str, Any] = {
            "name": self.name,
            "sparsity": self.sparsity,
            "activation": self.activation,
        }
        if self.sizes.multiple != 1:
            data["multiple"] = self.sizes.multiple
        if self.sizes.ranks is not None:
            data["ranks"] = dict(self.sizes.ranks)
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """An architecture, the data's shape and the transform on top: the content of a network file.

    With a ``target_scale`` the network's outputs are put into the unit of a regression's targets.
    """

    architecture: Architecture
    input_shape: tuple[int, ...]
    num_classes: int
    transform: AppliedTransform | None = None
    target_scale: TargetScale | None = None

    def space(self) -> SearchSpace:
        """Return the search space, adapted to the data."""
        return search_space(self.architecture.space).for_data(self.input_shape, self.num_classes)

    def build(self) -> nn.Module:
        """Build the module with fresh weights; a state_dict of the trial fits it.

        Raises:
            UsageError: if there is no such network; a description may come from anybody's file.
        """
        return self._built()

    def _built(self) -> nn.Module:
        with reading(f"network of space {self.architecture.space}", _REMEDY):
            module = self.space().build(self.architecture)
            if self.transform is not None:
                module = expand(
                    module,
                    self.transform.name,
                    sparsity=self.transform.sparsity,
                    activation=self.transform.activation,
                    sizes=self.transform.sizes,
                )
            if self.target_scale is not None:
                module = InUnits(module, self.target_scale)
            return module

    def values(self) -> int | None:
        """Return how many values the module has, without memory for them; None for own code."""
        transform = self.transform
        if is_own(self.architecture.space) or (transform is not None and is_own(transform.name)):
            return None
        with torch.device("meta"):
            module = self._built()
        return sum(int(tensor.numel()) for tensor in module.state_dict().values())

    @property
    def reads_words(self) -> bool:
        """Tell whether its inputs are whole numbers, words of a vocabulary."""
        return not self.space().example_inputs()[0].is_floating_point()

    @property
    def hash(self) -> str:
        """16 hexadecimal digits that name this network in every file."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        scale = self.target_scale
        return {
            "format": FORMAT,
            **self.architecture.to_json(),
            "input_shape": list(self.input_shape),
            "num_classes": self.num_classes,
            "transform": None if self.transform is None else self.transform.to_json(),
            **({} if scale is None else {"target_scale": dataclasses.asdict(scale)}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote.

        Raises:
            UsageError: for another format, an unknown space or a value that does not fit.
        """
        if not isinstance(data, Mapping):
            raise UsageError(f"network: {str(data)[:60]!r} is no description; {_REMEDY}")
        if data.get("format") != FORMAT:
            found = repr(data.get("format"))[:60]
            raise UsageError(f"network: format = {found}, this version reads {FORMAT}; {_REMEDY}")
        with reading(f"network {shown(str(dict(data))[:120])}", _REMEDY):
            transform = data["transform"]
            network = cls(
                architecture=Architecture.from_json(data),
                input_shape=_sizes(data["input_shape"]),
                num_classes=_count(data, "num_classes", _MAX_CLASSES),
                transform=None if transform is None else _applied(transform),
                target_scale=_scale(data.get("target_scale"), data["num_classes"]),
            )
            network.space()
        return network


def _scale(data: Any, columns: int) -> TargetScale | None:
    if data is None:
        return None
    mean, deviation = data["mean"], data["deviation"]
    for key, values in (("mean", mean), ("deviation", deviation)):
        sound = isinstance(values, list | tuple) and len(values) == columns
        if not sound or not all(type(v) in (int, float) and math.isfinite(v) for v in values):
            raise ValueError(f"target_scale.{key} = {str(values)[:60]}: {columns} numbers")
    if min(deviation) <= 0:
        raise ValueError(f"target_scale.deviation = {str(deviation)[:60]}: numbers above 0")
    return TargetScale(mean=tuple(map(float, mean)), deviation=tuple(map(float, deviation)))


def _sizes(shape: Any) -> tuple[int, ...]:
    sound = isinstance(shape, list | tuple) and all(type(n) is int and n > 0 for n in shape)
    if not sound or not 0 < math.prod(shape) <= _MAX_INPUTS or not 0 < len(shape) <= _MAX_AXES:
        raise ValueError(
            f"input_shape = {str(shape)[:60]}: up to {_MAX_AXES} sizes above 0, "
            f"{_MAX_INPUTS:,} values at most"
        )
    return tuple(shape)


def _count(data: Mapping[str, Any], key: str, most: int) -> int:
    value = data[key]
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"{key} = {str(value)[:60]}: a whole number from 1 to {most:,}")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"name = {str(value)[:60]} is no text")
    return value


def _applied(data: Mapping[str, Any]) -> AppliedTransform:
    sparsity, activation, ranks = data["sparsity"], data["activation"], data.get("ranks")
    if type(sparsity) not in (int, float) or not 0 <= sparsity < 1:
        raise ValueError(f"sparsity = {str(sparsity)[:60]}: a number in [0, 1)")
    if type(activation) is not bool:
        raise ValueError(f"activation = {str(activation)[:60]}: true or false")
    return AppliedTransform(
        name=_name(data["name"]),
        sparsity=float(sparsity),
        activation=activation,
        sizes=Sizes(
            multiple=_count({"multiple": 1, **data}, "multiple", _MAX_WIDTH),
            ranks=None
            if ranks is None
            else {str(name): _count(ranks, name, _MAX_WIDTH) for name in ranks},
        ),
    )
