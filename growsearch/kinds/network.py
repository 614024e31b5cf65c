"""Network of a trial: its description in files, and the module built again from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Self

from torch import nn

from growsearch.errors import UsageError
from growsearch.kinds.network_bounds import (
    check_widths,
    checked_classes,
    checked_multiple,
    checked_paths,
    checked_ranks,
    checked_shape,
    checked_sparsity,
    is_sketching,
    shapes_of,
)
from growsearch.reading import reading
from growsearch.shown_text import shown
from growsearch.training import InUnits, TargetScale
from growsearch.transforms import Sizes, expand
from search_spaces import Architecture, SearchSpace, SearchSpaceError, search_space
from search_spaces.code_origin import FOUND_HERE, CodeNames
from search_spaces.user_code import is_own

FORMAT = 1
_REMEDY = "run the trial again, or restore the file"
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
        if self.sizes.whole:
            data["whole"] = list(self.sizes.whole)
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
            UsageError: if there is no such network, or it would be far larger than its space or
                this machine is; a description may come from anybody's file.
        """
        with self._reading():
            if not (self.own_code or is_sketching()):
                self.shapes()
            return self._built()

    @property
    def own_code(self) -> bool:
        """Whether the space or the transform is a person's own code."""
        return is_own(self.architecture.space) or (
            self.transform is not None and is_own(self.transform.name)
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of its parameters and buffers by name, without allocating them.

        Raises:
            UsageError: as `build`.
        """
        with self._reading():
            return shapes_of(self.build)

    def _reading(self) -> AbstractContextManager[None]:
        return reading(f"network of space {self.architecture.space}", _REMEDY)

    def _built(self) -> nn.Module:
        space = self.space()
        check_widths(space, self.architecture)
        module = space.build(self.architecture)
        if self.transform is not None:
            module = expand(
                module,
                self.transform.name,
                sparsity=self.transform.sparsity,
                activation=self.transform.activation,
                sizes=self.transform.sizes,
            )
        return module if self.target_scale is None else InUnits(module, self.target_scale)

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
    def from_json(cls, data: Mapping[str, Any], names: CodeNames = FOUND_HERE) -> Self:
        """Read what ``to_json`` wrote.

        Args:
            data: plain JSON data, as files hold it.
            names: decides which own code it may name; by default what this process has found
                before.

        Raises:
            UsageError: for another format, an unknown space, a value that does not fit, or code
                that may not be imported.
        """
        if not isinstance(data, Mapping):
            raise UsageError(f"network: {str(data)[:60]!r} is no description; {_REMEDY}")
        if data.get("format") != FORMAT:
            found = repr(data.get("format"))[:60]
            raise UsageError(f"network: format = {found}, this version reads {FORMAT}; {_REMEDY}")
        with reading(f"network {shown(str(dict(data))[:120])}", _REMEDY):
            transform = data["transform"]
            architecture = Architecture.from_json(data)
            named = [architecture.space, *([] if transform is None else [_name(transform["name"])])]
            try:
                for name in named:
                    names.check(name)
            except SearchSpaceError as error:
                raise UsageError(f"network: {error}") from error
            network = cls(
                architecture=architecture,
                input_shape=checked_shape(data["input_shape"]),
                num_classes=checked_classes(data["num_classes"]),
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


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"name = {str(value)[:60]} is no text")
    return value


def _applied(data: Mapping[str, Any]) -> AppliedTransform:
    activation = data["activation"]
    if type(activation) is not bool:
        raise ValueError(f"activation = {str(activation)[:60]}: true or false")
    return AppliedTransform(
        name=_name(data["name"]),
        sparsity=checked_sparsity(data["sparsity"]),
        activation=activation,
        sizes=Sizes(
            multiple=checked_multiple(data.get("multiple", 1)),
            ranks=checked_ranks(data.get("ranks")),
            whole=checked_paths("whole", data.get("whole", [])),
        ),
    )
