"""The contract of every executor, and what each runtime does on its own."""

import importlib.util
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from cost_models import (
    DEVICES,
    CostModelError,
    available_devices,
    measure,
    measure_interleaved,
    unavailable,
)
from cost_models.executors import EXECUTORS, onnx_runtime, openvino_runtime
from cost_models.executors.onnx_export import onnx_bytes

MEASURED = [name for name, device in DEVICES.items() if device.kind == "measured"]
HERE = [name for name in MEASURED if name in available_devices()]
TRANSLATED = [name for name in HERE if DEVICES[name].needs.packages]
needs_onnx = pytest.mark.skipif(
    unavailable("cpu-onnxruntime") is not None, reason="the extra 'onnx' is not installed"
)
needs_openvino = pytest.mark.skipif(
    unavailable("cpu-openvino") is not None, reason="the extra 'openvino' is not installed"
)


EXPORTED: dict[tuple[object, ...], bytes] = {}


def export_once(module: nn.Module, inputs: tuple[Tensor, ...]) -> bytes:
    """The real export, which takes seconds, once for each network of these tests."""
    sums = [float(parameter.detach().sum()) for parameter in module.parameters()]
    key = (str(module), *sums, *[each.shape for each in inputs])
    if key not in EXPORTED:
        EXPORTED[key] = onnx_bytes(module, inputs)
    return EXPORTED[key]


@pytest.fixture(autouse=True)
def quick_export(monkeypatch):
    for runtime in (onnx_runtime, openvino_runtime):
        monkeypatch.setattr(runtime, "onnx_bytes", export_once)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)
    ).train()


def example(*shape: int) -> tuple[Tensor]:
    return (torch.randn(shape, generator=torch.Generator().manual_seed(1)),)


@pytest.mark.parametrize("name", MEASURED)
def test_a_measured_device_names_an_executor(name):
    assert DEVICES[name].executor in EXECUTORS


@pytest.mark.parametrize("name", EXECUTORS)
def test_every_executor_serves_a_device(name):
    assert name in {device.executor for device in DEVICES.values()}


@pytest.mark.parametrize("name", EXECUTORS)
def test_every_executor_takes_tensors_of_the_processor(name):
    assert "cpu" in EXECUTORS[name].accepts


@pytest.mark.parametrize("name", [name for name in MEASURED if name not in HERE])
def test_a_device_that_is_not_here_is_refused_in_one_line_and_never_faked(name, mlp):
    with pytest.raises(CostModelError, match=f"device '{name}' cannot be measured here") as caught:
        measure(mlp, example(1, 8), device=name)
    assert "\n" not in str(caught.value)
    assert unavailable(name) in str(caught.value)


@pytest.mark.parametrize("name", HERE)
def test_a_network_is_measured_and_left_as_it_was(name):
    module, inputs = network(), example(2, 3, 8, 8)
    state = {key: value.clone() for key, value in module.state_dict().items()}
    found = measure(module, inputs, device=name, budget_s=0.02, max_noise=None)
    assert (found.device, found.batch_size, found.threads) == (name, 2, 1)
    assert found.low_s > 0
    assert found.runtime in found.to_cost().note
    assert module.training
    assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())


@pytest.mark.parametrize("name", HERE)
def test_a_device_measures_several_networks_turn_by_turn(name):
    candidates = {key: (network(), example(2, 3, 8, 8)) for key in "ab"}
    found = measure_interleaved(candidates, device=name, budget_s=0.02, max_noise=None)
    assert set(found) == {"a", "b"}


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_translated_network_that_computes_something_else_is_refused(name, monkeypatch):
    """Torch runs other weights than those that were exported."""
    exported = export_once(network().eval(), example(2, 3, 8, 8))
    for runtime in (onnx_runtime, openvino_runtime):
        monkeypatch.setattr(runtime, "onnx_bytes", lambda *_: exported)
    with pytest.raises(CostModelError, match="differs from torch by"):
        measure(network(seed=1), example(2, 3, 8, 8), device=name)


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_network_with_two_inputs_and_outputs_is_translated(name):
    class Two(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
            return a + b, a - 2 * b

    inputs = (example(2, 3)[0], torch.ones(2, 3))
    assert measure(Two(), inputs, device=name, budget_s=0.02, max_noise=None).low_s > 0


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_network_in_another_precision_is_refused_rather_than_timed_as_float32(name):
    with pytest.raises(CostModelError, match=r"torch.float64.*call module.float\(\)"):
        measure(nn.Linear(4, 3).double(), (torch.zeros(1, 4).double(),), device=name)


@pytest.mark.parametrize("name", TRANSLATED)
def test_whole_numbers_are_legal_inputs(name):
    torch.manual_seed(0)
    inputs = (torch.tensor([[1, 2, 0]]),)
    found = measure(nn.Embedding(4, 3), inputs, device=name, budget_s=0.02, max_noise=None)
    assert found.low_s > 0


@needs_onnx
def test_a_network_that_cannot_be_exported_is_refused_with_the_remedy():
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if float(x.sum()) > 0 else -x

    with pytest.raises(CostModelError, match=r"cannot export.*measure it on device 'cpu'"):
        onnx_bytes(Branching(), example(1, 4))


@needs_openvino
def test_bfloat16_is_another_device_whose_outputs_are_rounded():
    from cost_models.executors.openvino_core import openvino_core

    if "BF16" not in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16 arithmetic")
    found = {
        name: measure(network(), example(2, 3, 8, 8), device=name, budget_s=0.02, max_noise=None)
        for name in ("cpu-openvino", "cpu-openvino-bf16")
    }
    assert found["cpu-openvino"].runtime.endswith("f32")
    assert found["cpu-openvino-bf16"].runtime.endswith("bf16")


# Each core of OpenVINO sets the stack on which signals are handled: a process of its own.
_TWO_NETWORKS_THEN_A_SIGNAL = """
import gc, os, signal, torch
from cost_models.executors.openvino_runtime import OpenVino

def prepared():
    linear = torch.nn.Linear(4, 2).eval()
    return OpenVino(precision="f32").prepare(linear, (torch.zeros(1, 4),), 1)

first, second = prepared(), prepared()
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGCHLD, lambda *_: print("heard", flush=True))
os.kill(os.getpid(), signal.SIGCHLD)
"""


@needs_openvino
def test_signals_are_heard_after_two_networks_ran_in_openvino():
    done = subprocess.run(
        [sys.executable, "-c", _TWO_NETWORKS_THEN_A_SIGNAL],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "heard")


@needs_openvino
def test_a_processor_without_bfloat16_is_refused_by_name():
    from cost_models.executors.openvino_runtime import OpenVino

    class OldProcessor:
        def get_property(self, device: str, name: str) -> list[str]:
            return ["FP32", "INT8"]

    with pytest.raises(CostModelError, match=r"no bfloat16 .*FP32, INT8.*'cpu-openvino'"):
        OpenVino(precision="bf16")._check_precision(OldProcessor())


@pytest.mark.parametrize("name", [name for name in MEASURED if DEVICES[name].needs.packages])
def test_a_missing_package_names_the_extra_that_installs_it(name, mlp, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda package: None if package == "onnx" else real(package)
    )
    extra = DEVICES[name].needs.extra
    with pytest.raises(CostModelError, match=rf"onnx.* not installed.*growsearch\[{extra}\]"):
        measure(mlp, example(1, 8), device=name)
    assert name not in available_devices()
