"""Address of a cluster: is anybody there? Asked before Ray is, which tries for a minute."""

from __future__ import annotations

import os
import socket

from growsearch.errors import GrowsearchError, UsageError

# A node of the same cluster answers in milliseconds; this is for one that drops what it gets.
_TIMEOUT_S = 8.0


def check_reachable(address: str) -> None:
    """Connect to HOST:PORT and hang up; "auto" is left to Ray unless RAY_ADDRESS says which.

    Raises:
        UsageError: for another kind of address.
        GrowsearchError: if nobody answers there, with the reason.
    """
    where = os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address
    if where in ("auto", "local"):
        return
    host, port = _split(where)
    try:
        socket.create_connection((host, port), timeout=_TIMEOUT_S).close()
    except OSError as error:
        raise GrowsearchError(
            f"--address {where}: nobody answers there ({error}). Give the address of the head's "
            "Ray, which ray status shows (port 6379 unless told otherwise), or start one with: "
            "ray start --head"
        ) from error


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UsageError(
            f"--address {address}: write auto or HOST:PORT, such as 10.0.0.1:6379 or [::1]:6379"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)
