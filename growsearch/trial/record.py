"""Trial records: a finished candidate with all that a run knows about it, as a ledger line has it.

The fields are the keys of the line in their order. Reading checks every value; writing leaves out
what the annotations say.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    WrapSerializer,
)

from cost_models.plain_data import (
    Count,
    MistakeError,
    Number,
    Share,
    adapter_of,
    from_plain,
    missing_key,
    to_plain,
)
from growsearch.reading import check_json, check_text
from growsearch.reading.strict_json import refuse_constant
from growsearch.shown_text import shown_data
from growsearch.trial.trial_folder import is_trial_id

Status = Literal["finished", "failed", "stopped"]
Method = Literal["measured", "analytic", "fitted"]

# What epochs are judged by, beside a task's own metrics.
JUDGED = ("accuracy", "perplexity")
# Stands before a measure of examples that the network has learned, which is none of its quality.
LEARNED = "learned_"
# The 95 % quantile of the standard normal distribution: 90 % lie between minus this and this.
_NINETIETH = 1.6448536269514722
# No measure of a network lies beyond it, and the volume of ten measures stays in a float's range.
MAX_VALUE = 1e30
_HALF_CHARACTER = re.compile(r"\\ud[89a-f]")
_METHODS: tuple[Method, ...] = get_args(Method)
# Not written where there is nothing to say.
_UNLESS_EMPTY = Field(exclude_if=operator.not_)
_UNLESS_UNKNOWN = Field(exclude_if=lambda value: value is None)


def _known(data: Mapping[str, Any]) -> dict[str, Any]:
    """Leave nulls out: what is null is not known, as what is missing."""
    return {key: value for key, value in data.items() if value is not None}


def _value_key(method: Method) -> str:
    return "median_s" if method == "measured" else "latency_s"


def _read_value(data: Any) -> Any:
    """Refuse a latency without the key by which its method calls its value, and see no other."""
    if not isinstance(data, dict) or data.get("method") not in _METHODS:
        return data
    key = _value_key(data["method"])
    if data.get(key) is None:
        raise missing_key(key)
    if key != "median_s" and "median_s" in data:
        return {name: value for name, value in data.items() if name != "median_s"}
    return data


def _write_value(latency: Latency, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
    key = _value_key(latency.method)
    return {key if name == "value_s" else name: value for name, value in write(latency).items()}


def _checked_id(value: str) -> str:
    """Refuse an id that would leave ``trials/``: it names a folder."""
    if not is_trial_id(value):
        raise ValueError("is not made of letters, digits, - and _")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """One device's latency of one network: how it was found, its interval and its conditions.

    ``value_s`` is the number that the search compares: the median of a measurement, or the
    estimate of an analytic model or of a profile ("fitted"). ``low_s``, ``high_s`` and ``noise``
    (the relative spread of a measurement) are None where the ledger does not give them.
    ``processor_s`` is processor time, the mean of the smallest samples of a measurement: what a
    profile predicts, as waiting for other programs is not in it. ``measured`` is what the device
    itself took, where an estimate was checked afterwards. ``layers`` are the shares of layers by
    name, as far as they are known; the ledger has them with the layers.
    """

    method: Method
    value_s: Annotated[Number, Field(validation_alias=AliasChoices("median_s", "latency_s"))]
    low_s: Annotated[Number | None, _UNLESS_UNKNOWN] = None
    high_s: Annotated[Number | None, _UNLESS_UNKNOWN] = None
    processor_s: Annotated[Number | None, _UNLESS_UNKNOWN] = None
    noise: Annotated[Number | None, _UNLESS_UNKNOWN] = None
    batch_size: Annotated[Count | None, _UNLESS_UNKNOWN] = None
    threads: Annotated[Count | None, _UNLESS_UNKNOWN] = None
    device: Annotated[str | None, _UNLESS_UNKNOWN] = None
    note: Annotated[str | None, _UNLESS_UNKNOWN] = None
    measured: Annotated[LatencyEntry | None, _UNLESS_UNKNOWN] = None
    layers: Annotated[Mapping[str, float], Field(exclude=True)] = field(
        default_factory=dict, compare=False
    )

    @property
    def compared_s(self) -> float:
        """What an estimate is held against: processor time, where it was measured."""
        return self.value_s if self.processor_s is None else self.processor_s

    @property
    def spread_s(self) -> float:
        """The standard deviation of `value_s`, as far as the ledger knows it, else 0.

        Of a measurement it is how far a repeat lands from it (``noise``). An estimate's interval is
        taken as the middle 90 % of a normal distribution: a profile's holds 90 % of the errors on
        networks that it had not seen, an analytic model's the largest error of its calibration.
        """
        if self.noise is not None:
            return self.noise * self.value_s
        if self.low_s is None or self.high_s is None or self.method == "measured":
            return 0.0
        return (self.high_s - self.low_s) / (2 * _NINETIETH)

    @property
    def error(self) -> float | None:
        """Relative error of an estimate that was checked: 0.1 is 10 % too slow."""
        return None if self.measured is None else self.value_s / self.measured.compared_s - 1

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Latency:
        """Read ``data`` as the ledger holds it.

        Raises:
            ValueError: for a missing or malformed value; the message names it.
        """
        return from_plain(LatencyEntry, _known(data))

    def to_json(self) -> dict[str, Any]:
        """Return the ledger's form; what is not known is left out."""
        return to_plain(LatencyEntry, self)


