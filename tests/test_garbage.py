"""The search for cycles rests while records are made, and goes on after."""

import gc

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
