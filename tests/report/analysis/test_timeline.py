"""Timeline of a run: lanes of trials that ran at once, and pauses that are left out."""

import json

import pytest

from growsearch.report import read_run
from growsearch.report.analysis.timeline import timeline


def run_of(folder, times):
    lines = [
        {
            "id": f"t{number}",
            "number": number,
            "kind": "sparse",
            "status": "finished",
            "config": {"kind": "sparse"},
            "seed": 0,
            "metrics": {"accuracy": 0.5},
            "duration_s": None if end is None else end - start,
            **({} if end is None else {"ended_at": 1_700_000_000 + end}),
        }
        for number, (start, end) in enumerate(times)
    ]
    (folder / "study.yaml").write_text("name: x\nobjectives: {accuracy: maximize}\n")
    (folder / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_run(folder)


def bars(found):
    return [(bar.trial.id, bar.start_s, bar.end_s, bar.lane) for bar in found.bars]


def test_trials_that_ran_at_once_have_lanes_of_their_own(tmp_path):
    found = timeline(run_of(tmp_path, [(0, 10), (2, 6), (6, 9), (10, 12)]))
    assert bars(found) == [("t0", 0, 10, 0), ("t1", 2, 6, 1), ("t2", 6, 9, 1), ("t3", 10, 12, 0)]
    assert found.pauses == ()


def test_a_long_pause_is_left_out_and_told(tmp_path):
    found = timeline(run_of(tmp_path, [(0, 10), (10.5, 20), (3620, 3630)]))
    assert bars(found)[1:] == [("t1", pytest.approx(10.5), 20, 0), ("t2", 20, 30, 0)]
    assert found.pauses == ((20, 3600),)


def test_lines_without_a_time_are_left_out(tmp_path):
    assert bars(timeline(run_of(tmp_path, [(0, 1), (None, None)]))) == [("t0", 0, 1, 0)]
    assert timeline(run_of(tmp_path, [])).bars == ()