LatencyEntry = Annotated[Latency, BeforeValidator(_read_value), WrapSerializer(_write_value)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRecord:
    """One layer of a trial's network: its work for one example, and what is left of its weights.

    ``latency_share`` is its share of the latency by device, where that is known.
    """

    name: Annotated[str, Field(default="")]
    kind: Annotated[str, Field(default="")]
    output_shape: Annotated[tuple[Count, ...], Field(default=())]
    dense_macs: Count
    effective_macs: Count
    parameters: Count
    nonzero_parameters: Count
    latency_share: Annotated[Mapping[str, Share], _UNLESS_EMPTY] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LayerRecord:
        """Read ``data`` as the ledger holds it.

        Raises:
            ValueError: for a missing or malformed value; the message names it.
        """
        return from_plain(cls, _known(data))

    def to_json(self) -> dict[str, Any]:
        """Return the ledger's form."""
        return to_plain(LayerRecord, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RungResult:
    """What early stopping compared after so many epochs: finite values by name."""

    epoch: Count
    values: Mapping[str, Number]

    def to_json(self) -> dict[str, Any]:
        """Return the ledger's form."""
        return to_plain(RungResult, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One finished, failed or early stopped candidate, with all that the run knows about it.

    ``metrics`` are finite numbers by name ("accuracy" in [0, 1], "macs" effective MACs of one
    example, "parameters" non-zero, "latency[DEVICE]" in seconds); empty for a trial that failed
    before it was measured, and of its last epoch for one that was stopped. ``network`` is the
    content of its architecture.json. ``rungs`` are the results by which early stopping compared it.
    ``ended_at`` is Unix time in seconds, None in lines of versions that did not write it; its last
    attempt took ``duration_s``.
    """

    id: Annotated[str, AfterValidator(_checked_id)]
    number: Count
    kind: str
    status: Status
    config: Annotated[Mapping[str, Any], Field(default_factory=dict)]
    seed: Annotated[Count, Field(default=0)]
    metrics: Mapping[str, Number] = field(default_factory=dict)
    latency: Mapping[str, LatencyEntry] = field(default_factory=dict)
    network: Mapping[str, Any] | None = None
    network_hash: str | None = None
    layers: tuple[LayerRecord, ...] = ()
    duration_s: Number = 0.0
    error: str | None = None
    rungs: Annotated[tuple[RungResult, ...], _UNLESS_EMPTY] = ()
    # When it was, not what: the same candidate has the same trial in every session.
    ended_at: Annotated[Number | None, _UNLESS_UNKNOWN] = field(default=None, compare=False)

    @property
    def finished(self) -> bool:
        """Whether the trial has a result to compare."""
        return self.status == "finished"

    @property
    def is_mine(self) -> bool:
        """Is it the person's own network, evaluated and measured as it is?"""
        return self.finished and self.kind == "baseline" and self.config.get("which") == "mine"

    @property
    def failed(self) -> bool:
        """Whether the trial ended with an error."""
        return self.status == "failed"

    @property
    def stopped(self) -> bool:
        """Whether early stopping ended it before its last epoch."""
        return self.status == "stopped"

    @property
    def checked(self) -> bool:
        """Whether an estimate of it was measured afterwards: the entry then comes again."""
        return any(entry.measured is not None for entry in self.latency.values())

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trial:
        """Read one ledger entry; unknown keys are left to newer versions.

        Raises:
            ValueError: for a missing or malformed value; the message names it.
        """
        try:
            return _checked(from_plain(cls, _known(data)))
        except MistakeError as mistake:
            raise ValueError(_say(mistake, data)) from mistake

    @classmethod
    def from_line(cls, line: bytes) -> Trial:
        """Read one ledger line, as `to_line` wrote it.

        Raises:
            ValueError: for a line that is no JSON object, for a number that is not finite and for a
                missing or malformed value; the message names it.
        """
        if b"NaN" in line or b"Infinity" in line:
            return cls.from_json(_object(line))
        try:
            found = adapter_of(cls).validate_json(line)
        except ValidationError:
            # A mistake, which is told of the object, or what pydantic's JSON reader does not know.
            return cls.from_json(_object(line))
        return _checked(found)

    def to_json(self) -> dict[str, Any]:
        """Return the ledger's form: ``from_json`` of it is this trial again."""
        return to_plain(Trial, self)

    def to_line(self) -> str:
        """Return one ledger line without its line break, for `growsearch.files.append_line`.

        Raises:
            ValueError: if a number is not finite; a ledger holds none.
        """
        data = self.to_json()
        line = json.dumps(data, allow_nan=False, separators=(",", ":"))
        if not _HALF_CHARACTER.search(line):
            return line
        # Such as of a file's name in another encoding, in an error's message: no reader takes it.
        return json.dumps(shown_data(data), allow_nan=False, separators=(",", ":"))


def as_time(value: Any) -> float | None:
    """Return a Unix time of a run's files in seconds; None for what is none."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 <= value < _LAST_TIME else None


def _say(mistake: MistakeError, data: Mapping[str, Any]) -> str:
    """Name the layer, rung or device of a mistake."""
    match mistake.path:
        case ("layers" | "rungs" as which, int()):
            return f"a {which.removesuffix('s')} {mistake.rule}"
        case ("layers", int(place), *_):
            return f"layer {data['layers'][place].get('name')}: {mistake.inside(2)}"
        case ("rungs", int(place), *_):
            return f"rung {place + 1}: {mistake.inside(2)}"
        case ("latency", device):
            return f"latency of {device} {mistake.rule}"
        case ("latency", device, *_):
            return f"latency of {device}: {mistake.inside(2)}"
    return str(mistake)


def _object(line: bytes) -> Mapping[str, Any]:
    data = _DECODER.decode(line.decode())
    if not isinstance(data, dict):
        raise ValueError("a line holds one JSON object")
    return data


# Ledgers hold lines by the hundred thousand: numbers are looked at where they are read, since a
# call for each would take three times as long.
_COUNTS_BELOW = 2**63
"""The first number that no seed and no trial's number reaches: they fit 64 bits."""

# The year 9999, the last that a date is written with.
_LAST_TIME = 253_370_764_800

_DECODER = json.JSONDecoder(parse_constant=refuse_constant)


def _checked(trial: Trial) -> Trial:
    """Refuse values that no trial has, and texts that no reader takes."""
    for key, count in (("number", trial.number), ("seed", trial.seed)):
        if not 0 <= count < _COUNTS_BELOW:
            raise ValueError(f"{key} = {count} is not between 0 and 2^63 - 1")
    if trial.ended_at is not None and as_time(trial.ended_at) is None:
        raise ValueError(f"ended_at = {trial.ended_at} is no time in seconds since 1970")
    check_json(trial.config)
    check_json(trial.network or {})
    for name, value in trial.metrics.items():
        check_text(name)
        if not -MAX_VALUE <= value <= MAX_VALUE:
            raise ValueError(f"{name} = {value!r} is not a finite number up to {MAX_VALUE:g}")
    for device, latency in trial.latency.items():
        check_text(device)
        _check_interval(device, latency)
    for text in (trial.kind, trial.network_hash or ""):
        check_text(text)
    return trial


def _check_interval(device: str, latency: Latency) -> None:
    """Refuse a latency that is none, or an interval that is none."""
    where, key = f"latency of {device}", _value_key(latency.method)
    if not 0 < latency.value_s <= MAX_VALUE:
        raise ValueError(f"{where}: {key} = {latency.value_s} is not above 0")
    low, high = latency.low_s, latency.high_s
    if low is not None and high is not None and not 0 <= low <= high:
        raise ValueError(f"{where}: low_s = {low} and high_s = {high} are no interval")
    if latency.noise is not None and latency.noise < 0:
        raise ValueError(f"{where}: noise = {latency.noise} is too small")
    if latency.processor_s is not None and latency.processor_s <= 0:
        raise ValueError(f"{where}: processor_s = {latency.processor_s} is too small")
    if latency.measured is not None:
        _check_interval(device, latency.measured)
