import fcntl
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from growsearch.errors import TimeLimitError, UsageError
from growsearch.trial import time_limit
from growsearch.trial.time_limit import interrupted_after, limited, watchdog

AGES = 3600.0


def test_the_step_after_the_limit_is_refused_with_the_steps_so_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter((100.0, 110.0, 120.0, 130.0, 130.1))
    monkeypatch.setattr(time_limit, "time", types.SimpleNamespace(monotonic=clock.__next__))
    guard = limited(nullcontext, 30)
    for _ in range(3):
        with guard():
            pass
    with pytest.raises(TimeLimitError, match="limit of 30 s passed after 3 steps"), guard():
        pass


def test_without_a_limit_the_guard_is_the_one_that_was_given() -> None:
    assert limited(nullcontext, None) is nullcontext


def test_a_block_that_ends_in_time_hears_no_bark() -> None:
    barks: list[str] = []
    with watchdog(AGES, barks.append):
        pass
    with watchdog(None, barks.append):
        pass
    assert barks == []
    assert all(thread.name != "growsearch-watchdog" for thread in threading.enumerate())


def test_a_block_that_hangs_makes_the_dog_bark_where_it_hangs() -> None:
    barked = threading.Event()
    said: list[str] = []

    def bark(message: str) -> None:
        said.append(message)
        barked.set()

    with watchdog(0.05, bark):
        assert barked.wait(60)
    assert "the time limit of 0.05 s passed and it hung in wait (threading.py:" in said[0]


def test_waiting_for_a_lock_in_the_main_thread_is_interrupted(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as held, (tmp_path / "lock").open("w") as wanted:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TimeLimitError, match=r"it hung in .*test_time_limit\.py"):  # noqa: SIM117
            with interrupted_after(0.05):
                fcntl.flock(wanted, fcntl.LOCK_EX)


def test_the_serial_backend_keeps_a_limit_in_the_main_thread_only() -> None:
    def run() -> None:
        with interrupted_after(AGES):
            pass

    with ThreadPoolExecutor(1) as pool, pytest.raises(UsageError, match="main thread"):
        pool.submit(run).result()
    with interrupted_after(None):
        pass
