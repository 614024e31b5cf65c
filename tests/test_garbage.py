"""The search for cycles rests while records are made, and goes on after."""

import gc
import subprocess
import sys

import pytest

from growsearch.garbage import without_cycle_search


def test_the_search_rests_inside_and_goes_on_after_an_error_too():
    @without_cycle_search()
    def stop() -> None:
        assert not gc.isenabled()
        raise ValueError("stop")

    assert gc.isenabled()
    with pytest.raises(ValueError, match="stop"):
        stop()
    assert gc.isenabled()


def test_who_has_turned_it_off_finds_it_off():
    gc.disable()
    try:
        with without_cycle_search():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_process_may_end_without_the_search():
    code = (
        "import atexit, gc; from growsearch.garbage import no_cycle_search_at_exit\n"
        "atexit.register(lambda: print('at the end', gc.get_freeze_count() > 0))\n"
        "no_cycle_search_at_exit(); print('before', gc.get_freeze_count())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == ["before 0", "at the end True"]
