"""How is a profile kept in a file? As versioned JSON with the timings themselves, no pickle."""

import json
import math
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cost_models.counting.operator_call import Operator
from cost_models.errors import CostModelError, ProfileError
from cost_models.profiling.latency_profile import LatencyProfile, Validation
from cost_models.profiling.records import (
    ROLES,
    Conditions,
    ProfileRecord,
    TimedNetwork,
    TimedOperator,
)

FORMAT = "growsearch latency profile"
VERSION = 1
_MOST_BYTES = 256 * 2**20
_MOST_DIGITS = 20
_REMEDY = "profile the device again: growsearch profile"


def load_profile(path: str | Path) -> LatencyProfile:
    """Read a profile and fit its models again from the timings in it.

    Raises:
        ProfileError: no such file, or it is no profile; the message names key, value and rule.
    """
    path = Path(path)
    try:
        text = _text(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ProfileError(f"cannot read profile {path}: {reason}; {_REMEDY} -o {path}") from error
    try:
        return LatencyProfile(record_from_json(text))
    except ProfileError as error:
        raise ProfileError(f"{path}: {error}") from error
    except MemoryError:
        raise
    except Exception as error:
        # Timings of the right form that no model can be fitted to.
        raise ProfileError(
            f"{path}: its timings fit no model ({type(error).__name__}: {str(error)[:200]}); "
            f"{_REMEDY} -o {path}"
        ) from error


def _text(path: Path) -> str:
    """Return a profile's text; pipes and devices would never end, and no profile is so large."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no file")
        if os.fstat(file.fileno()).st_size > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES // 2**20} MiB")
        content = file.read()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError("it is not text") from error


def profile_to_json(profile: LatencyProfile) -> str:
    """Write a profile as JSON text, its timings, conditions and validation included."""
    record = profile.record
    operators = [each.operator for each in record.operators]
    called = [each for network in record.networks for each in network.operators]
    table = list(dict.fromkeys([*operators, *called]))
    place = {operator: index for index, operator in enumerate(table)}
    data = {
        "format": FORMAT,
        "version": VERSION,
        "conditions": asdict(record.conditions),
        "validation": validation_to_data(profile.validation),
        "range": range_of(record),
        "networks": [_network_to_data(network, place) for network in record.networks],
        "timings": [
            {"operator": place[each.operator], "low_s": each.low_s, "halves_s": each.halves_s}
            for each in record.operators
        ],
        "scales": profile.model.scales,
        "operators": [operator.to_data() for operator in table],
    }
    return _one_line_an_entry(data)


def validation_to_data(validation: Validation) -> dict[str, Any]:
    """Turn the figures of a validation into plain data."""
    return {
        "profile": validation.profile.to_data(),
        "macs_only": validation.macs_only.to_data(),
        "repeat_noise": validation.repeat_noise,
    }


def range_of(record: ProfileRecord) -> dict[str, list[float]]:
    """Give the span of what was measured: seconds, MACs and operators of the networks."""
    networks = record.networks
    spans: dict[str, list[float]] = {
        "latency_s": [network.low_s for network in networks],
        "macs": [network.macs for network in networks],
        "operators": [len(network.operators) for network in networks],
    }
    return {name: [min(values), max(values)] for name, values in spans.items()}


def record_from_json(text: str) -> ProfileRecord:
    """Read what `profile_to_json` wrote.

    Raises:
        ProfileError: the text is no profile, or of another version; names the key and the rule.
    """
    try:
        data = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"not JSON ({error}); {_REMEDY}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ProfileError(f'not a profile: key "format" must be "{FORMAT}"; {_REMEDY}')
    if data.get("version") != VERSION:
        raise ProfileError(
            f"version = {data.get('version')!r}: this growsearch reads {VERSION}; {_REMEDY}"
        )
    return _record(data)


def _record(data: Mapping[str, Any]) -> ProfileRecord:
    table = [_operator(index, each) for index, each in enumerate(_list(data, "operators"))]
    timings = _list(data, "timings")
    networks = _list(data, "networks")
    return ProfileRecord(
        conditions=_conditions(_get(data, "conditions", dict, "an object")),
        operators=tuple(_timed(f"timings[{n}]", each, table) for n, each in enumerate(timings)),
        networks=tuple(_network(f"networks[{n}]", each, table) for n, each in enumerate(networks)),
        scales=_scales(_get(data, "scales", dict, "an object")),
    )


def _operator(index: int, data: Any) -> Operator:
    try:
        return Operator.from_data(data)
    except CostModelError as error:
        raise ProfileError(f"operators[{index}]: {error}; {_REMEDY}") from error


def _conditions(data: Mapping[str, Any]) -> Conditions:
    where = "conditions"
    if data.get("phase") != "inference":
        raise _wrong(f"{where}.phase", data.get("phase"), 'must be "inference"')
    return Conditions(
        device=_get(data, "device", str, "a name", where),
        batch_size=_count(data, "batch_size", where),
        threads=_count(data, "threads", where),
        clock=_get(data, "clock", str, "a name", where),
        seed=_get(data, "seed", int, "a whole number", where),
        created=_get(data, "created", str, "a date", where),
        source=_get(data, "source", dict, "an object", where),
        host=_get(data, "host", dict, "an object", where),
        passes=_count(data, "passes", where),
        minutes=_seconds(data, "minutes", where),
    )


def _scales(data: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    for kind, values in data.items():
        numbers = isinstance(values, list) and all(type(each) in (int, float) for each in values)
        if not numbers:
            raise _wrong(f"scales[{kind}]", values, "must be a list of numbers")
    return {kind: tuple(map(float, values)) for kind, values in data.items()}


def _timed(where: str, data: Any, table: Sequence[Operator]) -> TimedOperator:
    return TimedOperator(
        operator=_entry(table, _get(data, "operator", int, "an index", where), where),
        low_s=_seconds(data, "low_s", where),
        halves_s=_halves(data, where),
    )


def _network(where: str, data: Any, table: Sequence[Operator]) -> TimedNetwork:
    role = _get(data, "role", str, "a role", where)
    if role not in ROLES:
        raise _wrong(f"{where}.role", role, f"must be one of {', '.join(ROLES)}")
    return TimedNetwork(
        name=_get(data, "name", str, "a name", where),
        role=role,
        description=_get(data, "description", dict, "an object", where),
        operators=tuple(_entry(table, index, where) for index in _list(data, "operators", where)),
        macs=_get(data, "macs", int, "a whole number", where),
        low_s=_seconds(data, "low_s", where),
        halves_s=_halves(data, where),
    )


def _network_to_data(network: TimedNetwork, place: Mapping[Operator, int]) -> dict[str, Any]:
    return {
        "name": network.name,
        "role": network.role,
        "description": network.description,
        "macs": network.macs,
        "low_s": network.low_s,
        "halves_s": network.halves_s,
        "operators": [place[operator] for operator in network.operators],
    }


def _get(data: Any, key: str, kind: type, rule: str, where: str = "") -> Any:
    name = f"{where}.{key}" if where else key
    if not isinstance(data, dict):
        raise _wrong(where, data, "must be an object")
    if key not in data:
        raise ProfileError(f"{name} is missing; {_REMEDY}")
    value = data[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _wrong(name, value, f"must be {rule}")
    return value


def _list(data: Any, key: str, where: str = "") -> list[Any]:
    found = _get(data, key, list, "a list", where)
    assert isinstance(found, list)
    return found


def _count(data: Any, key: str, where: str) -> int:
    value = _get(data, key, int, "a whole number of at least 1", where)
    if value < 1:
        raise _wrong(f"{where}.{key}", value, "must be a whole number of at least 1")
    return int(value)


def _seconds(data: Any, key: str, where: str) -> float:
    value = _get(data, key, (int, float), "a number above 0", where)  # type: ignore[arg-type]
    return _above_zero(value, f"{where}.{key}")


def _above_zero(value: Any, name: str) -> float:
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not 0 < value < float("inf"):
        raise _wrong(name, value, "must be a number above 0")
    return float(value)


def _halves(data: Any, where: str) -> tuple[float, float]:
    values = _list(data, "halves_s", where)
    if len(values) != 2:
        raise _wrong(f"{where}.halves_s", values, "must be two numbers")
    first, second = (_above_zero(value, f"{where}.halves_s") for value in values)
    return first, second


def _entry(table: Sequence[Operator], index: Any, where: str) -> Operator:
    # A bool is an int to Python, and True no index.
    if type(index) is not int or not 0 <= index < len(table):
        raise _wrong(f"{where}: operator", index, f"must be an index below {len(table)}")
    return table[index]


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too large")
    return int(text)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no finite number")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_int=_whole, parse_constant=_no_number)


def _wrong(name: str, value: Any, rule: str) -> ProfileError:
    return ProfileError(f"{name} = {str(value)[:60]!r}: {rule}; {_REMEDY}")


def _one_line_an_entry(data: Mapping[str, Any]) -> str:
    """Lay out JSON with one line for each entry of a long list, to be read and compared."""
    parts = []
    for key, value in data.items():
        if isinstance(value, list):
            inside = ",\n  ".join(_json(entry) for entry in value)
            parts.append(f'"{key}": [\n  {inside}\n]' if value else f'"{key}": []')
        else:
            parts.append(f'"{key}": {_json(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)
