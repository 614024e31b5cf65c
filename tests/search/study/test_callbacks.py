"""Own callbacks of a study: hooks that take part in the training of every trial."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from growsearch.errors import UsageError
from growsearch.search.study.study import Study

_HOOKS = '''
import json
from growsearch.training import Hook


class Rates(Hook):
    """Writes the learning rate of every epoch beside the trial."""

    def __init__(self, folder, seed):
        self.folder, self.seed, self.rates = folder, seed, []

    def on_epoch_end(self, state):
        self.rates.append(state.optimizer.param_groups[0]["lr"])
        (self.folder / "rates.json").write_text(json.dumps([self.seed, self.rates]))

    def state(self):
        return {}


class Still(Hook):
    """Lets no update through."""

    def before_update(self, state):
        return False

    def state(self):
        return {}


class Forgetful(Hook):
    pass


class NoHook:
    pass


class Needs(Hook):
    def __init__(self, something):
        pass
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "own_hooks_of_a_test.py").write_text(_HOOKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield importlib.import_module("own_hooks_of_a_test")
    sys.modules.pop("own_hooks_of_a_test", None)


def test_callbacks_take_part_in_every_trial(own: Any, tiny: dict[str, Any], tmp_path: Path) -> None:
    run = Study({**tiny, "callbacks": [own.Rates]}, tmp_path / "run")
    run.run()
    assert str(run.config.callbacks[0]).startswith("own_hooks_of_a_test:Rates@")
    for trial in run.trials:
        assert trial.finished, trial.error
        place = tmp_path / "run" / "trials" / trial.id
        seed, rates = json.loads((place / "rates.json").read_text())
        assert seed == trial.seed
        assert len(rates) == trial.config["epochs"]


def test_a_callback_may_replace_updates_and_changes_no_id(
    own: Any, tiny: dict[str, Any], tmp_path: Path
) -> None:
    tiny["trials"].pop("growth")
    tiny["search"]["trials"] = 1
    still = Study({**tiny, "callbacks": ["own_hooks_of_a_test:Still"]}, tmp_path / "still")
    still.run()
    plain = Study(tiny, tmp_path / "plain")
    plain.run()
    assert still.trials[0].id == plain.trials[0].id
    assert still.trials[0].metrics["accuracy"] < plain.trials[0].metrics["accuracy"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Forgetful", "give it state"),
        ("NoHook", "derive from growsearch.training.Hook"),
        ("Needs", "needs something"),
        ("Missing", "has no Missing"),
        ("json", "is a module; give a class"),
    ],
)
def test_what_cannot_take_part_is_refused_before_anything_trains(
    own: Any, name: str, message: str, tiny: dict[str, Any], tmp_path: Path
) -> None:
    study = {**tiny, "callbacks": [f"own_hooks_of_a_test:{name}"]}
    with pytest.raises(UsageError, match=message):
        Study(study, tmp_path / "run").run()
    assert not (tmp_path / "run").exists()


def test_a_name_that_is_none_is_told(tiny: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="write MODULE:ATTRIBUTE"):
        Study({**tiny, "callbacks": ["rates"]}, tmp_path / "run")
