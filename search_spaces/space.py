"""Architectures, typed choices and the contract of a search space: which networks are legal?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import nn

from search_spaces.errors import SearchSpaceError

Value = int | float | str | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One decision of a search space: a list of options, or an integer range.

    ``options`` lists the legal values; otherwise ``low`` and ``high`` (inclusive) bound an integer.
    ``log`` asks samplers for a logarithmic scale. ``requires`` (name, least) makes the decision
    one of architectures only whose integer choice of that name is at least so much; an earlier
    choice must have the name.

    Example:
        >>> from search_spaces import Choice
        >>> width = Choice(name="width", low=8, high=64, log=True)
        >>> width.allows(16), width.allows(128)
        (True, False)
        >>> Choice(name="cell", options=("lstm", "gru")).describe()
        'one of lstm, gru'
    """

    name: str
    options: tuple[Value, ...] | None = None
    low: int = 1
    high: int = 1
    log: bool = False
    requires: tuple[str, int] | None = None

    def applies(self, values: Mapping[str, Value]) -> bool:
        """Tell whether architectures of these values take this decision."""
        if self.requires is None:
            return True
        name, least = self.requires
        value = values.get(name)
        return isinstance(value, int) and value >= least

    def allows(self, value: Value) -> bool:
        """Tell whether ``value`` is legal for this choice."""
        if self.options is not None:
            return value in self.options
        return isinstance(value, int) and self.low <= value <= self.high

    def sample(self, generator: torch.Generator) -> Value:
        """Draw one legal value uniformly."""
        if self.options is not None:
            return self.options[_draw(len(self.options), generator)]
        return self.low + _draw(self.high - self.low + 1, generator)

    def describe(self) -> str:
        """Say what is legal, for messages."""
        if self.options is not None:
            return "one of " + ", ".join(map(str, self.options))
        return f"an integer from {self.low} to {self.high}"


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=generator))


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A legal network of one space: frozen, hashable, JSON in and out, no tensors.

    Example:
        >>> from search_spaces import Architecture
        >>> small = Architecture.of("mlp-digits", {"hidden0": 16, "hidden1": 8})
        >>> small["hidden0"], small.replace({"hidden0": 32})["hidden0"]
        (16, 32)
        >>> Architecture.from_json(small.to_json()) == small
        True
    """

    space: str
    choices: tuple[tuple[str, Value], ...]

    @classmethod
    def of(cls, space: str, choices: Mapping[str, Value]) -> Self:
        """Make an architecture from a mapping; the order of the choices does not matter."""
        return cls(space=space, choices=tuple(sorted(choices.items())))

    def __getitem__(self, name: str) -> Value:
        return dict(self.choices)[name]

    def integer(self, name: str) -> int:
        """Return the choice ``name`` as an integer."""
        return int(self[name])

    def replace(self, changes: Mapping[str, Value]) -> Architecture:
        """Return a copy with some choices changed."""
        return Architecture.of(self.space, {**dict(self.choices), **changes})

    @property
    def hash(self) -> str:
        """16 hexadecimal digits that name this network in every file."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {"space": self.space, "choices": dict(self.choices)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            SearchSpaceError: if a key is missing or a value is not a scalar.
        """
        try:
            space, choices = data["space"], data["choices"]
            legal = isinstance(space, str) and all(
                isinstance(value, (int, float, str, bool)) for value in choices.values()
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise SearchSpaceError(f"not an architecture: {error!r} in {str(data)[:80]}") from error
        if not legal:
            raise SearchSpaceError(f"not an architecture: a choice is no scalar: {str(data)[:80]}")
        return cls.of(space, choices)


class SearchSpace(Protocol):
    """A family of networks: its choices, its largest member and how each member is built."""

    @property
    def name(self) -> str:
        """The registry's name of the space."""
        ...

    @property
    def description(self) -> str:
        """One line for `growsearch list spaces`."""
        ...

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One example's shape, without the batch axis."""
        ...

    @property
    def num_classes(self) -> int:
        """The number of outputs."""
        ...

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Every decision of the space, in a fixed order."""
        ...

    def largest(self) -> Architecture:
        """Return the full configuration, which budgets given in per cent refer to."""
        ...

    def sample(self, generator: torch.Generator) -> Architecture:
        """Draw a legal architecture."""
        ...

    def mutate(self, architecture: Architecture, generator: torch.Generator) -> Architecture:
        """Change exactly one choice to another legal value."""
        ...

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the network; its modules declare their channel groups (see channel_groups.py)."""
        ...

    def with_widths(self, architecture: Architecture, widths: Mapping[str, int]) -> Architecture:
        """Return the architecture whose channel groups have these sizes."""
        ...

    def example_inputs(self, batch: int = 1) -> tuple[torch.Tensor, ...]:
        """Return zeros of the shape that the network takes."""
        ...

    def for_data(self, input_shape: tuple[int, ...], num_classes: int) -> SearchSpace:
        """Return the same space for another input shape and number of classes."""
        ...


