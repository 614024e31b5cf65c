"""Live page in a browser: it follows a run, and what was looked at stays in view."""

import fcntl
import json
import socket
import time
import webbrowser
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from growsearch.commands.live.browser import shown_in_browser
from growsearch.report.live import follower as follower_module
from growsearch.report.live import server as server_module
from growsearch.report.live.server import served

pytestmark = pytest.mark.browser
FRAME = "document.querySelector('iframe:not(.next)').contentWindow"


@pytest.fixture
def growing(
    run_maker: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, list[str]]]:
    """A run of 16 trials whose search goes on: five are in its ledger; the others' lines."""
    for name in ("_BETWEEN_S", "_SHARE", "_STATUS_S"):
        monkeypatch.setattr(follower_module, name, 0.0)
    folder = run_maker(count=16)
    lines = (folder / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text("".join(lines[:5]))
    with (folder / "run.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield folder, lines[5:]


def _go(browser: Any, address: str, size: tuple[int, int] = (1280, 800)) -> None:
    width, height = size
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=False,
    )
    browser.call("Page.navigate", url="about:blank")
    browser.events.clear()
    browser.call("Page.navigate", url=address)


def _until(browser: Any, expression: str) -> None:
    for _ in range(200):
        try:
            if browser.evaluate(expression):
                return
        except RuntimeError:
            # A frame that is being replaced.
            pass
        time.sleep(0.05)
    raise AssertionError(f"the page never came to: {expression}")


@pytest.fixture
def address(growing: tuple[Path, list[str]]) -> Iterator[str]:
    with served(growing[0]) as found:
        yield found


def test_the_page_follows_the_ledger_and_keeps_selection_and_place(
    browser: Any, address: str, growing: tuple[Path, list[str]]
) -> None:
    folder, more = growing
    _go(browser, address)
    summary = f"{FRAME}.document.getElementById('summary').textContent"
    _until(browser, f"{summary}.includes('5 trials finished')")
    assert browser.evaluate("document.querySelectorAll('iframe').length") == 1
    other = f"{FRAME}.document.querySelector('#front-table tbody tr[aria-selected=false]')"
    name = browser.evaluate(f"{other}.querySelector('.mono').textContent")
    browser.evaluate(f"{other}.click(), {FRAME}.scrollTo(0, 400)")
    with (folder / "trials.jsonl").open("a") as file:
        file.write("".join(more))
    _until(browser, f"{summary}.includes('15 trials finished · 1 failed')")
    assert browser.evaluate(f"{FRAME}.location.hash").find(f"trial={name}") > 0
    assert browser.evaluate(f"{FRAME}.scrollY") == 400
    assert browser.evaluate("document.title") == "16/40 digits: growsearch"
    assert browser.problems() == []
    assert all(url.startswith((address, "about:")) for url in browser.requests())


def test_a_page_in_which_nothing_was_chosen_follows_the_choice(
    browser: Any, address: str, growing: tuple[Path, list[str]]
) -> None:
    folder, more = growing
    _go(browser, address)
    _until(browser, f"{FRAME}.location.hash !== ''")
    first = browser.evaluate("document.querySelector('iframe').src")
    (folder / "trials.jsonl").write_text("".join(more))
    _until(browser, f"document.querySelector('iframe:not(.next)').src !== {first!r}")
    _until(browser, "!document.querySelector('iframe:not(.next)').src.includes('#')")


@pytest.mark.parametrize("size", [(390, 844), (1280, 800), (1920, 1080)])
def test_nothing_is_cut_off_and_what_runs_is_told(
    size: tuple[int, int], browser: Any, growing: tuple[Path, list[str]]
) -> None:
    folder, _ = growing
    ids = [f"{k:010x}" for k in range(4)]
    config = {"kind": "growth", "space": "resnet-digits", "budget": {"parameters": 0.3}}
    starts = [{"id": i, "number": 20, "candidate": config, "params": {}} for i in ids]
    (folder / "started.jsonl").write_text("".join(json.dumps(s) + "\n" for s in starts))
    now = time.time()
    beat = {"process": 1, "host": "h", "started_at": now - 60, "written_at": now, "running": ids}
    (folder / "heartbeat.json").write_text(json.dumps(beat | {"wanted": 16}))
    for name in ids[1:]:
        (folder / "trials" / name).mkdir()
        done = {"id": name, "phase": "training", "epoch": 3, "epochs": 20, "values": {"<b>": 1.5}}
        (folder / "trials" / name / "progress.json").write_text(json.dumps(done))
    with served(folder) as address:
        _go(browser, address, size)
        _until(browser, "document.querySelectorAll('#running li').length === 4")
        _until(browser, f"{FRAME}.document.getElementById('name').textContent === 'digits'")
        text = browser.evaluate("document.getElementById('bar').innerText")
        assert "digits: running" in text
        assert "5 of 16 trials" in text
        assert "epoch 4 of 20, <b> 1.5" in text
        wide = "document.documentElement.scrollWidth <= innerWidth"
        assert browser.evaluate(wide)
        bar = browser.evaluate("document.getElementById('bar').getBoundingClientRect().height")
        assert bar <= (80 if size[0] >= 1280 else 220)
        assert browser.problems() == []


def test_a_page_whose_server_has_gone_says_so_and_stays(
    browser: Any, growing: tuple[Path, list[str]]
) -> None:
    with served(growing[0]) as address:
        _go(browser, address)
        _until(browser, f"{FRAME}.location.hash !== ''")
    _until(browser, "document.getElementById('state').textContent === 'not connected'")
    assert browser.evaluate(f"{FRAME}.document.getElementById('name').textContent") == "digits"


@pytest.mark.parametrize("how", ["cut", "refused"])
def test_a_report_that_does_not_come_once_does_not_end_the_following(
    how: str,
    browser: Any,
    address: str,
    growing: tuple[Path, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, more = growing
    _go(browser, address)
    summary = f"{FRAME}.document.getElementById('summary').textContent"
    _until(browser, f"{summary}.includes('5 trials finished')")
    answer, failures = server_module._Handler._report, []

    def fails_once(handler: Any) -> None:
        if failures:
            answer(handler)
            return
        failures.append(how)
        if how == "refused":
            handler._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            handler.connection.shutdown(socket.SHUT_RDWR)

    monkeypatch.setattr(server_module._Handler, "_report", fails_once)
    with (folder / "trials.jsonl").open("a") as file:
        file.write("".join(more))
    _until(browser, f"{summary}.includes('15 trials finished')")
    assert failures == [how]
    assert browser.evaluate("document.querySelectorAll('iframe').length") == 1


def test_the_file_that_a_browser_is_given_leads_to_the_page(
    browser: Any, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    with shown_in_browser(address) as found:
        assert found
        assert opened[0].startswith("file:///")
        _go(browser, opened[0])
        _until(browser, f"location.href === {address!r} && {FRAME}.location.hash !== ''")


def test_repeats_of_the_front_are_shown_and_nothing_is_at_its_end(
    browser: Any, growing: tuple[Path, list[str]]
) -> None:
    folder, _ = growing
    now, name = time.time(), "cccc"
    beat = {"process": 1, "host": "h", "started_at": now - 60, "written_at": now, "wanted": 5}
    repeats = {"done": 3, "wanted": 8, "running": name}
    (folder / "heartbeat.json").write_text(json.dumps(beat | {"repeats": repeats}))
    place = folder / "repeats" / "trials" / name
    place.mkdir(parents=True)
    done = {"id": name, "phase": "training", "epoch": 3, "epochs": 20}
    (place / "progress.json").write_text(json.dumps(done | {"values": {"learned_accuracy": 0.5}}))
    with served(folder) as address:
        _go(browser, address)
        _until(browser, "document.querySelectorAll('#running li').length === 1")
        text = browser.evaluate("document.getElementById('bar').innerText")
        assert "repeats of the front: 3 of 8 done" in text
        assert "cccc with another seed: epoch 4 of 20, 50.00 % of learned examples" in text
        assert "at its end" not in text
        assert browser.problems() == []
