import json

import pytest
import torch

from cost_models import CostModelError, ProfileError, UnknownNameError, estimate, trace
from cost_models.executors.executor import Prepared
from cost_models.profiling import building
from cost_models.profiling.building import (
    DrawnNetwork,
    ProfilePlan,
    ProfileRun,
    profiled_devices,
    run_until_settled,
)
from cost_models.profiling.counted_work import CountedWork

PLAN = ProfilePlan(operators=30, networks=3, validation=5, minutes=0.001)


class Dense:
    """Linear networks of up to `widest` units."""

    description = {"spaces": ["dense"]}  # noqa: RUF012

    def __init__(self, widest: int = 60) -> None:
        self.widest = widest

    def draw(self, generator: torch.Generator) -> DrawnNetwork:
        width = 1 + int(torch.randint(self.widest, (1,), generator=generator))
        module = torch.nn.Sequential(
            torch.nn.Linear(8, width), torch.nn.ReLU(), torch.nn.Linear(width, 4)
        )
        return DrawnNetwork(
            name=str(width),
            module=module,
            inputs=(torch.zeros(1, 8),),
            description={"width": width},
        )


def silent(stage: str, share: float) -> None:
    assert 0 <= share <= 1, stage


@pytest.fixture(scope="module")
def run() -> ProfileRun:
    run = ProfileRun(PLAN, Dense(), silent)
    run_until_settled(run, silent)
    return run


def test_a_profile_is_measured_fitted_and_can_be_asked(run):
    profile = run.finish(minutes=0.1)
    record = profile.record
    assert [len(record.with_role(role)) for role in ("calibration", "validation")] == [3, 5]
    assert 20 <= len(record.operators) <= 31
    assert record.conditions.device == "cpu"
    assert record.conditions.host["torch"] == torch.__version__
    drawn = Dense().draw(torch.Generator().manual_seed(99))
    work = trace(drawn.module, drawn.inputs)
    assert estimate(work, device=profile, batch_size=1, phase="inference").latency_s > 0


def test_no_network_is_both_fitted_on_and_checked(run):
    names = [network.name for network in run.finish(0.1).record.networks]
    assert len(set(names)) == len(names) == 8


def test_the_same_seed_draws_the_same_networks_and_operators(run):
    again = ProfileRun(PLAN, Dense(), silent)
    assert again.state()["subjects"] == run.state()["subjects"]
    assert again._operators == run._operators


def test_an_interrupted_run_goes_on_from_its_state(run):
    state = json.loads(json.dumps(run.state()))
    again = ProfileRun(PLAN, Dense(), silent)
    assert again.resume(state)
    assert again.timer.passes == run.timer.passes
    assert (again.timer.networks.kept == run.timer.networks.kept).all()
    assert again.noise == run.noise


def test_the_state_of_another_plan_is_not_gone_on_from(run):
    other = ProfileRun(ProfilePlan(operators=30, networks=3, validation=6), Dense(), silent)
    assert not other.resume(run.state())
    assert other.timer.passes == 0


def test_a_state_with_missing_samples_is_plain_json():
    run = ProfileRun(PLAN, Dense(), silent)
    state = json.loads(json.dumps(run.state(), allow_nan=False))
    assert run.resume(state)
    assert run.noise == float("inf")


def test_timing_ends_when_repeats_agree(monkeypatch):
    run = ProfileRun(ProfilePlan(operators=30, networks=3, validation=5), Dense(), silent)
    monkeypatch.setattr(ProfileRun, "settled", property(lambda self: self.timer.passes == 3))
    entered, after = [], []

    class Around:
        def __enter__(self) -> None:
            entered.append(1)

        def __exit__(self, *_: object) -> None:
            entered.append(-1)

    run_until_settled(
        run, silent, around_pass=Around, after_pass=lambda: after.append(sum(entered))
    )
    assert (run.timer.passes, entered, after) == (3, [1, -1] * 3, [0] * 3)


def test_a_run_is_settled_once_its_halves_agree(run):
    fresh = ProfileRun(PLAN, Dense(), silent)
    assert not fresh.settled
    kept = run.timer.networks.kept
    kept[:] = 1.0
    fresh.timer.resume(type(run.timer.networks).of(kept), run.timer.operators, 10)
    assert fresh.settled


def test_a_profile_of_one_pass_is_refused():
    run = ProfileRun(PLAN, Dense(), silent)
    run.run_pass()
    with pytest.raises(ProfileError, match="more minutes"):
        run.finish(0.1)


