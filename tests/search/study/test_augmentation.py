from pathlib import Path
from typing import Any

import pytest
import yaml

from growsearch.errors import UsageError
from growsearch.search.config.file import load_study, parse_study
from growsearch.search.study.study import Study

_MIXED = [{"shift": {"pixels": 1}}, {"mixup": {"alpha": 0.4}}, "cutmix"]


def test_a_study_trains_with_the_augmentation_that_it_names(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    del tiny["trials"]["growth"]
    tiny["search"] |= {"trials": 1, "sampler": "random"}
    usual = Study(tiny, tmp_path / "usual")
    usual.run()
    mixed = Study({**tiny, "augmentation": _MIXED}, tmp_path / "mixed")
    mixed.run()
    written = yaml.safe_load((tmp_path / "mixed" / "study.yaml").read_text())
    assert written["augmentation"] == [
        {"shift": {"pixels": 1}},
        {"mixup": {"alpha": 0.4, "probability": 1.0}},
        {"cutmix": {"alpha": 1.0, "probability": 1.0}},
    ]
    # The same candidates, which learn from other batches.
    assert [trial.id for trial in mixed.trials] == [trial.id for trial in usual.trials]
    for one, other in zip(usual.trials, mixed.trials, strict=True):
        assert other.finished, other.error
        histories = [
            (study.folder.path / "trials" / one.id / "history.csv").read_text()
            for study in (usual, mixed)
        ]
        assert histories[0] != histories[1]
    assert load_study(tmp_path / "mixed" / "study.yaml", run=True) == mixed.config


def test_a_run_is_not_resumed_with_another_augmentation(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    tiny["search"]["trials"] = 1
    Study(tiny, tmp_path / "run").run()
    with pytest.raises(UsageError, match="augmentation was None and is"):
        Study({**tiny, "augmentation": "mirror"}, tmp_path / "run").run()


def test_the_usual_augmentation_is_not_written_into_a_study(tiny: dict[str, Any]) -> None:
    assert "augmentation" not in parse_study(tiny).to_plain()
