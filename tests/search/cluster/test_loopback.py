"""Who can reach the Ray of a local search? Its sockets are listed while it works."""

import os
import re
import socket
import stat
import struct
import sys
from collections import defaultdict
from pathlib import Path

import pytest

_VARIABLE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


def _pid() -> int:
    return os.getpid()


def _descendants(pid: int) -> list[int]:
    """This process and all that it has started."""
    children: dict[int, list[int]] = defaultdict(list)
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(file.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children[parent].append(int(file.parent.name))
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        left += children[found[-1]]
    return found


def _listening(pids: list[int]) -> dict[tuple[str, int], str]:
    """The TCP sockets that processes listen on, by address and port, with their names."""
    sockets = {}
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A":
                sockets[inode] = _address(local)
    found = {}
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                match = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
            except OSError:
                continue
            if match and match[1] in sockets:
                found[sockets[match[1]]] = Path(f"/proc/{pid}/comm").read_text().strip()
    return found


def _address(text: str) -> tuple[str, int]:
    host, port = text.split(":")
    words = [int(host[start : start + 8], 16) for start in range(0, len(host), 8)]
    raw = struct.pack(f"={len(words)}I", *words)
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, raw).removeprefix("::ffff:"), int(port, 16)


def test_a_socket_that_others_reach_is_seen_by_this_test() -> None:
    with (
        socket.create_server(("0.0.0.0", 0)) as to_all,
        socket.create_server(("127.0.0.1", 0)) as to_us,
    ):
        found = _listening([os.getpid()])
        assert to_all.getsockname() in found
        assert to_us.getsockname() in found


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="sockets are read from /proc")
def test_a_local_ray_listens_on_the_loopback_alone_and_its_token_is_its_users() -> None:
    import ray
    from ray._private import ray_constants

    from growsearch.search.cluster.session import ray_session

    # Workers cannot import a test by its name.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    before, variables = ray_constants.ENABLE_RAY_CLUSTER, dict(os.environ)
    mine = _listening([os.getpid()])
    with ray_session(2, 0, None):
        # Workers are there, too.
        assert ray.get([ray.remote(_pid).remote() for _ in range(2)])
        found = _listening(_descendants(os.getpid()))
    opened = {place: name for place, name in found.items() if place not in mine}
    assert len(opened) >= 5, opened
    assert {host for host, _ in opened} == {"127.0.0.1"}, opened
    token = Path.home() / ".ray" / "auth_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert len(token.read_text()) >= 32
    # A cluster that this process joins later is another matter.
    assert before == ray_constants.ENABLE_RAY_CLUSTER
    assert variables.get(_VARIABLE) == os.environ.get(_VARIABLE)


def test_tokens_that_are_there_or_come_are_read_by_their_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from growsearch.search.cluster.loopback import guard_token

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    guard_token(tmp_path)
    # Ray would make none then, and one that is empty is in its way.
    assert not (tmp_path / ".ray").exists()
    monkeypatch.delenv("RAY_AUTH_MODE")
    guard_token(tmp_path)
    token = tmp_path / ".ray" / "auth_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700
    token.write_text("secret")
    (token.parent / "other-token").write_text("secret")
    for file in token.parent.iterdir():
        file.chmod(0o644)
    (token.parent / "token-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("not Ray's")
    (tmp_path / "elsewhere").chmod(0o644)
    guard_token(tmp_path)
    for name in ("auth_token", "other-token"):
        assert stat.S_IMODE((token.parent / name).stat().st_mode) == 0o600
        assert (token.parent / name).read_text() == "secret"
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o644


def test_a_ray_that_others_reach_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from growsearch.errors import GrowsearchError
    from growsearch.search.cluster.loopback import check_loopback

    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeManagerAddress": "127.0.0.1"}])
    check_loopback()
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeManagerAddress": "192.0.2.2"}])
    with pytest.raises(GrowsearchError, match=r"listens on 192\.0\.2\.2, where others may reach"):
        check_loopback()
