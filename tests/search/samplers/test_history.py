import random
from pathlib import Path
from typing import Any

import optuna

from growsearch.kinds import suggest_candidate
from growsearch.report import front_of_trials
from growsearch.search.config.study import StudyConfig
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.samplers.history import create_study, enqueue_unfinished, tell, warm_start
from growsearch.search.samplers.known_costs import StudyCosts
from growsearch.search.samplers.registry import SAMPLERS, make_sampler
from growsearch.search.study.progress import ProgressLine
from growsearch.search.study.study import Study
from growsearch.trial.record import Trial
from growsearch.trial.task import TrialTask


def _config(tiny: dict[str, Any], run_folder: Path) -> Study:
    tiny["constraints"] = {"macs": {"max": 10_000}}
    return Study(tiny, run_folder)


def _sampler(config: StudyConfig, folder: Path) -> optuna.samplers.BaseSampler:
    task = TrialTask(data=config.data_choice, devices=config.devices, folder=folder, profiles={})
    return make_sampler(config, StudyCosts(config, task))


def _trial(name: str, macs: float) -> Trial:
    return Trial(
        id=name,
        number=0,
        kind="sparse",
        status="finished",
        config={},
        seed=0,
        metrics={"accuracy": 0.9, "macs": macs, "latency[wafer-cs2]": 1e-6},
    )


def test_every_sampler_proposes_legal_candidates_of_both_kinds(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    for name in SAMPLERS:
        tiny["search"]["sampler"] = name
        config = Study(tiny, run_folder).config
        study = create_study(config, _sampler(config, run_folder))
        kinds = set()
        for index in range(24):
            asked = study.ask()
            kinds.add(suggest_candidate(asked, config.trials).kind)
            tell(study, asked, _trial(f"t{index}", 100.0 * index), config)
        assert kinds == {"growth", "sparse"}, name


def test_a_failed_trial_enters_as_failed_and_an_infeasible_one_with_its_excess(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    config = _config(tiny, run_folder).config
    study = create_study(config, optuna.samplers.RandomSampler(seed=0))
    for outcome in (None, _trial("a", 12_500)):
        asked = study.ask()
        suggest_candidate(asked, config.trials)
        tell(study, asked, outcome, config)
    failed, infeasible = study.trials
    assert failed.state == optuna.trial.TrialState.FAIL
    assert infeasible.values == [0.9, 12_500, 1e-6]
    assert infeasible.constraints == {"macs max": 2_500}


def test_a_resumed_sampler_knows_what_finished_and_starts_with_what_did_not(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    owner = _config(tiny, run_folder)
    owner.folder.open(owner.config)
    recorder = Recorder(owner.folder, seed=3)
    first = create_study(owner.config, optuna.samplers.RandomSampler(seed=1))
    starts = []
    for _ in range(2):
        asked = first.ask()
        starts.append(recorder.begin(suggest_candidate(asked, owner.config.trials), asked.params))
    recorder.finish(_trial(starts[0].id, 9_000))

    again = Recorder(owner.folder, seed=3)
    assert [start.id for start in again.unfinished()] == [starts[1].id]
    study = create_study(owner.config, optuna.samplers.RandomSampler(seed=2))
    warm_start(study, again.trials.values(), again.starts, owner.config)
    enqueue_unfinished(study, again.unfinished())
    assert study.trials[0].params == dict(starts[0].params)
    assert study.trials[0].constraints == {"macs max": -1_000}
    asked = study.ask()
    assert suggest_candidate(asked, owner.config.trials) == starts[1].candidate


def test_a_trial_is_recorded_once_and_the_progress_line_fits_a_terminal(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    owner = _config(tiny, run_folder)
    owner.folder.open(owner.config)
    recorder = Recorder(owner.folder, seed=3)
    line = ProgressLine(owner.config, recorder)
    recorder.finish(_trial("aaaa", 9_000))
    recorder.finish(_trial("aaaa", 1))
    assert len(owner.folder.ledger.read_text().splitlines()) == 1
    assert recorder.trials["aaaa"].metrics["macs"] == 9_000
    text = line.text()
    assert text.startswith("1/4 trials · 0 running · best accuracy 90.00 % · front 1")
    assert len(text) <= 80


def test_a_line_counts_what_came_since_the_last_one_as_if_it_had_counted_all(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["objectives"] = {"accuracy": "maximize", "macs": "minimize"}
    owner = Study(tiny, run_folder)
    owner.folder.open(owner.config)
    recorder = Recorder(owner.folder, 3)
    line = ProgressLine(owner.config, recorder)
    rng = random.Random(0)
    for number in range(40):
        status = ("finished", "finished", "stopped", "failed")[number % 4]
        metrics = {"accuracy": rng.random(), "macs": rng.random(), "epochs": 1}
        recorder.trials[f"t{number}"] = Trial(
            id=f"t{number}",
            number=number,
            kind="sparse",
            status=status,
            config={},
            seed=0,
            metrics={} if status == "failed" else metrics,
        )
        if number % 3:
            continue
        # One that sees everything at once for the first time.
        whole = ProgressLine(owner.config, recorder).text().rpartition(" · ")[0]
        assert line.text().rpartition(" · ")[0] == whole
        front = front_of_trials(
            tuple(recorder.trials.values()), owner.config.objectives, owner.config.bounds()
        )
        assert f"front {len(front)}" in whole
