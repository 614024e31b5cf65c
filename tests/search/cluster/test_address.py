"""Is a cluster that is not there told at once, in one message?"""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from growsearch.errors import GrowsearchError, UsageError
from growsearch.search.cluster.address import check_reachable
from growsearch.search.study.study import Study, StudyOptions


@pytest.fixture
def closed() -> Iterator[str]:
    """Return the address of a port that is taken, so that nobody else gets it, and not open."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_a_closed_port_is_named_with_the_reason_and_the_remedy(closed: str) -> None:
    with pytest.raises(GrowsearchError, match=r"nobody answers there.*refused.*ray start --head"):
        check_reachable(closed)


def test_a_host_that_is_not_there_is_named() -> None:
    with pytest.raises(GrowsearchError, match=r"--address nowhere\.invalid:6379: nobody answers"):
        check_reachable("nowhere.invalid:6379")


def test_an_open_port_is_let_through() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        check_reachable(f"127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "head:port", "head:99999"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="write auto or HOST:PORT"):
        check_reachable(address)


def test_auto_is_left_to_ray_unless_its_address_is_in_the_environment(
    closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    check_reachable("auto")
    monkeypatch.setenv("RAY_ADDRESS", closed)
    with pytest.raises(GrowsearchError, match=closed):
        check_reachable("auto")


def test_a_search_there_ends_before_ray_is_asked_and_keeps_its_folder(
    tiny: dict[str, Any], run_folder: Path, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    asked: list[Any] = []
    monkeypatch.setattr(ray, "init", lambda *given, **named: asked.append((given, named)))
    tiny["search"] |= {"backend": "ray"}
    study = Study(tiny, run_folder)
    with pytest.raises(GrowsearchError, match="nobody answers there"):
        study.run(StudyOptions(address=closed))
    assert not asked
    assert study.folder.study.exists()
