"""What does one line of a run's ledger say? A finished trial, read and written as plain JSON."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from growsearch.errors import UsageError
from growsearch.reading import check_json, check_text, read_limited, reason
from growsearch.reading.strict_json import refuse_constant
from growsearch.shown_text import shown, shown_data

Status = Literal["finished", "failed", "stopped"]
Method = Literal["measured", "analytic", "fitted"]

STATUSES: tuple[Status, ...] = ("finished", "failed", "stopped")
METHODS: tuple[Method, ...] = ("measured", "analytic", "fitted")

# The 95 % quantile of the standard normal distribution: 90 % lie between minus this and this.
_NINETIETH = 1.6448536269514722
# No measure of a network lies beyond it, and the volume of ten measures stays in a float's range.
MOST_VALUE = 1e30
_MOST_NUMBER = 2**63
_MOST_BYTES = 4 * 2**30
_HALF_CHARACTER = re.compile(r"\\ud[89a-f]")
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


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
    value_s: float
    low_s: float | None = None
    high_s: float | None = None
    processor_s: float | None = None
    noise: float | None = None
    batch_size: int | None = None
    threads: int | None = None
    device: str | None = None
    note: str | None = None
    measured: Latency | None = None
    layers: Mapping[str, float] = field(default_factory=dict, compare=False)

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
        method = data.get("method")
        if method not in METHODS:
            raise ValueError(f"method = {method!r} is none of {', '.join(METHODS)}")
        key = "median_s" if method == "measured" else "latency_s"
        value = _number(data, key)
        if value is None:
            raise ValueError(f"{key} is missing")
        _check_interval(data, key, value)
        return cls(
            method=method,
            value_s=value,
            low_s=_number(data, "low_s"),
            high_s=_number(data, "high_s"),
            processor_s=_number(data, "processor_s"),
            noise=_number(data, "noise"),
            batch_size=_integer(data, "batch_size"),
            threads=_integer(data, "threads"),
            device=_text(data, "device"),
            note=_text(data, "note"),
            measured=_checked_against(data),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the ledger's form; what is not known is left out."""
        key = "median_s" if self.method == "measured" else "latency_s"
        data: dict[str, Any] = {"method": self.method, key: self.value_s}
        rest = (
            *("low_s", "high_s", "processor_s", "noise"),
            *("batch_size", "threads", "device", "note"),
        )
        data |= {k: getattr(self, k) for k in rest if getattr(self, k) is not None}
        return data if self.measured is None else data | {"measured": self.measured.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRecord:
    """One layer of a trial's network: its work for one example, and what is left of its weights.

    ``latency_share`` is its share of the latency by device, where that is known.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    dense_macs: int
    effective_macs: int
    parameters: int
    nonzero_parameters: int
    latency_share: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LayerRecord:
        """Read ``data`` as the ledger holds it.

        Raises:
            ValueError: for a missing or malformed value; the message names it.
        """
        return cls(
            name=_word(data, "name"),
            kind=_word(data, "kind"),
            output_shape=_sizes(data),
            dense_macs=_required_integer(data, "dense_macs"),
            effective_macs=_required_integer(data, "effective_macs"),
            parameters=_required_integer(data, "parameters"),
            nonzero_parameters=_required_integer(data, "nonzero_parameters"),
            latency_share=_shares(data.get("latency_share")),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the ledger's form."""
        data: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "output_shape": list(self.output_shape),
            "dense_macs": self.dense_macs,
            "effective_macs": self.effective_macs,
            "parameters": self.parameters,
            "nonzero_parameters": self.nonzero_parameters,
        }
        return data | ({"latency_share": dict(self.latency_share)} if self.latency_share else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class RungResult:
    """What early stopping compared after so many epochs: finite values by name."""

    epoch: int
    values: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the ledger's form."""
        return {"epoch": self.epoch, "values": dict(self.values)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One finished, failed or early stopped candidate, with all that the run knows about it.

    ``metrics`` are finite numbers by name ("accuracy" in [0, 1], "macs" effective MACs of one
    example, "parameters" non-zero, "latency[DEVICE]" in seconds); empty for a trial that failed
    before it was measured, and of its last epoch for one that was stopped. ``network`` is the
    content of its architecture.json. ``rungs`` are the results by which early stopping compared it.
    """

    id: str
    number: int
    kind: str
    status: Status
    config: Mapping[str, Any]
    seed: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    latency: Mapping[str, Latency] = field(default_factory=dict)
    network: Mapping[str, Any] | None = None
    network_hash: str | None = None
    layers: tuple[LayerRecord, ...] = ()
    duration_s: float = 0.0
    error: str | None = None
    rungs: tuple[RungResult, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether the trial has a result to compare."""
        return self.status == "finished"

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
        missing = [key for key in ("id", "number", "kind", "status") if key not in data]
        if missing:
            raise ValueError(f"{missing[0]} is missing")
        if data["status"] not in STATUSES:
            raise ValueError(f"status = {data['status']!r} is none of {', '.join(STATUSES)}")
        metrics = _mapping(data, "metrics")
        number, seed = _required_integer(data, "number"), _integer(data, "seed") or 0
        if number < 0 or seed < 0:
            raise ValueError(f"number = {number} or seed = {seed} is below 0")
        return cls(
            id=_checked_id(data["id"]),
            number=number,
            kind=_text(data, "kind") or "",
            status=data["status"],
            config=_free(data, "config"),
            seed=seed,
            metrics=_measures(metrics),
            latency=_latencies(_mapping(data, "latency")),
            network=_free(data, "network") or None,
            network_hash=_text(data, "network_hash"),
            layers=tuple(_layer(entry) for entry in data.get("layers") or ()),
            duration_s=_number(data, "duration_s") or 0.0,
            error=_text(data, "error"),
            rungs=tuple(_rung(entry) for entry in data.get("rungs") or ()),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the ledger's form: ``from_json`` of it is this trial again."""
        rungs = {"rungs": [rung.to_json() for rung in self.rungs]} if self.rungs else {}
        return {
            "id": self.id,
            "number": self.number,
            "kind": self.kind,
            "status": self.status,
            "config": dict(self.config),
            "seed": self.seed,
            "metrics": dict(self.metrics),
            "latency": {name: entry.to_json() for name, entry in self.latency.items()},
            "network": None if self.network is None else dict(self.network),
            "network_hash": self.network_hash,
            "layers": [layer.to_json() for layer in self.layers],
            "duration_s": self.duration_s,
            "error": self.error,
            **rungs,
        }

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The trials of a run in the order they finished, and what was odd about the file."""

    trials: tuple[Trial, ...]
    notes: tuple[str, ...] = ()

    def by_id(self) -> dict[str, Trial]:
        """Return the trials by id."""
        return {trial.id: trial for trial in self.trials}


def read_ledger(path: Path) -> Ledger:
    """Read ``trials.jsonl``; a file that is not there is an empty ledger.

    A line cut short by a crash is skipped with a note, also where a later append closed it off with
    a line break. An id that comes twice keeps its later entry.

    Raises:
        UsageError: for a line that is whole and still no trial, with file, line and remedy.
    """
    # A link that leads nowhere is no ledger that was never begun.
    if not os.path.lexists(path):
        return Ledger(trials=())
    try:
        content = read_limited(path, _MOST_BYTES)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {shown(str(path))}: {reason(error)}; restore the file, or start anew "
            "with --fresh"
        ) from error
    return _parse(path, content.split(b"\n"))


def _parse(path: Path, lines: list[bytes]) -> Ledger:
    trials: dict[str, Trial] = {}
    notes: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{shown(str(path))}:{number}"
        try:
            trial = Trial.from_json(_object(line))
        except MemoryError:
            raise
        except Exception as error:
            if number == len(lines) or _cut_short(line):
                notes.append(f"{place}: a line cut short by a crash was ignored")
                continue
            raise UsageError(
                f"{place}: not a trial ({reason(error)}). Remove this line (the trial is then run "
                "again when the search resumes) or restore the file."
            ) from error
        if trial.id in trials and not trial.checked:
            notes.append(f"{place}: trial {trial.id} comes again; the later entry counts")
            del trials[trial.id]
        trials[trial.id] = trial
    return Ledger(trials=tuple(trials.values()), notes=tuple(notes))


def _cut_short(line: bytes) -> bool:
    """Tell whether ``line`` starts an object that never closes.

    `growsearch.files.append_line` closes a torn line off with a line break, so that one may stand
    in the middle of a ledger; its trial was never recorded and runs again.
    """
    if not line.startswith(b"{"):
        return False
    depth, in_string, escaped = 0, False, False
    for byte in line:
        if in_string:
            in_string = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            in_string = True
        else:
            depth += (byte in b"{[") - (byte in b"}]")
            if depth == 0:
                return False
    return True


def _object(line: bytes) -> Mapping[str, Any]:
    data = _DECODER.decode(line.decode())
    if not isinstance(data, dict):
        raise ValueError("a line holds one JSON object")
    return data


# Ledgers hold lines by the hundred thousand: numbers are looked at where they are read, since a
# call for each would take three times as long.
_DECODER = json.JSONDecoder(parse_constant=refuse_constant)


def _measures(data: Mapping[str, Any]) -> dict[str, float]:
    for name in data:
        check_text(name)
    return {name: _finite(data, name) for name in data}


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{key} is not an object")
    return value


def _free(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return what no other rule looks into."""
    value = _mapping(data, key)
    check_json(value)
    return value


def _text(data: Mapping[str, Any], key: str) -> str | None:
    return None if data.get(key) is None else _word(data, key)


def _finite(data: Mapping[str, Any], key: str) -> float:
    value = data[key]
    # What a ledger holds by the hundred thousand comes first; NaN is inside no bounds.
    if type(value) in (int, float) and -MOST_VALUE <= value <= MOST_VALUE:
        return value  # type: ignore[no-any-return]
    raise ValueError(f"{key} = {repr(value)[:60]} is not a finite number up to {MOST_VALUE:g}")


def _number(data: Mapping[str, Any], key: str) -> float | None:
    return None if data.get(key) is None else _finite(data, key)


def _integer(data: Mapping[str, Any], key: str) -> int | None:
    return None if data.get(key) is None else _required_integer(data, key)


def _sizes(data: Mapping[str, Any]) -> tuple[int, ...]:
    sizes = data.get("output_shape", ())
    if {*map(type, sizes)} - {int} or min(sizes, default=0) < 0:
        raise ValueError(f"output_shape = {str(sizes)[:60]} is no list of sizes")
    return tuple(sizes)


def _word(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key, "")
    if type(value) is not str:
        raise ValueError(f"{key} = {repr(value)[:60]} is no text")
    check_text(value)
    return value


def _check_interval(data: Mapping[str, Any], key: str, value: float) -> None:
    """Refuse a latency that is none, or an interval that is none."""
    if value <= 0:
        raise ValueError(f"{key} = {value} is not above 0")
    low, high = _number(data, "low_s"), _number(data, "high_s")
    if low is not None and high is not None and not 0 <= low <= high:
        raise ValueError(f"low_s = {low} and high_s = {high} are no interval")
    for name in ("noise", "processor_s"):
        found = _number(data, name)
        if found is not None and (found < 0 or (found == 0 and name == "processor_s")):
            raise ValueError(f"{name} = {found} is too small")


def _shares(value: Any) -> dict[str, float]:
    if not value:
        return {}
    try:
        shares: dict[str, float] = dict(value)
        for share in shares.values():
            if not 0 <= share <= 1:
                raise ValueError
    except (TypeError, ValueError):
        raise ValueError(f"latency_share = {value!r} has no shares in [0, 1]") from None
    return shares


def _required_integer(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    if type(value) is int and value.bit_length() < 64:
        return value
    if key not in data:
        raise ValueError(f"{key} is missing")
    found = _finite(data, key)
    if found != int(found) or abs(found) >= _MOST_NUMBER:
        raise ValueError(f"{key} = {found:g} is not a whole number below 2^63")
    return int(found)


def _checked_id(value: Any) -> str:
    """Refuse an id that would leave ``trials/``: it names a folder."""
    if not isinstance(value, str) or not _SAFE_ID.fullmatch(value):
        raise ValueError(f"id = {repr(value)[:60]} is not made of letters, digits, - and _")
    return value


def _checked_against(data: Mapping[str, Any]) -> Latency | None:
    measured = _mapping(data, "measured")
    return Latency.from_json(measured) if measured else None


def _latencies(data: Mapping[str, Any]) -> dict[str, Latency]:
    found = {}
    for device in data:
        check_text(device)
        try:
            found[device] = Latency.from_json(_mapping(data, device))
        except ValueError as error:
            raise ValueError(f"latency of {device}: {error}") from error
    return found


def _rung(entry: Any) -> RungResult:
    if not isinstance(entry, Mapping):
        raise ValueError("a rung is not an object")
    values = _mapping(entry, "values")
    return RungResult(
        epoch=_required_integer(entry, "epoch"), values={n: _finite(values, n) for n in values}
    )


def _layer(entry: Any) -> LayerRecord:
    # There are ten thousands: the usual answer first.
    if type(entry) is not dict and not isinstance(entry, Mapping):
        raise ValueError("a layer is not an object")
    try:
        return LayerRecord.from_json(entry)
    except ValueError as error:
        raise ValueError(f"layer {entry.get('name')}: {error}") from error
