"""Server of a run's page: on loopback alone, behind a token, and of nothing but the page.

Three answers there are: the page around the report, the report, and the run's status; each is
made, none is a file of the folder, and none stays open. Whoever else is on the machine, or a web
page that the browser has open beside this one, lacks the token; a name that leads here from
elsewhere (DNS rebinding) is refused by its Host header.
"""

from __future__ import annotations

import hmac
import html
import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from growsearch.errors import GrowsearchError, UsageError
from growsearch.reading import reason
from growsearch.report.html_page import fingerprint
from growsearch.report.live.follower import Follower
from growsearch.shown_text import shown

LOOPBACK = "127.0.0.1"
_HOSTS = ("127.0.0.1", "localhost", "::1")
_METHODS = ("HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT")
_TOKEN_BYTES = 24
# A page asks by one or two at a time; more than so many at once are refused.
MOST_CONNECTIONS = 32
# Seconds: to say what is asked for, and to take the whole answer, which may go through a slow
# tunnel. Who takes longer is let go.
_ASKING_S, _TAKING_S = 10.0, 120.0
# A request line and all headers.
_MOST_ASKED = 64 * 2**10
_BUSY = (
    b"HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 20\r\nRetry-After: 1\r\nCache-Control: no-store\r\n"
    b"Connection: close\r\n\r\nService Unavailable\n"
)
_SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
<script>{script}</script>
</body>
</html>
"""


class PageServer(ThreadingHTTPServer):
    """Serves the page of one run on 127.0.0.1, at `address`, which holds the token.

    At most `MOST_CONNECTIONS` are answered at a time, each by a thread; others get 503 at once.

    Args:
        folder: the run's, which need not be there yet.
        port: where; 0 is any that is free.

    Raises:
        UsageError: for a port that is taken or not allowed.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.follower = Follower(folder)
        self.token = secrets.token_urlsafe(_TOKEN_BYTES)
        self.shell, self.policy = _shell(folder)
        self._lock = threading.Lock()
        # When each connection is let go, on the clock that only grows.
        self._until: dict[socket.socket, float] = {}
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise UsageError(
                f"--port: {port} cannot be listened on ({reason(error)}); give another, or none "
                "for one that is free"
            ) from error

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Have a thread answer, or refuse where too many are at it."""
        with self._lock:
            admitted = len(self._until) < MOST_CONNECTIONS
            if admitted:
                self._until[request] = time.monotonic() + _ASKING_S
        if not admitted:
            _refuse_busy(request)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def answering(self, request: Any) -> None:
        """Give a client that has said what it wants the time to take it."""
        with self._lock:
            if request in self._until:
                self._until[request] = time.monotonic() + _TAKING_S
                # It bounds the sending of all, not the time between two bytes.
                request.settimeout(_TAKING_S)

    def service_actions(self) -> None:
        """Let go of who is too slow; its thread ends by that."""
        with self._lock:
            late = [each for each, until in self._until.items() if until < time.monotonic()]
            for each in late:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, whose place is free then."""
        with self._lock:
            self._until.pop(request, None)
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""


def _refuse_busy(request: socket.socket) -> None:
    """Say 503 without waiting: what does not go out at once is left."""
    with suppress(OSError):
        request.setblocking(False)
        request.send(_BUSY)
    # What was asked and not read would turn the close into a reset, which may lose the answer.
    with suppress(OSError):
        request.recv(_MOST_ASKED)


class _Limited:
    """Lines of a request, which ends where it is too long."""

    def __init__(self, file: Any) -> None:
        self._file, self._left = file, _MOST_ASKED

    def readline(self, most: int = _MOST_ASKED) -> bytes:
        """Return the next line, or nothing where the request has had its length."""
        line: bytes = self._file.readline(min(most, self._left))
        self._left -= len(line)
        return line

    def close(self) -> None:
        """Close the file below."""
        self._file.close()


@contextmanager
def served(folder: Path, port: int = 0) -> Iterator[str]:
    """Serve a run's page while the block goes on; gives its address.

    Raises:
        UsageError: for a port that is taken or not allowed.
    """
    with PageServer(folder, port) as server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True
        )
        thread.start()
        try:
            yield server.address
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Answers GET of three paths below the token; all else is refused without a word on why."""

    timeout = _ASKING_S
    server_version, sys_version = "growsearch", ""

    def setup(self) -> None:
        """Bound what is read of a request."""
        super().setup()
        self.rfile = cast(Any, _Limited(self.rfile))

    def do_GET(self) -> None:
        if not self._is_asked_here():
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
            return
        try:
            given, _, name = urlsplit(self.path).path.removeprefix("/").partition("/")
        except ValueError:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        token = self._server.token
        if not hmac.compare_digest(given.encode(), token.encode()):
            self._refuse(HTTPStatus.NOT_FOUND)
        elif name == "" and self.path == f"/{token}":
            self._answer(b"", "text/plain", status=HTTPStatus.FOUND, location=f"/{token}/")
        elif name == "":
            self._answer(self._server.shell, "text/html", policy=self._server.policy)
        elif name == "status.json":
            content = json.dumps(self._server.follower.state(), allow_nan=False).encode()
            self._answer(content, "application/json")
        elif name == "report":
            self._report()
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    @property
    def _server(self) -> PageServer:
        return cast(PageServer, self.server)

    def _report(self) -> None:
        try:
            page = self._server.follower.page()
        except (GrowsearchError, MemoryError):
            page = None
        if page is None:
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            # Its own policy stands in it.
            self._answer(page, "text/html", policy="frame-ancestors 'self'")

    def _is_asked_here(self) -> bool:
        """Tell whether the browser was sent to this machine; through a tunnel the port differs."""
        hosts = self.headers.get_all("Host") or []
        try:
            asked = urlsplit(f"//{hosts[0]}") if len(hosts) == 1 else None
            return asked is not None and asked.hostname in _HOSTS and asked.username is None
        except ValueError:
            return False

    def _refuse(self, status: HTTPStatus) -> None:
        self._answer(f"{status.phrase}\n".encode(), "text/plain", status=status)

    def _answer(
        self,
        content: bytes,
        kind: str,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        policy: str = "default-src 'none'; frame-ancestors 'none'",
        location: str | None = None,
    ) -> None:
        self._server.answering(self.request)
        self.send_response(status)
        headers = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(content)),
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
        }
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = "GET"
        if location is not None:
            headers["Location"] = location
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _not_allowed(self) -> None:
        self.close_connection = True
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what is no request without repeating any of it."""
        self.close_connection = True
        self._refuse(HTTPStatus(code))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Write no line a request into the terminal, least of all the token."""


for _method in _METHODS:
    setattr(_Handler, f"do_{_method}", _Handler._not_allowed)


def _shell(folder: Path) -> tuple[bytes, str]:
    """Return the page around the report, and the policy that lets its script ask this server."""
    style, script = _asset("live.css"), f"(() => {{\n{_asset('live.js')}}})();\n"
    policy = (
        f"default-src 'none'; style-src '{fingerprint(style)}'; "
        f"script-src '{fingerprint(script)}'; connect-src 'self'; frame-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    title = html.escape(shown(f"{folder.resolve().name}: growsearch"))
    page = _SHELL.format(title=title, style=style, body=_asset("live.html"), script=script)
    return page.encode(), policy


def _asset(name: str) -> str:
    place = resources.files("growsearch.report.live").joinpath("page", name)
    return place.read_text(encoding="utf-8")
