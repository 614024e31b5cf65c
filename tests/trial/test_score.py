"""What a trial does on a machine that is too busy to be measured on: waits, and tries again."""

import pytest
import torch
from torch import nn

from cost_models import MachineLock, NoisyMeasurementError
from growsearch.errors import MachineError
from growsearch.kinds import DataChoice, RecipeChoice, SparseCandidate
from growsearch.trial import score as score_module
from growsearch.trial.run import run_trial
from growsearch.trial.score import measured_latency
from growsearch.trial.task import TrialTask

NETWORK, EXAMPLE = nn.Linear(4, 2).eval(), (torch.zeros(1, 4),)


def _noisy():
    return NoisyMeasurementError("repeats differ by 80 %")


@pytest.fixture
def lock(tmp_path):
    return MachineLock(tmp_path)


@pytest.fixture
def machine(monkeypatch, lock):
    """Stand in for the clock: noisy so often, then as it is; returns what was done in order."""
    done, real = [], score_module.measure

    def busy(times):
        left = [_noisy() for _ in range(times)]

        def measured(*arguments, **options):
            # Alone on the machine: no training step could begin now.
            with pytest.raises(Exception, match="inside a measurement"), lock.shared():
                pass
            done.append("measure")
            if left:
                raise left.pop()
            return real(*arguments, **options, budget_s=0.01, max_noise=None)

        def sleep(seconds):
            # Others may train meanwhile.
            with lock.shared():
                done.append(seconds)

        monkeypatch.setattr(score_module, "measure", measured)
        monkeypatch.setattr(score_module.time, "sleep", sleep)
        return done

    return busy


@pytest.mark.parametrize(
    ("times", "done"),
    [
        (0, ["measure"]),
        (1, ["measure", 1.0, "measure"]),
        (2, ["measure", 1.0, "measure", 3.0, "measure"]),
    ],
)
def test_a_busy_machine_gets_a_few_seconds_to_calm_down_and_another_try(times, done, machine, lock):
    found = machine(times)
    latency = measured_latency(NETWORK, EXAMPLE, "cpu", lock)
    assert latency.method == "measured"
    assert latency.value_s > 0
    assert latency.layers
    assert found == done


def test_a_machine_that_stays_busy_is_said_after_the_third_try(machine, lock):
    found = machine(3)
    with pytest.raises(NoisyMeasurementError, match="repeats differ by 80 %"):
        measured_latency(NETWORK, EXAMPLE, "cpu", lock)
    assert found == ["measure", 1.0, "measure", 3.0, "measure"]
    # The machine is free again.
    with lock.exclusive():
        pass


def test_a_trial_on_a_machine_that_stays_busy_is_a_failed_one(monkeypatch, tmp_path):
    def noisy(*_, **__):
        raise _noisy()

    monkeypatch.setattr(score_module, "measure", noisy)
    monkeypatch.setattr(score_module.time, "sleep", lambda _: None)
    config = SparseCandidate(
        space="mlp-digits",
        transform="none",
        sparsity=0.5,
        distribution="erk",
        updater="static",
        training=RecipeChoice(epochs=1),
    )
    task = TrialTask(data=DataChoice(name="digits"), devices=("cpu",), folder=tmp_path)
    trial = run_trial(config, task, number=0, study_seed=0, report=lambda _: None)
    assert trial.failed
    assert trial.error == "NoisyMeasurementError: repeats differ by 80 %"


def test_a_device_that_is_not_there_is_the_machines_trouble(monkeypatch, lock):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(MachineError, match=r"latency\[cuda\] cannot be measured here: .*no NVIDIA"):
        measured_latency(NETWORK, EXAMPLE, "cuda", lock)
