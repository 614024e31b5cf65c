"""A trial on an accelerator: what it trains and judges there, and what is measured on the CPU."""

import dataclasses
from pathlib import Path

import pytest
import torch
from standin import NAME, plugged_in

from growsearch.errors import MachineError
from growsearch.kinds import DataChoice, candidate_from_json
from growsearch.metrics.placement import device_of
from growsearch.training.computing import Computing
from growsearch.trial.proxies import score_candidate
from growsearch.trial.quality import Quality
from growsearch.trial.record import Latency
from growsearch.trial.run import run_trial
from growsearch.trial.task import TrialTask

SPARSE = {
    "kind": "sparse",
    "space": "mlp-digits",
    "transform": "none",
    "sparsity": 0.5,
    "distribution": "snip",
    "updater": "static",
    "epochs": 1,
    "batch_size": 64,
    "learning_rate": 0.05,
}


def trial_on(device, folder: Path, **changes):
    seen = []

    def measure(model, example, name, lock):
        seen.append((device_of(model).type, example[0].device.type))
        fields = {field.name: None for field in dataclasses.fields(Latency)}
        values = {"method": "measured", "value_s": 1.0, "low_s": 1.0, "high_s": 1.0}
        return Latency(**{**fields, **values, "batch_size": 1, "device": name, "layers": {}})

    task = TrialTask(
        data=DataChoice(name="digits", subset=128),
        devices=("cpu",),
        folder=folder,
        measure=measure,
        computing=Computing(device=device, precision="float32"),
        quality=Quality(names=("nll", "ece")),
    )
    candidate = candidate_from_json({**SPARSE, **changes})
    trial = run_trial(candidate, task, number=0, study_seed=0, report=lambda _: None)
    return trial, seen


def test_a_trial_on_an_accelerator_is_that_of_the_cpu_and_is_measured_there(tmp_path):
    torch.set_num_threads(1)
    expected, _ = trial_on("cpu", tmp_path / "cpu")
    with plugged_in():
        found, seen = trial_on(NAME, tmp_path / "other")
    assert (expected.error, found.error) == (None, None)
    assert found.metrics == expected.metrics
    assert seen == [("cpu", "cpu")]
    for name in ("weights.safetensors", "history.csv"):
        one, other = (tmp_path / side / "trials" / found.id / name for side in ("cpu", "other"))
        assert one.read_bytes() == other.read_bytes()


def test_a_trial_whose_device_is_not_there_says_so(tmp_path):
    with pytest.raises(MachineError, match=r"device: 'cuda' is not there; here there are: cpu"):
        trial_on("cuda", tmp_path)


@pytest.mark.parametrize("proxy", ["snip", "synflow"])
def test_a_proxy_is_taken_on_the_device_and_is_that_of_the_cpu(tmp_path, proxy):
    task = TrialTask(data=DataChoice(name="digits"), devices=(), folder=tmp_path)
    candidate = candidate_from_json({**SPARSE, "distribution": "uniform"})
    expected = score_candidate(candidate, task, 0, proxy)
    with plugged_in():
        found = score_candidate(candidate, task, 0, proxy)
    assert found.score == pytest.approx(expected.score, rel=1e-9)