class ChoiceSpace:
    """Sampling, mutation and checks that every space built from `Choice` objects shares."""

    __slots__ = ()
    name: str

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Every decision of the space, in a fixed order."""
        raise NotImplementedError

    def largest(self) -> Architecture:
        """Return the full configuration: the last option or the upper end of every choice."""
        return Architecture.of(
            self.name,
            {c.name: c.options[-1] if c.options is not None else c.high for c in self.choices},
        )

    def active(self, values: Mapping[str, Value]) -> tuple[Choice, ...]:
        """Return the choices that architectures of these values take."""
        return tuple(choice for choice in self.choices if choice.applies(values))

    def sample(self, generator: torch.Generator) -> Architecture:
        """Draw a legal architecture."""
        return Architecture.of(self.name, self._completed({}, generator))

    def mutate(self, architecture: Architecture, generator: torch.Generator) -> Architecture:
        """Change exactly one choice to another legal value.

        Choices that only the old value asked for go; those that the new one asks for are drawn.
        """
        self.check(architecture)
        values = dict(architecture.choices)
        active = self.active(values)
        changeable = [c for c in active if c.options is None or len(c.options) > 1]
        changeable = [c for c in changeable if c.options is not None or c.high > c.low]
        choice = changeable[_draw(len(changeable), generator)]
        while values[choice.name] == architecture[choice.name]:
            values[choice.name] = choice.sample(generator)
        return Architecture.of(self.name, self._completed(values, generator))

    def _completed(
        self, given: Mapping[str, Value], generator: torch.Generator
    ) -> dict[str, Value]:
        """Return the given values of all choices that apply, and a draw where none is given."""
        values: dict[str, Value] = {}
        for choice in self.choices:
            if choice.applies(values):
                known = choice.name in given
                values[choice.name] = given[choice.name] if known else choice.sample(generator)
        return values

    def check(self, architecture: Architecture) -> None:
        """Raise unless the architecture is legal here.

        Raises:
            SearchSpaceError: naming the choice, its value and the rule.
        """
        self.check_names(architecture)
        for choice in self.active(dict(architecture.choices)):
            value = architecture[choice.name]
            if not choice.allows(value):
                raise SearchSpaceError(
                    f"{self.name}: {choice.name} = {value!r} is not {choice.describe()}"
                )

    def check_names(self, architecture: Architecture) -> None:
        """Raise unless the architecture is of this space and takes the decisions that it must.

        Raises:
            SearchSpaceError: naming the space or the choice.
        """
        if architecture.space != self.name:
            raise SearchSpaceError(
                f"architecture of space {architecture.space!r} given to space {self.name!r}"
            )
        given = dict(architecture.choices)
        for choice in self.choices:
            if choice.applies(given) and choice.name not in given:
                raise SearchSpaceError(f"{self.name}: choice {choice.name!r} is missing")
        active = {choice.name for choice in self.active(given)}
        for choice in self.choices:
            if choice.name in given and choice.name not in active:
                assert choice.requires is not None
                name, least = choice.requires
                raise SearchSpaceError(
                    f"{self.name}: {choice.name} is there only where {name} is at least {least}"
                )
        unknown = sorted(given.keys() - active)
        if unknown:
            raise SearchSpaceError(
                f"{self.name}: unknown choice {unknown[0]!r}; "
                f"known: {', '.join(c.name for c in self.choices)}"
            )
