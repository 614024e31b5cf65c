"""Settings as plain data: are these the same run's, and where do two of them differ?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any


def plain(value: Any) -> Any:
    """Return settings as JSON data: a dataclass becomes its kind and its fields.

    A field with the metadata "later" is left out where it is as usual: runs of before have none.

    Example:
        >>> from growsearch.training import SGD, plain
        >>> plain({"optimizer": SGD(momentum=0.5), "milestones": (1, 2)})
        {'optimizer': {'kind': 'SGD', 'momentum': 0.5, 'nesterov': True}, 'milestones': [1, 2]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: plain(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if not (f.metadata.get("later") and getattr(value, f.name) == f.default)
        }
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def differences(before: Any, now: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted key, old, new) for the innermost values that differ, in order.

    What only one side has is None on the other.

    Example:
        >>> from growsearch.training import differences
        >>> before = {"epochs": 5, "optimizer": {"kind": "SGD", "momentum": 0.9}}
        >>> now = {"epochs": 5, "optimizer": {"kind": "SGD", "momentum": 0.5}}
        >>> list(differences(before, now))
        [('optimizer.momentum', 0.9, 0.5)]
    """
    if before == now:
        return
    if not (isinstance(before, dict) and isinstance(now, dict)):
        yield key, before, now
        return
    for part in dict.fromkeys([*before, *now]):
        yield from differences(before.get(part), now.get(part), f"{key}.{part}" if key else part)
