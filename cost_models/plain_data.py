"""Plain data: frozen dataclasses from and to JSON values by pydantic, and mistakes told in words.

Numbers stay what they are: no integer becomes a float, and neither text nor a truth value is read
as a number. What was read is written again byte for byte.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import GetPydanticSchema, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

_T = TypeVar("_T")
# A message shows so much of a value.
_MAX_SHOWN = 60
MISSING, NO_OBJECT, NO_LIST = "is missing", "is not an object", "is not a list"
# By pydantic's name of a mistake.
_RULES = {
    "dataclass_type": NO_OBJECT,
    "dict_type": NO_OBJECT,
    "tuple_type": NO_LIST,
    "string_type": "is not text",
}
# Told without the value, which may be a whole network.
_WITHOUT_VALUE = (MISSING, NO_OBJECT, NO_LIST)
_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}
_MISSING_KEY, _RULE = "missing_key", "rule"
_INTEGER = core_schema.int_schema(strict=True)
_FLOAT = core_schema.float_schema(strict=True, allow_inf_nan=False)


class MistakeError(ValueError):
    """A value that is missing or malformed: keys and places in lists lead to it along ``path``.

    ``rule`` says what is wrong with it; ``value`` is None where it is missing.
    """

    def __init__(self, path: tuple[str | int, ...], rule: str, value: Any = None) -> None:
        super().__init__(path, rule, value)
        self.path, self.rule, self.value = path, rule, value

    def __str__(self) -> str:
        key = f"{self.key} " if self.path else ""
        if self.rule in _WITHOUT_VALUE:
            return f"{key}{self.rule}"
        value = repr(self.value)
        shown = value if len(value) <= _MAX_SHOWN else f"{value[: _MAX_SHOWN - 3]}..."
        return f"{key}= {shown} {self.rule}"

    @property
    def key(self) -> str:
        """The path as one writes it: "layers[2].name"."""
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return "".join(steps).removeprefix(".")

    def inside(self, depth: int) -> MistakeError:
        """Return the same for a reader who stands ``depth`` steps along the path."""
        return MistakeError(self.path[depth:], self.rule, self.value)


def missing_key(key: str) -> PydanticCustomError:
    """Return what a validator raises that misses a key of the object it is given."""
    return PydanticCustomError(_MISSING_KEY, MISSING, {"key": key})


def told_by(rule: str) -> GetPydanticSchema:
    """Return what an annotation needs to have ``rule`` told of any value that does not fit it."""
    return GetPydanticSchema(
        lambda source, handler: core_schema.custom_error_schema(
            handler(source), custom_error_type=_RULE, custom_error_message=rule
        )
    )


def _whole(value: float) -> int:
    if not value.is_integer():
        raise ValueError
    return int(value)


def _integer_or(other: CoreSchema, rule: str, integer: CoreSchema = _INTEGER) -> GetPydanticSchema:
    """Return the schema of an integer or else of ``other``; ``rule`` tells what a value is not."""
    schema = core_schema.union_schema(
        [integer, other], custom_error_type=_RULE, custom_error_message=rule
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


def from_plain(kind: type[_T], data: Any, context: Any = None) -> _T:
    """Return the ``kind`` that JSON ``data`` describes; keys that it does not know are left alone.

    ``context`` is what the annotations' own validators need to know.

    Raises:
        MistakeError: for the first value that is missing or malformed.
    """
    try:
        return adapter_of(kind).validate_python(data, context=context)
    except ValidationError as error:
        raise _mistake(error.errors(include_url=False)[0]) from error


def to_plain(kind: type[_T], record: _T, context: Any = None) -> dict[str, Any]:
    """Return JSON data from which `from_plain` makes an equal ``record``; keys keep their order.

    ``context`` is what the annotations' own serializers need to know.
    """
    # What is no JSON, such as NaN, is refused by who writes it; here pydantic would only warn.
    data: dict[str, Any] = adapter_of(kind).dump_python(
        record, by_alias=True, context=context, warnings=False
    )
    return data


def _mistake(problem: ErrorDetails) -> MistakeError:
    path, kind = problem["loc"], problem["type"]
    if kind == "missing":
        return MistakeError(path, MISSING)
    if kind == _MISSING_KEY:
        return MistakeError((*path, problem["ctx"]["key"]), MISSING)
    rule = _RULES.get(kind, problem["msg"].removeprefix("Value error, "))
    if kind == "literal_error":
        valid = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        rule = f"is none of {valid}"
    return MistakeError(path, rule, problem["input"])
