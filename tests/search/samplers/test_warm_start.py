"""Does a search learn from earlier runs what it can, and nothing that cannot be compared?"""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from growsearch.errors import UsageError
from growsearch.kinds import DataChoice
from growsearch.search.config.file import load_study, parse_study
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.samplers.constraint_filter import ConstraintFilter
from growsearch.search.samplers.history import create_study, prepare
from growsearch.search.samplers.known_costs import StudyCosts
from growsearch.search.samplers.registry import make_sampler
from growsearch.search.samplers.warm_start import earlier_trials
from growsearch.search.study.study import Study
from growsearch.trial.task import TrialTask


@pytest.fixture
def earlier(tiny: dict[str, Any], tmp_path: Path) -> Study:
    data = copy.deepcopy(tiny)
    data["name"] = "earlier"
    data["search"]["trials"] = 3
    study = Study(data, tmp_path / "earlier")
    study.run()
    return study


def test_a_sampler_starts_with_every_metric_of_an_earlier_run(
    earlier: Study, tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["search"] |= {"warm_start": [str(earlier.folder.path)], "sampler": "gp-ehvi", "seed": 9}
    # Another order of fewer objectives: what was measured is what counts.
    tiny["objectives"] = {"parameters": "minimize", "accuracy": "maximize"}
    owner = Study(tiny, run_folder)
    config = owner.config
    owner.folder.open(config)
    task = TrialTask(data=DataChoice(name="digits", folder=None), devices=(), folder=run_folder)
    foresight = StudyCosts(config, task)
    study = create_study(config, make_sampler(config, foresight))
    prepare(
        study, config, Recorder(owner.folder, 9), ConstraintFilter(config, foresight, run_folder)
    )
    assert [trial.values for trial in study.trials] == [
        [trial.metrics["parameters"], trial.metrics["accuracy"]] for trial in earlier.trials
    ]
    # They are no trials of this run, and are not proposed again.
    assert not owner.folder.ledger.exists()
    known = {frozenset(trial.params.items()) for trial in study.trials}
    assert frozenset(study.ask().params.items()) not in known


def test_what_is_not_in_this_space_or_lacks_an_objective_is_passed_over(
    earlier: Study, tiny: dict[str, Any]
) -> None:
    tiny["search"]["warm_start"] = [str(earlier.folder.path)]
    del tiny["trials"]["growth"]
    here = earlier_trials(parse_study(tiny))
    assert [trial.id for trial in here] == [t.id for t in earlier.trials if t.kind == "sparse"]
    tiny["objectives"]["latency[cpu]"] = "minimize"
    assert earlier_trials(parse_study(tiny)) == []


def test_a_run_on_other_data_and_a_folder_that_is_no_run_are_refused(
    earlier: Study, tiny: dict[str, Any], tmp_path: Path
) -> None:
    tiny["search"]["warm_start"] = [str(earlier.folder.path)]
    tiny["dataset"] = "fashion-mnist"
    with pytest.raises(UsageError, match="is a run on digits, this study is on fashion-mnist"):
        earlier_trials(parse_study(tiny))
    tiny["search"]["warm_start"] = [str(tmp_path / "nothing")]
    with pytest.raises(UsageError, match=r"search\.warm_start"):
        earlier_trials(parse_study(tiny))


def test_a_relative_folder_is_meant_from_the_study_file(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    tiny["search"]["warm_start"] = ["runs/before"]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tiny))
    config = load_study(tmp_path / "study.yaml")
    assert config.search.warm_start == (tmp_path / "runs" / "before",)
