import dataclasses
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import TensorDataset

from growsearch.datasets import Dataset, from_torch, load_dataset, subset
from growsearch.errors import UsageError
from growsearch.search.study.study import Study

_OWN = """
from torch.utils.data import Subset, TensorDataset
from growsearch.datasets import load_dataset

def streamed():
    digits = load_dataset("digits")
    parts = {n: digits.split(n).at(slice(0, 200)) for n in ("train", "validation", "test")}
    return {**{n: TensorDataset(p.inputs, p.labels) for n, p in parts.items()}, "num_classes": 10}
"""


@pytest.fixture
def short(tiny: dict[str, Any]) -> dict[str, Any]:
    del tiny["trials"]["growth"]
    tiny["trials"]["sparse"]["transform"] = "none"
    tiny["search"] |= {"trials": 1, "sampler": "random"}
    return tiny


def _digits() -> Dataset:
    return subset(load_dataset("digits"), train=300, validation=60, test=60)


def _streamed(digits: Dataset) -> Dataset:
    parts = [TensorDataset(s.inputs, s.labels) for s in (digits.validation, digits.test)]
    train = TensorDataset(digits.train.inputs, digits.train.labels)
    return from_torch(train, validation=parts[0], test=parts[1], num_classes=10)


def test_a_study_of_streamed_data_ends_as_one_in_memory(
    short: dict[str, Any], tmp_path: Path
) -> None:
    digits = dataclasses.replace(_digits(), name="own")
    found = []
    for name, data in (("memory", digits), ("streamed", _streamed(digits))):
        keys = {"data": {"workers": 2}} if name == "streamed" else {}
        study = Study({**short, **keys, "dataset": data}, tmp_path / name)
        study.run()
        (trial,) = study.trials
        assert trial.finished, trial.error
        found.append((trial.id, trial.metrics, trial.network_hash))
        assert any("streamed" in line for line in study.data_lines) == (name == "streamed")
    assert found[0] == found[1]
    assert not (tmp_path / "streamed" / "data").exists()


def test_a_run_of_a_streamed_object_is_not_resumed_with_other_data(
    short: dict[str, Any], tmp_path: Path
) -> None:
    data = _streamed(_digits())
    Study({**short, "dataset": data}, tmp_path / "run").run()
    Study({**short, "dataset": data}, tmp_path / "run").run()
    other = dataclasses.replace(data, train=data.validation)
    with pytest.raises(UsageError, match="dataset was 'given@"):
        Study({**short, "dataset": other}, tmp_path / "run").run()
    with pytest.raises(UsageError, match="an object in Python"):
        Study(tmp_path / "run" / "study.yaml").run()


def test_streamed_data_are_named_as_own_code_is(
    short: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "streamed_digits.py").write_text(_OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = {**short, "dataset": "streamed_digits:streamed", "data": {"workers": 0}}
    study = Study(config, tmp_path / "run")
    study.run()
    assert study.trials[0].finished, study.trials[0].error
    assert study.config.dataset.startswith("streamed_digits:streamed@")
