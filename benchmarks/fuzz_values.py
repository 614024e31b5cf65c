"""Hostile values, and sound data with some of them in it: what inputs are spoilt with."""

from __future__ import annotations

import json
import random
from typing import Any

# Imported by nobody: whoever runs it has run code of an input.
CANARY = "fuzz_canary"

# Plain data that no place expects.
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 7, 2**31, 2**32, 2**53 + 1, 2**63, 10**30, 10**39, -(2**64)),
    *(0.5, -0.5, 1e-320, 1e300, float("nan"), float("inf"), float("-inf")),
    *("", " ", "0", "1e3", "nan", "-5%", "200%", "1:30", "yes", "~", "none", "auto", "x" * 5000),
    *("\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\u202egnp.exe", "a\x00b", "\ud800", "a\nb", "é"),
    *(
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "[/bold]",
        "[red]",
        ":smile:",
        "$\\frac{",
        "{0}",
        "%s",
    ),
    *("../../victim", "/etc/passwd", ".", "..", "a/b", "\\\\host\\share", "file:///etc/passwd"),
    *(f"{CANARY}:run", f"{CANARY}:Net", f"{CANARY}:run@0123456789ab", "os:abort", "nobody:there"),
    *("<script>alert(1)</script>", "| a | b |", "`x`", "'; DROP TABLE trials; --"),
    *([], {}, [[]], [None], [1, "a"], {"a": 1}, {"low": 1}, {"low": 2, "high": 1}, [1, 1]),
    *({"low": "a", "high": "b"}, {"max": "1"}, {"__proto__": {}}, ["none"] * 300),
)


def changed_data(data: Any, draw: random.Random, *, times: int = 1) -> Any:
    """Return a copy of plain data in which ``times`` places hold something hostile."""
    found = json.loads(json.dumps(data))
    for _ in range(times):
        put(found, draw, draw.choice(HOSTILE))
    return found


def put(data: Any, draw: random.Random, value: Any) -> None:
    """Put ``value`` somewhere into ``data``, or take a key out."""
    while True:
        keys = list(data) if isinstance(data, dict) else list(range(len(data)))
        if not keys:
            return
        key = draw.choice(keys)
        inner = data[key]
        if not isinstance(inner, dict | list) or not inner or draw.random() < 0.15:
            break
        data = inner
    chance = draw.random()
    if chance < 0.15:
        del data[key]
    elif chance < 0.3 and isinstance(data, dict):
        data[str(draw.choice(HOSTILE))] = inner
    else:
        data[key] = value


def changed_bytes(content: bytes, draw: random.Random) -> bytes:
    """Return ``content`` with bytes turned over, cut off, doubled or put in."""
    for _ in range(draw.randint(1, 3)):
        if not content:
            return content
        at = draw.randrange(len(content))
        end = min(len(content), at + draw.choice([1, 4, 64, 1024]))
        before, piece, after = content[:at], content[at:end], content[end:]
        turned = bytes([piece[0] ^ (1 << draw.randrange(8))]) + piece[1:]
        middles = (turned, None, b"", piece * 2, draw.choice(_SPLICES) + piece, bytes(len(piece)))
        middle = draw.choice(middles)
        content = before if middle is None else before + middle + after
    return content


_SPLICES = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\x1b[2J", b"\n", b"1e999", b"NaN",
    b"9" * 5000, b"[" * 2000, b'{"a":' * 2000, b"null", b'"', b"}", b"]", b"\\ud800", b"\r\n",
)  # fmt: skip
