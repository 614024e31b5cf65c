"""Plain data: frozen dataclasses from and to JSON values by pydantic, and mistakes told in words.

Numbers stay what they are: no integer becomes a float, and neither text nor a truth value is read
as a number. What was read is written again byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import GetPydanticSchema, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

_T = TypeVar("_T")
# A message shows so much of a value.
_MAX_SHOWN = 60
# By pydantic's name of a mistake. The value is not shown: it may be a whole network.
_RULES = {
    "missing": "is missing",
    "dataclass_type": "is not an object",
    "dict_type": "is not an object",
    "tuple_type": "is not a list",
}
# With the value.
_VALUE_RULES = {"string_type": "is not text"}
_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}
_MISSING_KEY = "missing_key"
_INTEGER = core_schema.int_schema(strict=True)
_FLOAT = core_schema.float_schema(strict=True, allow_inf_nan=False)


class MistakeError(ValueError):
    """A value that is missing or malformed: keys and places in lists lead to it along ``path``.

    ``rule`` says what is wrong with it.
    """

    def __init__(self, path: tuple[str | int, ...], rule: str) -> None:
        super().__init__(path, rule)
        self.path, self.rule = path, rule

    def __str__(self) -> str:
        return f"{_dotted(self.path)} {self.rule}" if self.path else self.rule

    def inside(self, depth: int) -> MistakeError:
        """Return the same for a reader who stands ``depth`` steps along the path."""
        return MistakeError(self.path[depth:], self.rule)


def missing_key(key: str) -> PydanticCustomError:
    """Return what a validator raises that misses a key of the object it is given."""
    return PydanticCustomError(_MISSING_KEY, "is missing", {"key": key})


def _dotted(path: tuple[str | int, ...]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def _whole(value: float) -> int:
    if not value.is_integer():
        raise ValueError
    return int(value)


def _integer_or(other: CoreSchema, rule: str, integer: CoreSchema = _INTEGER) -> GetPydanticSchema:
    """Return the schema of an integer or else of ``other``; ``rule`` tells what a value is not."""
    schema = core_schema.union_schema(
        [integer, other], custom_error_type="number", custom_error_message=rule
    )
    return GetPydanticSchema(lambda _source, _handler: schema)


Number = Annotated[float, _integer_or(_FLOAT, "is not a finite number")]
# Also where it was written as 3.0.
Count = Annotated[
    int,
    _integer_or(
        core_schema.no_info_after_validator_function(_whole, _FLOAT), "is not a whole number"
    ),
]
Share = Annotated[
    float,
    _integer_or(
        core_schema.float_schema(strict=True, ge=0, le=1),
        "is not a share in [0, 1]",
        core_schema.int_schema(strict=True, ge=0, le=1),
    ),
]


def adapter_of(kind: type[_T]) -> TypeAdapter[_T]:
    """Return the reader and writer of a dataclass, or of an annotated one; made once, on demand."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def from_plain(kind: type[_T], data: Any) -> _T:
    """Return the ``kind`` that JSON ``data`` describes; keys that it does not know are left alone.

    A null is what a missing key is: not known.

    Raises:
        MistakeError: for the first value that is missing or malformed.
    """
    if isinstance(data, Mapping):
        data = {key: value for key, value in data.items() if value is not None}
    try:
        return adapter_of(kind).validate_python(data)
    except ValidationError as error:
        raise _mistake(error.errors(include_url=False)[0]) from error


def to_plain(kind: type[_T], record: _T) -> dict[str, Any]:
    """Return JSON data from which `from_plain` makes an equal ``record``; keys keep their order."""
    # What is no JSON, such as NaN, is refused by who writes it; here pydantic would only warn.
    data: dict[str, Any] = adapter_of(kind).dump_python(record, warnings=False)
    return data


def _mistake(problem: ErrorDetails) -> MistakeError:
    path, kind = problem["loc"], problem["type"]
    if kind == _MISSING_KEY:
        return MistakeError((*path, problem["ctx"]["key"]), problem["msg"])
    if kind in _RULES:
        return MistakeError(path, _RULES[kind])
    value = repr(problem["input"])
    shown = value if len(value) <= _MAX_SHOWN else f"{value[: _MAX_SHOWN - 3]}..."
    return MistakeError(path, f"= {shown} {_value_rule(problem)}")


def _value_rule(problem: ErrorDetails) -> str:
    if problem["type"] == "literal_error":
        valid = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        return f"is none of {valid}"
    message = problem["msg"].removeprefix("Value error, ")
    return _VALUE_RULES.get(problem["type"], message)
