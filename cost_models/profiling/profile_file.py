"""Profile files: versioned JSON with the timings themselves, no pickle."""

import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cost_models.counting.operator_call import Operator
from cost_models.errors import CostModelError, ProfileError
from cost_models.plain_data import (
    MISSING,
    NO_LIST,
    NO_OBJECT,
    MistakeError,
    from_plain,
    to_plain,
)
from cost_models.profiling.latency_profile import LatencyProfile, Validation
from cost_models.profiling.records import ProfileRecord

FORMAT = "growsearch latency profile"
VERSION = 1
# In the order of the file.
_KEYS = (
    *("format", "version", "conditions", "validation", "range"),
    *("networks", "timings", "scales", "operators"),
)
# For people; it follows from the rest.
_ADDED = ("validation", "range")
_RULES = {NO_OBJECT: "must be an object", NO_LIST: "must be a list"}
_MAX_BYTES = 256 * 2**20
_MAX_DIGITS = 20
_REMEDY = "profile the device again: growsearch profile"


def load_profile(path: str | Path) -> LatencyProfile:
    """Read a profile and fit its models again from the timings in it.

    Raises:
        ProfileError: no such file, or it is no profile; the message names key, value and rule.

    Example:
        >>> from cost_models import ProfileError, load_profile
        >>> try:
        ...     load_profile("laptop.json")
        ... except ProfileError as error:
        ...     print(str(error).split(";")[0])
        cannot read profile laptop.json: No such file or directory
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
        if os.fstat(file.fileno()).st_size > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES // 2**20} MiB")
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
        **to_plain(ProfileRecord, record, place),
        "validation": validation_to_data(profile.validation),
        "range": range_of(record),
        "scales": profile.model.scales,
        "operators": [operator.to_data() for operator in table],
    }
    return _one_line_an_entry({key: data[key] for key in _KEYS})


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
    for key in _KEYS[2:]:
        if key not in data and key not in _ADDED:
            raise ProfileError(f"{key} is missing; {_REMEDY}")
    try:
        return from_plain(ProfileRecord, data, _operators(data["operators"]))
    except MistakeError as mistake:
        raise ProfileError(f"{_say(mistake)}; {_REMEDY}") from mistake


def _operators(data: Any) -> tuple[Operator, ...]:
    if not isinstance(data, list):
        raise MistakeError(("operators",), NO_LIST, data)
    return tuple(_operator(index, each) for index, each in enumerate(data))


def _operator(index: int, data: Any) -> Operator:
    try:
        return Operator.from_data(data)
    except CostModelError as error:
        raise ProfileError(f"operators[{index}]: {error}; {_REMEDY}") from error


def _say(mistake: MistakeError) -> str:
    key, rule = mistake.key, _RULES.get(mistake.rule, mistake.rule)
    if rule == MISSING:
        return f"{key} {rule}"
    match mistake.path:
        case ("scales", str(kind)):
            key = f"scales[{kind}]"
        case (entry, int(place), "operator") | (entry, int(place), "operators", _):
            key = f"{entry}[{place}]: operator"
    return f"{key} = {str(mistake.value)[:60]!r}: {rule}"


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too large")
    return int(text)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no finite number")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_int=_whole, parse_constant=_no_number)


def _one_line_an_entry(data: Mapping[str, Any]) -> str:
    """Lay out JSON with one line for each entry of a long list, to be read and compared."""
    parts = []
    for key, value in data.items():
        if isinstance(value, list | tuple):
            inside = ",\n  ".join(_json(entry) for entry in value)
            parts.append(f'"{key}": [\n  {inside}\n]' if value else f'"{key}": []')
        else:
            parts.append(f'"{key}": {_json(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)
