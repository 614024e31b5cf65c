"""Server of a run's page, asked as a browser, a stranger and a hostile page would ask it."""

import contextlib
import http.client
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.errors import UsageError
from growsearch.report.live import follower as follower_module
from growsearch.report.live import server as server_module
from growsearch.report.live.follower import Follower
from growsearch.report.live.server import LOOPBACK, PageServer, served

RunMaker = Callable[..., Path]
Ask = Callable[..., tuple[int, dict[str, str], bytes]]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_BETWEEN_S", "_SHARE", "_STATUS_S"):
        monkeypatch.setattr(follower_module, name, 0.0)


@pytest.fixture
def address(run_folder: Path) -> Iterator[str]:
    with served(run_folder) as found:
        yield found


def _parts(address: str) -> tuple[int, str]:
    match = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([\w-]+)/", address)
    assert match is not None
    return int(match[1]), match[2]


def _ask(
    address: str, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Ask for a path exactly as it is written."""
    connection = http.client.HTTPConnection(LOOPBACK, _parts(address)[0], timeout=20)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host=headers is not None and "Host" in headers)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()


def test_the_page_its_report_and_its_status_are_there_behind_the_token(
    address: str, run_folder: Path
) -> None:
    from growsearch.report.html_page import render_html
    from growsearch.report.run_data import read_run

    _, token = _parts(address)
    assert len(token) >= 32
    status, headers, shell = _ask(address, f"/{token}/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b'id="running"' in shell
    _, _, content = _ask(address, f"/{token}/status.json")
    found = json.loads(content)
    assert found["status"]["trials"]["finished"] == 38
    _, _, page = _ask(address, f"/{token}/report?at={found['page']}")
    assert page.decode() == render_html(read_run(run_folder))


def test_no_two_servers_share_a_token(run_folder: Path) -> None:
    with served(run_folder) as one, served(run_folder) as other:
        assert _parts(one)[1] != _parts(other)[1]
        assert _ask(one, f"/{_parts(other)[1]}/")[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/report",
        "/status.json",
        "//",
        "/wrong/",
        "/wrong/report",
        "/wrong/status.json",
        "/favicon.ico",
        "*",
        "/%00/",
        "/%C3%A9/",
    ],
)
def test_without_the_token_nothing_is_told(path: str, address: str) -> None:
    status, headers, content = _ask(address, path)
    assert (status, content) == (404, b"Not Found\n")
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_part_of_the_token_or_more_than_it_is_wrong(address: str) -> None:
    _, token = _parts(address)
    for wrong in (token[:-1], token + "x", token.swapcase(), f" {token}", f"{token}%20"):
        assert _ask(address, f"/{wrong.replace(' ', '%20')}/")[0] == 404


@pytest.mark.parametrize(
    "name",
    [
        "study.yaml",
        "trials.jsonl",
        "report.html",
        "../study.yaml",
        "report/../study.yaml",
        "report/../../../../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/study.yaml",
        "./study.yaml",
        "/etc/passwd",
        "report/",
        "status.json/x",
        "trials",
        "report%00.html",
    ],
)
def test_no_file_of_the_folder_or_of_any_other_is_served(name: str, address: str) -> None:
    _, token = _parts(address)
    status, _, content = _ask(address, f"/{token}/{name}")
    assert (status, content) == (404, b"Not Found\n")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text("abc./%2e\\?#:@~;", min_size=1, max_size=20))
def test_whatever_follows_the_token_three_answers_there_are(name: str, address: str) -> None:
    _, token = _parts(address)
    status, _, _ = _ask(address, f"/{token}/{name}")
    assert status == (200 if name[0] in "?#" else 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
def test_nothing_but_get_is_allowed(method: str, address: str) -> None:
    _, token = _parts(address)
    status, headers, content = _ask(address, f"/{token}/status.json", method)
    assert status == 405
    assert headers["Allow"] == "GET"
    assert b"finished" not in content


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:9000", 200),
        ("localhost:1", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example:80", 421),
        ("localhost@evil.example", 421),
        ("0.0.0.0", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_a_name_that_leads_here_from_elsewhere_is_refused(
    host: str, status: int, address: str
) -> None:
    _, token = _parts(address)
    assert _ask(address, f"/{token}/status.json", headers={"Host": host})[0] == status


def test_a_request_without_a_host_or_with_two_is_refused(address: str) -> None:
    port, token = _parts(address)
    for hosts in ("", "Host: localhost\r\nHost: evil.example\r\n"):
        with socket.create_connection((LOOPBACK, port), timeout=20) as client:
            client.sendall(f"GET /{token}/status.json HTTP/1.0\r\n{hosts}\r\n".encode())
            assert client.recv(4096).startswith(b"HTTP/1.0 421 ")


def test_it_listens_on_loopback_alone(run_folder: Path) -> None:
    with PageServer(run_folder) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"


def test_every_answer_keeps_the_address_to_itself_and_is_kept_nowhere(address: str) -> None:
    _, token = _parts(address)
    for path in (f"/{token}/", f"/{token}/report", f"/{token}/status.json", "/"):
        _, headers, content = _ask(address, path)
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers
        assert "Python" not in headers["Server"]
        assert token.encode() not in content


def test_the_page_may_run_its_own_script_and_ask_this_server_alone(address: str) -> None:
    _, token = _parts(address)
    policy = _ask(address, f"/{token}/")[1]["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == rules["frame-src"] == "'self'"
    assert rules["script-src"].startswith("'sha256-")
    assert "unsafe" not in policy
    assert rules["frame-ancestors"] == "'none'"


def test_what_is_no_request_is_refused_and_not_repeated(address: str) -> None:
    port, _ = _parts(address)
    with socket.create_connection((LOOPBACK, port), timeout=20) as client:
        client.sendall(b"<script>alert(1)</script>\r\n\r\n")
        assert b"script" not in client.recv(4096)


def test_a_port_that_is_taken_is_one_message(run_folder: Path) -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port: {port} cannot be listened on"):
            PageServer(run_folder, port)


def test_a_run_that_is_not_there_yet_is_waited_for_and_then_followed(
    run_folder: Path, tmp_path: Path
) -> None:
    later = tmp_path / "later"
    with served(later) as address:
        _, token = _parts(address)
        found = json.loads(_ask(address, f"/{token}/status.json")[2])
        assert found["message"]["state"] == "waiting"
        assert (found["status"], found["page"]) == (None, None)
        assert _ask(address, f"/{token}/report")[0] == 404
        assert not later.exists()
        shutil.copytree(run_folder, later)
        found = json.loads(_ask(address, f"/{token}/status.json")[2])
        assert (found["message"], found["status"]["trials"]["finished"]) == (None, 38)


def test_a_run_without_a_trial_has_a_page_that_says_so(run_maker: RunMaker) -> None:
    folder = run_maker(count=0)
    follower = Follower(folder)
    assert follower.state()["status"]["trials"]["finished"] == 0
    assert b"No finished trial yet" in (follower.page() or b"")


def _finished(follower: Follower) -> tuple[int, Any]:
    found = follower.state()
    return found["status"]["trials"]["finished"], found["page"]


def test_a_run_is_followed_while_its_ledger_grows(run_maker: RunMaker) -> None:
    folder = run_maker(count=8)
    lines = (folder / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text("".join(lines[:3]))
    follower = Follower(folder)
    pages = []
    for line in (None, *lines[3:]):
        if line is not None:
            with (folder / "trials.jsonl").open("a") as file:
                file.write(line)
        pages.append(_finished(follower))
    assert [count for count, _ in pages] == [3, 4, 5, 6, 7, 8]
    assert len({page for _, page in pages}) == 6
    assert _finished(follower) == pages[-1]
    assert f'"id":["{json.loads(lines[0])["id"]}"' in (follower.page() or b"").decode()


def test_a_ledger_that_breaks_is_told_and_the_last_page_stays(run_maker: RunMaker) -> None:
    folder = run_maker(count=4)
    follower = Follower(folder)
    _, page = _finished(follower)
    content = (folder / "trials.jsonl").read_text()
    (folder / "trials.jsonl").write_text('{"id": "x"}\n' + content)
    found = follower.state()
    assert found["message"]["state"] == "unreadable"
    assert "trials.jsonl:1" in found["message"]["text"]
    assert found["page"] == page
    assert follower.page() is not None
    (folder / "trials.jsonl").write_text(content)
    assert _finished(follower)[0] == 4


def test_a_page_that_takes_long_is_made_less_often(
    run_maker: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "_SHARE", 5.0)
    now = [0.0]

    def slow(run: Any) -> str:
        now[0] += 3.0
        return str(len(run.trials))

    monkeypatch.setattr(follower_module, "render_html", slow)
    folder = run_maker(count=4)
    lines = (folder / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text(lines[0])
    follower = Follower(folder, clock=lambda: now[0])
    follower.state()
    made = []
    for line in lines[1:]:
        with (folder / "trials.jsonl").open("a") as file:
            file.write(line)
        now[0] += 8.0
        follower.state()
        made.append(follower.page())
    # The first is there at 3 s, the second not before 18 s, the third not before 37 s.
    assert made == [b"1", b"3", b"3"]


def test_watching_writes_nothing_and_ends_when_it_is_told(run_maker: RunMaker) -> None:
    folder = run_maker(count=4)
    before = {str(f): f.stat().st_mtime_ns for f in (folder, *folder.rglob("*"))}
    with served(folder) as address:
        _, token = _parts(address)
        _ask(address, f"/{token}/status.json")
        _ask(address, f"/{token}/report")
    assert {str(f): f.stat().st_mtime_ns for f in (folder, *folder.rglob("*"))} == before
    started = time.monotonic()
    with pytest.raises(OSError, match=r"refused|reset"):
        _ask(address, f"/{token}/")
    assert time.monotonic() - started < 20


def test_a_file_is_no_run_to_wait_for(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("name: one")
    result = CliRunner().invoke(app, ["watch", str(tmp_path / "study.yaml")])
    assert result.exit_code != 0
    assert "give the folder of a run" in str(result.exception)


@pytest.mark.parametrize("line", ["GET http://[ HTTP/1.0", "GET //[x HTTP/1.1"])
def test_a_target_that_is_none_gets_an_answer(line: str, address: str) -> None:
    port, _ = _parts(address)
    with socket.create_connection((LOOPBACK, port), timeout=20) as client:
        client.sendall(f"{line}\r\nHost: localhost\r\n\r\n".encode())
        assert client.recv(4096).split()[1] in (b"400", b"404")


def test_a_host_with_a_user_in_front_is_none_of_ours(address: str) -> None:
    port, token = _parts(address)
    with socket.create_connection((LOOPBACK, port), timeout=20) as client:
        request = f"GET /{token}/ HTTP/1.1\r\nHost: evil.example@localhost\r\n\r\n"
        client.sendall(request.encode())
        assert client.recv(4096).split()[1] == b"421"


@pytest.mark.parametrize("error", [UsageError("no page"), RuntimeError("no page")])
def test_a_page_that_cannot_be_made_is_told_until_it_can(
    run_maker: RunMaker, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    folder, now = run_maker(count=4), [0.0]

    def fails(run: Any) -> str:
        raise error

    monkeypatch.setattr(follower_module, "render_html", fails)
    follower = Follower(folder, clock=lambda: now[0])
    for _ in range(3):
        now[0] += 60
        found = follower.state()
        assert found["message"]["state"] == "unreadable"
        assert "no page" in found["message"]["text"]
        assert found["status"] is not None
        assert found["page"] is None


def _status_of(client: socket.socket) -> bytes:
    with contextlib.suppress(ConnectionError):
        return client.recv(4096)
    return b""


def test_more_clients_than_its_cap_are_refused_at_once_and_take_no_threads(
    run_folder: Path,
) -> None:
    with served(run_folder) as address, contextlib.ExitStack() as stack:
        port, token = _parts(address)
        before = threading.active_count()
        most = server_module.MOST_CONNECTIONS
        idle = [
            stack.enter_context(socket.create_connection((LOOPBACK, port), timeout=20))
            for _ in range(most)
        ]
        refused = []
        for _ in range(300):
            with socket.create_connection((LOOPBACK, port), timeout=20) as client:
                with contextlib.suppress(ConnectionError):
                    client.sendall(f"GET /{token}/ HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                refused.append(_status_of(client))
        assert {answer.split(b"\r\n")[0] for answer in refused} <= {
            b"HTTP/1.0 503 Service Unavailable",
            b"",
        }
        assert refused.count(b"") < 30
        assert threading.active_count() <= before + most
        for client in idle:
            client.close()
        for _ in range(100):
            if _ask(address, f"/{token}/status.json")[0] == 200:
                break
            time.sleep(0.05)
        assert _ask(address, f"/{token}/status.json")[0] == 200


def test_who_asks_too_slowly_is_let_go_though_it_is_never_silent(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_ASKING_S", 0.6)
    with served(run_folder) as address:
        port, _ = _parts(address)
        with socket.create_connection((LOOPBACK, port), timeout=20) as client:
            client.sendall(b"GET / HTTP/1.1\r\nX: ")
            started = time.monotonic()
            with contextlib.suppress(OSError):
                while time.monotonic() - started < 20:
                    client.sendall(b"x")
                    time.sleep(0.1)
        assert time.monotonic() - started < 5


def test_who_takes_an_answer_too_slowly_is_let_go(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_TAKING_S", 0.6)
    monkeypatch.setattr(Follower, "page", lambda self: bytes(64 * 2**20))
    before = threading.active_count()
    with served(run_folder) as address:
        port, token = _parts(address)
        with socket.create_connection((LOOPBACK, port), timeout=20) as client:
            request = f"GET /{token}/report HTTP/1.1\r\nHost: localhost\r\n\r\n"
            client.sendall(request.encode())
            for _ in range(100):
                time.sleep(0.05)
                # The thread that listens is there, and none that answers.
                if threading.active_count() == before + 1:
                    break
            assert threading.active_count() == before + 1


def test_a_request_without_an_end_is_read_to_a_bound(address: str) -> None:
    port, token = _parts(address)
    with socket.create_connection((LOOPBACK, port), timeout=20) as client:
        client.sendall(f"GET /{token}/ HTTP/1.1\r\nHost: localhost\r\n".encode())
        line = b"X-Y: " + b"z" * 16_000 + b"\r\n"
        sent = 0
        with contextlib.suppress(OSError):
            for _ in range(90):
                client.sendall(line)
                sent += len(line)
                if b"HTTP/1.0" in _waiting(client):
                    break
        assert sent < 90 * len(line)


def _waiting(client: socket.socket) -> bytes:
    """Return what has come within a moment."""
    client.settimeout(0.05)
    try:
        return client.recv(4096)
    except TimeoutError:
        return b""
    finally:
        client.settimeout(20)