def test_a_source_with_too_few_networks_is_refused():
    with pytest.raises(ProfileError, match="no more than 4 different networks"):
        ProfileRun(PLAN, Dense(widest=4), silent)


def test_a_source_of_another_batch_size_is_refused():
    plan = ProfilePlan(operators=30, networks=3, validation=5, batch_size=2)
    with pytest.raises(ProfileError, match="a batch of 1, the plan of 2"):
        ProfileRun(plan, Dense(), silent)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"device": "abacus"}, UnknownNameError, "unknown device 'abacus'"),
        ({"device": "wafer-cs2"}, ProfileError, "device = 'wafer-cs2': .*valid: cpu, cpu-sparse"),
        ({"device": "cuda-2:4", "operators": 0}, ProfileError, "skips the zeros of a pattern"),
        ({"operators": -1}, ProfileError, "operators = -1: must not be below 0"),
        ({"networks": 0}, ProfileError, "networks = 0: must be at least 1"),
        ({"minutes": 0.0}, ProfileError, "minutes = 0.0: must be above 0"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        ProfilePlan(**options)


def test_a_profile_without_operators_predicts_from_counted_work():
    plan = ProfilePlan(operators=0, networks=10, validation=5, minutes=0.001)
    run = ProfileRun(plan, Dense(), silent)
    run_until_settled(run, silent)
    profile = run.finish(minutes=0.1)
    assert profile.record.operators == ()
    assert isinstance(profile.model, CountedWork)
    drawn = Dense().draw(torch.Generator().manual_seed(99))
    work = trace(drawn.module, drawn.inputs)
    assert estimate(work, device=profile, batch_size=1, phase="inference").latency_s > 0


def test_a_runtime_of_whole_networks_has_no_operators_to_time():
    pytest.importorskip("onnxruntime")
    with pytest.raises(ProfileError, match="runs whole networks and no single operators; take 0"):
        ProfilePlan(device="cpu-onnxruntime")


def test_networks_run_as_the_devices_executor_prepares_them(monkeypatch):
    """Exporting to a runtime takes seconds a network: a stand-in shows that it is used."""
    calls = []

    class Counting:
        def prepare(self, module, example_inputs, threads):
            return Prepared(call=lambda: calls.append(threads), runtime="stand-in 1.0")

    pytest.importorskip("onnxruntime")
    monkeypatch.setitem(building.EXECUTORS, "onnxruntime", Counting())
    plan = ProfilePlan(
        device="cpu-onnxruntime", operators=0, networks=10, validation=5, minutes=0.001
    )
    run = ProfileRun(plan, Dense(), silent)
    run_until_settled(run, silent)
    conditions = run._conditions(0.1)
    assert (conditions.device, conditions.host["runtime"]) == ("cpu-onnxruntime", "stand-in 1.0")
    assert len(calls) >= 15 * 2 * 4


def test_a_device_beside_the_processor_is_timed_by_its_own_clock(monkeypatch):
    """No GPU is at hand: a stand-in shows whose clock the networks are timed by."""
    timed = []

    def clock(call, repeats):
        call()
        timed.append(repeats)
        return 1e-3 * (1 + len(timed) % 2), 5.0

    class Device:
        def prepare(self, module, example_inputs, threads):
            return Prepared(call=lambda: None, runtime="stand-in 1.0", clock=clock)

    monkeypatch.setitem(building.EXECUTORS, "cuda", Device())
    monkeypatch.setattr(building, "check_available", lambda device: None)
    plan = ProfilePlan(device="cuda", operators=0, networks=10, validation=5, minutes=0.001)
    run = ProfileRun(plan, Dense(), silent)
    run_until_settled(run, silent)
    record = run.finish(minutes=0.1).record
    assert record.conditions.clock == "the device's own time"
    assert {network.low_s for network in record.networks} == {1e-3}
    assert set(timed) == {1}


def test_a_gpu_that_is_not_here_cannot_be_profiled(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(CostModelError, match="'cuda' cannot be measured here: torch finds no"):
        ProfilePlan(device="cuda", operators=0)


def test_no_device_is_offered_that_is_analytic_or_looks_for_a_pattern():
    measured = {"cpu", "cpu-sparse", "cpu-onnxruntime", "cpu-openvino", "cuda", "cuda-fp16"}
    assert measured <= set(profiled_devices())
    assert not {"cuda-2:4", "wafer-cs2"} & set(profiled_devices())
