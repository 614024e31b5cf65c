"""Loopback for a Ray of this machine's own: nobody outside reaches it, nobody else reads its token.

Ray listens on every interface of a machine, since a cluster's nodes must find each other. A search
on one machine needs none of that: its Ray is told to use 127.0.0.1, as Ray does by itself on
Windows and macOS.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray._private import ray_constants

from growsearch.errors import GrowsearchError

# Ray's own switch, which it reads when it is imported, and what it has read.
_VARIABLE, _READ = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "ENABLE_RAY_CLUSTER"


@contextmanager
def loopback_only() -> Iterator[None]:
    """Let a Ray that is started inside listen on this machine's loopback alone."""
    variable, read = os.environ.get(_VARIABLE), getattr(ray_constants, _READ)
    # Processes that Ray starts read the variable; this one has imported Ray already.
    os.environ[_VARIABLE] = "0"
    setattr(ray_constants, _READ, False)
    try:
        yield
    finally:
        setattr(ray_constants, _READ, read)
        if variable is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = variable


def check_loopback() -> None:
    """Refuse a Ray that was started and can be reached from outside.

    Raises:
        GrowsearchError: naming the address.
    """
    for node in ray.nodes():
        address = str(node["NodeManagerAddress"])
        if not ipaddress.ip_address(address).is_loopback:
            raise GrowsearchError(
                f"Ray {ray.__version__} listens on {address}, where others may reach it, and not "
                "on the loopback alone; run with --backend serial, or on a cluster that is "
                "guarded: --address"
            )


def guard_token(home: Path | None = None) -> None:
    """Let only this user read Ray's tokens: the one that is there, and the one that it will make.

    Args:
        home: the user's; Ray keeps its token in ``home/.ray``.
    """
    # Without a home, or where it cannot be written, Ray says so itself.
    with contextlib.suppress(OSError, RuntimeError):
        folder = (home or Path.home()) / ".ray"
        if _makes_a_token():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Ray writes a new token into an empty file, and leaves its permissions as they are.
            with contextlib.suppress(FileExistsError):
                (folder / "auth_token").touch(mode=0o600, exist_ok=False)
        for file in folder.glob("*token*"):
            found = file.lstat()
            if stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) & 0o077:
                file.chmod(0o600)


def _makes_a_token() -> bool:
    """Tell whether a Ray of our own makes a token where none is given."""
    given = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return not given and os.environ.get("RAY_AUTH_MODE", "token").lower() == "token"
