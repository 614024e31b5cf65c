"""The front trained again with other seeds: told, resumed, and never taken for new networks."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from growsearch import Study
from growsearch.kinds import trial_id
from growsearch.report import choice_lines, read_run, write_report
from growsearch.report.choice.told_apart import over_seeds
from growsearch.report.live.heartbeat import read_heartbeat
from growsearch.report.live.status import read_status
from growsearch.report.page_data import page_data
from growsearch.search.ledger import pulse as pulse_module
from growsearch.search.study.study import StudyOptions
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.repeats import repeat_seed
from growsearch.trial.retries import train_and_score

STUDY = {
    "name": "again",
    "dataset": "digits",
    "subset": 200,
    "trials": {
        "sparse": {
            "space": "mlp-digits",
            "transform": "none",
            "sparsity": [0.0, 0.9],
            "distribution": "erk",
            "updater": "static",
            "epochs": 1,
        }
    },
    "objectives": {"accuracy": "maximize", "macs": "minimize"},
    "search": {"trials": 2, "seed": 3, "backend": "serial", "sampler": "random"},
}


def study(repeats: int, **search: Any) -> dict[str, Any]:
    return {**STUDY, "search": {**STUDY["search"], "repeats": repeats, **search}}


class Counted:
    """Runs candidates and counts them; the process dies before one of them."""

    def __init__(self, dies_before: int | None = None) -> None:
        self.runs = 0
        self._dies_before = dies_before

    def __call__(self, config, task, seed, report):
        if self.runs == self._dies_before:
            raise KeyboardInterrupt
        self.runs += 1
        return train_and_score(config, task, seed, report)


def ledgers(folder: Path) -> tuple[list[dict], list[dict]]:
    found = []
    for file in (folder / "trials.jsonl", folder / "repeats" / "trials.jsonl"):
        lines = file.read_text().splitlines() if file.exists() else []
        found.append([json.loads(line) for line in lines])
    return found[0], found[1]


@pytest.fixture(scope="module")
def repeated(tmp_path_factory) -> Study:
    """A search of two networks, both on the front, of whose four repeats the third was cut off."""
    folder = tmp_path_factory.mktemp("runs") / "again"
    Study(study(0), folder).run()
    plain = (folder / "front.json").read_text()
    before = (folder / "trials.jsonl").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        Study(study(2), folder).run(StudyOptions(run=Counted(dies_before=2)))
    assert len(ledgers(folder)[1]) == 2
    rest, found = Counted(), Study(study(2), folder)
    found.run(StudyOptions(run=rest))
    assert rest.runs == 2
    # The search's own files are what they are without repeats.
    assert (folder / "front.json").read_text() == plain
    assert (folder / "trials.jsonl").read_bytes() == before
    return found


def test_each_member_has_its_repeats_with_seeds_of_their_own(repeated):
    own, again = ledgers(repeated.folder.path)
    assert len(again) == 4
    assert sorted(json.dumps(line["config"]) for line in again) == sorted(
        json.dumps(line["config"]) for line in own * 2
    )
    seeds = [line["seed"] for line in (*own, *again)]
    assert len(set(seeds)) == len({line["id"] for line in (*own, *again)}) == 6
    assert repeat_seed(3, 1) != repeat_seed(3, 2) != repeat_seed(4, 1)


def test_what_is_repeated_is_not_run_again_and_more_repeats_only_add(repeated, tmp_path):
    counted = Counted()
    again = Study(study(2), repeated.folder.path)
    again.run(StudyOptions(run=counted))
    assert counted.runs == 0
    assert again.notes == ()
    assert [trial.id for trial in again.trials] == [trial.id for trial in repeated.trials]


def test_mean_and_deviation_are_over_the_repeats_alone(repeated):
    folder = repeated.folder.path
    run = read_run(folder)
    assert set(run.repeats) == {trial.id for trial in run.trials}
    trial = run.finished[0]
    first, second = (repeat.metrics["accuracy"] for repeat in run.repeats[trial.id])
    found = over_seeds(run, trial, "accuracy")
    assert (found.seeds, found.mean) == (2, pytest.approx((first + second) / 2))
    assert found.deviation == pytest.approx(abs(first - second) / 2**0.5)
    written = write_report(folder, ("md", "json", "html"))
    assert "## Over other seeds" in written["md"].read_text()
    assert f"{found.say('accuracy')}" in written["md"].read_text()
    data = json.loads(written["json"].read_text())
    assert data["repeats"][trial.id]["accuracy"]["seeds"] == 2
    assert len(data["front"]) == 2
    assert page_data(run)["repeats"][trial.id]["accuracy"] == found.say("accuracy")
    chosen = repeated.choice.chosen
    assert over_seeds(run, chosen, "accuracy").say("accuracy") in "\n".join(
        choice_lines(repeated.choice)
    )


def test_each_repeat_keeps_its_own_network_and_what_it_was_right_about(repeated):
    for line in ledgers(repeated.folder.path)[1]:
        folder = repeated.folder.path / "repeats" / "trials" / line["id"]
        names = {file.name for file in folder.iterdir()}
        assert names >= {"architecture.json", "weights.safetensors", "validation.json"}
        assert not (repeated.folder.path / "trials" / line["id"]).exists()


def test_a_failed_repeat_is_told_and_left_out_of_the_mean(tmp_path):
    def fails_again(config, task, seed, report):
        trial = train_and_score(config, task, seed, report)
        if seed != 3:
            from growsearch.errors import DivergedError

            raise DivergedError("the loss became nan")
        return trial

    found = Study(study(1, trials=1), tmp_path / "run")
    found.run(StudyOptions(run=fails_again))
    (note,) = found.check_notes
    assert note.startswith("repeat 1 of ")
    assert note.endswith("DivergedError: the loss became nan")
    assert read_run(tmp_path / "run").repeats == {}
    assert read_ledger(tmp_path / "run" / "repeats" / "trials.jsonl").trials[0].failed


def test_repeats_that_the_time_budget_has_no_room_for_are_told(tmp_path):
    ticks = iter(range(10**6))
    now = {"over": False}

    def one_is_enough(config, task, seed, report):
        now["over"] = seed != 3
        return train_and_score(config, task, seed, report)

    found = Study(study(2, trials=1, time_budget="1000 s"), tmp_path / "run")
    clock = lambda: 2000.0 if now["over"] else next(ticks) * 1e-6  # noqa: E731
    found.run(StudyOptions(run=one_is_enough, clock=clock, started=0.0))
    assert found.check_notes == (
        "1 of 2 repeats of the front were left out: it was used up; run the same command again to "
        "go on",
    )
    assert len(ledgers(tmp_path / "run")[1]) == 1


def test_a_search_whose_front_is_repeated_says_how_far_that_is(tmp_path, monkeypatch):
    monkeypatch.setattr(pulse_module, "_LEAST_S", 0.01)
    folder, told = tmp_path / "run", []

    def run(config, task, seed, report):
        for _ in range(500):
            beat = read_heartbeat(folder)
            if beat is not None and beat.repeats is not None:
                again = task.folder.name == "repeats"
                # The beat of this very training, not one of before.
                if (beat.repeats.wanted is not None) is again and (
                    not again or beat.repeats.running == trial_id(config, seed)
                ):
                    break
            time.sleep(0.01)
        status = read_status(folder)
        told.append((beat.repeats.done, beat.repeats.wanted, status.left.basis))
        return train_and_score(config, task, seed, report)

    Study(study(2), folder).run(StudyOptions(run=run))
    assert [each[:2] for each in told] == [(0, None), (0, None), (0, 4), (1, 4), (2, 4), (3, 4)]
    assert {basis for *_, basis in told[2:]} == {"repeats of the front are under way"}
    after = read_status(folder)
    assert after.state == "finished"
    assert (after.repeats.done, after.repeats.wanted, after.repeats.running) == (4, 4, "")


def test_what_was_odd_about_the_files_of_repeats_is_told(tmp_path):
    folder = tmp_path / "run"
    Study(study(1), folder).run()
    ledger = folder / "repeats" / "trials.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text(lines[0] + lines[1][:50])
    again = Study(study(1), folder)
    again.run()
    (cut, lost) = again.check_notes
    assert "repeats/trials.jsonl:2: a line cut short by a crash was ignored" in cut
    assert "1 finished trials have no line" in lost
