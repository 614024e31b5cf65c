"""A few hundred hostile inputs, and what must not come of them; benchmarks/fuzz.py has more."""

import random
import warnings
from collections import Counter

import pytest
from fuzz import jobs_of, rows_of
from fuzz_studies import STUDY, study_text
from fuzz_targets import SHARES, TARGETS, Finding, try_input, write_sound
from fuzz_values import CANARY

from growsearch.export import load_network
from growsearch.report import read_run
from growsearch.search.config.file import parse_study

# So many inputs of each kind as take a few seconds; other seeds than the benchmark's first ones.
COUNTS = {"study": 120, "mapping": 60, "run": 5, "weights": 40, "profile": 3}
START = 100_000


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    write_sound(folder)
    return folder


@pytest.mark.parametrize("kind", COUNTS)
def test_nothing_hostile_gets_further_than_a_message(sound, kind):
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(START, START + COUNTS[kind]):
            found += try_input(kind, seed, sound)
    assert not found


def test_what_inputs_are_made_from_is_sound(sound):
    assert parse_study(STUDY).name == "digits"
    for name in ("run", "other"):
        run = read_run(sound / name)
        assert (len(run.finished), len(run.failed), run.notes) == (4, 1, ())
    assert load_network(sound / "network") is not None


def test_the_same_seed_gives_the_same_input_and_most_seeds_another():
    texts = [study_text(random.Random(f"study {seed}")) for seed in range(40)]
    assert texts == [study_text(random.Random(f"study {seed}")) for seed in range(40)]
    assert len({text for text, _ in texts}) > 30


def _reads(place):
    raise ZeroDivisionError("a fault")


def _writes(place):
    (place.outside / "secret.txt").write_text("changed")
    yield from ()


def _runs(place):
    import importlib

    importlib.import_module(CANARY)
    yield from ()


def _leaves(place):
    (place.outside.parent / "left").write_text("")
    yield from ()


@pytest.mark.parametrize(
    ("target", "what"),
    [
        (_reads, "traceback"),
        (_writes, "written outside"),
        (_leaves, "written outside"),
        (_runs, "code run"),
    ],
)
def test_a_target_that_does_what_must_not_be_is_found(monkeypatch, sound, target, what):
    monkeypatch.setitem(TARGETS, "weights", target)
    (found,) = try_input("weights", 1, sound)
    assert (found.what, found.kind, found.seed) == (what, "weights", 1)


def test_inputs_are_shared_out_and_counted():
    jobs = jobs_of(100, 5, list(SHARES))
    counts = Counter(kind for kind, _ in jobs)
    assert counts == SHARES
    assert min(seed for _, seed in jobs) == 5
    finding = Finding(what="hung", kind="run", seed=1, where="here")
    *kinds, whole = rows_of(counts, [finding])
    assert [row["kind"] for row in kinds] == list(SHARES)
    assert (whole["inputs"], whole["hung"], whole["traceback"]) == (100, 1, 0)
    assert [row["kind"] for row in kinds if row["hung"]] == ["run"]
