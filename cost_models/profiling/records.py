"""Profile records: what was timed on a device, and under which conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, GetPydanticSchema, SerializationInfo, Strict, ValidationInfo
from pydantic_core import core_schema

from cost_models.counting.operator_call import Operator
from cost_models.plain_data import told_by

Role = Literal["calibration", "validation"]

_Name = Annotated[str, told_by("must be a name")]
_Object = Annotated[Mapping[str, Any], told_by("must be an object")]
_Integer = Annotated[int, Strict(), told_by("must be a whole number")]
_AtLeastOne = Annotated[
    int, Field(strict=True, ge=1), told_by("must be a whole number of at least 1")
]
_Numbers = Annotated[tuple[Annotated[float, Strict()], ...], told_by("must be a list of numbers")]
_Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
_Seconds = Annotated[_Positive, told_by("must be a number above 0")]
_Halves = Annotated[tuple[_Positive, _Positive], told_by("must be two numbers above 0")]


def _operator_at(place: Any, info: ValidationInfo[Sequence[Operator]]) -> Operator:
    table = info.context or ()
    # A bool is an int to Python, and True no index.
    if type(place) is not int or not 0 <= place < len(table):
        raise ValueError(f"must be an index below {len(table)}")
    return table[place]


def _place_of(operator: Operator, info: SerializationInfo[Mapping[Operator, int]]) -> int:
    assert info.context is not None
    return info.context[operator]


# In a file by its place in the table of operators, which each is in once.
_OperatorInTable = Annotated[
    Operator,
    GetPydanticSchema(
        lambda _source, _handler: core_schema.with_info_plain_validator_function(
            _operator_at,
            serialization=core_schema.plain_serializer_function_ser_schema(
                _place_of, info_arg=True
            ),
        )
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOperator:
    """An operator and its seconds: over the whole run, and in each half of it."""

    operator: _OperatorInTable
    low_s: _Seconds
    halves_s: _Halves


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedNetwork:
    """A whole network, the operators it calls and its seconds.

    "calibration" networks are fitted on, "validation" ones only compared with. `description` says
    how to build it again; `macs` are those of the whole batch.
    """

    name: _Name
    role: Annotated[Role, told_by("must be one of calibration, validation")]
    description: _Object
    macs: _Integer
    low_s: _Seconds
    halves_s: _Halves
    operators: tuple[_OperatorInTable, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Where, when and how a profile was measured.

    `source` says what the networks were drawn from, `host` what machine and software it was.
    `passes` is how often everything was timed, `minutes` how long the whole profile took.
    """

    device: _Name
    batch_size: _AtLeastOne
    threads: _AtLeastOne
    clock: _Name
    seed: _Integer
    created: Annotated[str, told_by("must be a date")]
    source: _Object
    host: Annotated[Mapping[str, str], told_by("must be an object of texts")]
    passes: _AtLeastOne
    minutes: _Seconds
    phase: Annotated[Literal["inference"], told_by('must be "inference"')] = "inference"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRecord:
    """All that was measured. `scales` are what the operators' fits found, to fit again at once."""

    conditions: Conditions
    networks: tuple[TimedNetwork, ...]
    operators: Annotated[tuple[TimedOperator, ...], Field(alias="timings")]
    scales: Mapping[str, _Numbers] = field(default_factory=dict)

    def with_role(self, role: Role) -> tuple[TimedNetwork, ...]:
        """Give the networks of one role."""
        return tuple(network for network in self.networks if network.role == role)
