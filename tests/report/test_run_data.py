"""A run folder is read whole, or the file that is wrong is named."""

import gc
import json
import weakref

import pytest

from growsearch.errors import UsageError
from growsearch.report.run_data import once_a_run, read_history, read_run


def test_a_run_holds_its_study_and_its_trials(run_folder, study):
    run = read_run(run_folder)
    assert run.study == study
    assert (len(run.finished), len(run.failed)) == (38, 2)
    assert run.objectives == study["objectives"]
    assert run.notes == ()


def test_the_front_holds_only_trials_inside_the_constraints(run_folder):
    run = read_run(run_folder)
    outside = [t.id for t in run.finished if t.metrics["parameters"] > 36_000]
    compared = {point.id for point in run.front().points}
    assert outside
    assert compared == {trial.id for trial in run.finished} - set(outside)


def test_what_is_computed_of_a_run_is_computed_once_and_goes_with_it(run_folder):
    asked = []

    @once_a_run
    def finished(run):
        asked.append(run.folder)
        return len(run.finished)

    run, other = read_run(run_folder), read_run(run_folder)
    assert [finished(run), finished(run), finished(other)] == [38, 38, 38]
    assert len(asked) == 2
    gone = weakref.ref(run)
    del run
    gc.collect()
    assert gone() is None


def test_a_trial_without_an_objective_is_noted_and_not_compared(run_maker):
    folder = run_maker(count=6)
    lines = (folder / "trials.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    del first["metrics"]["latency[cpu]"]
    (folder / "trials.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n")
    run = read_run(folder)
    assert first["id"] in run.notes[0]
    assert first["id"] not in {point.id for point in run.front().points}


def test_a_cut_last_line_is_noted(run_maker):
    folder = run_maker(count=6)
    text = (folder / "trials.jsonl").read_text()
    (folder / "trials.jsonl").write_text(text[:-200])
    run = read_run(folder)
    assert len(run.trials) == 5
    assert "trials.jsonl:6" in run.notes[0]


def test_a_constraint_without_a_value_binds_nothing(run_maker, study):
    constraints = {"parameters": {"max": None, "min": 7000}}
    run = read_run(run_maker(count=9, study={**study, "constraints": constraints}))
    assert all(point.values["parameters"] >= 7000 for point in run.front().points)
    assert len(run.front().points) > 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "study.yaml is missing"),
        ("a: [1", "cannot be read"),
        ("- a list", "is no mapping"),
        ("name: x", "has no objectives"),
        ("objectives: {accuracy: up}", "accuracy is neither minimize nor maximize"),
        (
            "objectives: {accuracy: maximize}\nconstraints: {macs: {max: 3 h}}",
            "constraints: macs = '3 h': unknown unit",
        ),
    ],
)
def test_a_study_that_cannot_be_used_is_named(tmp_path, content, words):
    if content is not None:
        (tmp_path / "study.yaml").write_text(content)
    with pytest.raises(UsageError, match=words):
        read_run(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="nowhere is not a folder"):
        read_run(tmp_path / "nowhere")


def test_yaml_cannot_make_objects(tmp_path):
    (tmp_path / "study.yaml").write_text("name: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(UsageError, match="cannot be read"):
        read_run(tmp_path)


def test_a_history_has_a_column_for_every_width_that_grew(run_folder):
    run = read_run(run_folder)
    grown = next(trial for trial in run.finished if trial.kind == "growth")
    history = read_history(run, grown)
    assert history["epoch"] == list(range(1, 21))
    assert set(history) >= {"accuracy", "loss", "width.stem", "width.stage3"}


def test_a_history_ends_where_a_row_was_cut_and_may_be_missing(run_maker):
    run = read_run(run_maker(count=3))
    trial = run.trials[0]
    path = run.folder / "trials" / trial.id / "history.csv"
    path.write_text("epoch,loss\n1,2.0\n2,1.5\n3")
    assert read_history(run, trial) == {"epoch": [1.0, 2.0], "loss": [2.0, 1.5]}
    path.write_text("")
    assert read_history(run, trial) == {}
    path.unlink()
    assert read_history(run, trial) == {}
