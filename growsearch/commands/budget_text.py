"""Which budget does a person mean by "parameters=36%"?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from growsearch.errors import UsageError

if TYPE_CHECKING:
    from growsearch.growth import Budget

_EXAMPLES = "parameters=36%, macs=20M, 'latency[cpu]=2 ms', latency[wafer-cs2]=40%"

_FORM = re.compile(r"\s*([a-z]+)\s*(?:\[([^\]]*)\])?\s*=\s*(.*?)\s*")


def parse_budget(text: str) -> Budget:
    """Return the budget that ``text`` names: NAME=VALUE, a share or a count or a time.

    Raises:
        UsageError: naming the key, the value, the rule and the remedy.
    """
    from growsearch.growth import Budget

    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"--budget: {text!r} is not NAME=VALUE; write for example {_EXAMPLES}")
    name, device, value = match[1], match[2], match[3]
    if name == "latency" and device:
        return _latency(device, value)
    if name not in ("parameters", "macs") or device is not None:
        raise UsageError(
            f"--budget: unknown {text.partition('=')[0].strip()!r}; valid: parameters, macs, "
            f"latency[DEVICE]; write for example {_EXAMPLES}"
        )
    amount = _share_or_count(name, value)
    return Budget(parameters=amount) if name == "parameters" else Budget(macs=amount)


def _latency(device: str, value: str) -> Budget:
    from cost_models import DEVICES
    from growsearch.growth import Budget
    from growsearch.pareto import is_share, parse_quantity

    key = f"--budget: latency[{device}]"
    if device not in DEVICES:
        raise UsageError(f"{key}: unknown device {device!r}; valid: {', '.join(DEVICES)}")
    if is_share(value):
        return Budget(latency=_share(key, value), device=device)
    try:
        # The unit follows from the name's beginning.
        seconds = parse_quantity(value, f"latency[{device}]")
    except UsageError as error:
        raise UsageError(f"--budget: {error}") from error
    if seconds == 0:
        raise UsageError(f"{key} = {value!r}: a time is above 0; write for example '2 ms' or 40%")
    return Budget(latency_s=seconds, device=device)


def _share(key: str, value: str) -> float:
    from growsearch.pareto import parse_share

    share = parse_share(value, key)
    if share == 0:
        raise UsageError(f"{key} = {value!r}: a share is above 0%; write for example 36%")
    return share


def _share_or_count(name: str, value: str) -> float | int:
    from growsearch.pareto import is_share, parse_quantity

    key = f"--budget: {name}"
    if is_share(value):
        return _share(key, value)
    number = parse_quantity(value, key)
    if number < 1 or number != int(number):
        raise UsageError(
            f"{key} = {value!r}: a count is a whole number above 0 such as 20M, "
            "a share has a per cent sign such as 36%"
        )
    return int(number)
