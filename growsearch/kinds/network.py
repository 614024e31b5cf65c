"""Network of a trial: its description in files, and the module built again from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch import nn

from growsearch.errors import UsageError
from growsearch.transforms import Sizes, expand
from search_spaces import Architecture, SearchSpace, SearchSpaceError, search_space

FORMAT = 1

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
    """An architecture, the data's shape and the transform on top: the content of a network file."""

    architecture: Architecture
    input_shape: tuple[int, ...]
    num_classes: int
    transform: AppliedTransform | None = None

    def space(self) -> SearchSpace:
        """Return the search space, adapted to the data."""
        return search_space(self.architecture.space).for_data(self.input_shape, self.num_classes)

    def build(self) -> nn.Module:
        """Build the module with fresh weights; a state_dict of the trial fits it."""
        module = self.space().build(self.architecture)
        if self.transform is None:
            return module
        return expand(
            module,
            self.transform.name,
            sparsity=self.transform.sparsity,
            activation=self.transform.activation,
            sizes=self.transform.sizes,
        )

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
        return {
            "format": FORMAT,
            **self.architecture.to_json(),
            "input_shape": list(self.input_shape),
            "num_classes": self.num_classes,
            "transform": None if self.transform is None else self.transform.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote.

        Raises:
            UsageError: for another format, an unknown space or a value that does not fit.
        """
        if data.get("format") != FORMAT:
            raise UsageError(
                f"network: format = {data.get('format')!r}, this version reads {FORMAT}"
            )
        try:
            transform = data["transform"]
            network = cls(
                architecture=Architecture.from_json(data),
                input_shape=_shape(data["input_shape"]),
                num_classes=int(data["num_classes"]),
                transform=None if transform is None else _applied(transform),
            )
            network.space()
        except (KeyError, TypeError, ValueError, SearchSpaceError) as error:
            raise UsageError(f"network: {error} in {str(dict(data))[:120]}") from error
        return network


def _shape(value: Any) -> tuple[int, ...]:
    sizes = value if isinstance(value, list | tuple) else ()
    if not sizes or any(type(size) is not int or size < 1 for size in sizes):
        raise ValueError(f"input_shape = {value!r} is no list of sizes")
    return tuple(sizes)


def _applied(data: Mapping[str, Any]) -> AppliedTransform:
    ranks = data.get("ranks")
    return AppliedTransform(
        name=str(data["name"]),
        sparsity=float(data["sparsity"]),
        activation=bool(data["activation"]),
        sizes=Sizes(
            multiple=int(data.get("multiple", 1)),
            ranks=None if ranks is None else {str(k): int(v) for k, v in ranks.items()},
        ),
    )
