"""Wrappers and re-parametrisations of torch change no count."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm
from torch.utils.checkpoint import CheckpointFunction, checkpoint
from torch.utils.flop_counter import FlopCounterMode

from cost_models import CostModelError, UnsupportedLayerError, trace
from cost_models.counting.plain_calls import no_checkpointing
from cost_models.counting.tracing import trace_weights

INPUTS = (torch.zeros(1, 6),)


class Applied(nn.Module):
    """A module that applies a function of itself and its input; it has one linear layer."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.layer = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def profiled(module: Applied, x: Tensor) -> Tensor:
    with torch.profiler.record_function("part"):
        return module.layer(x)


def compiled(layer: nn.Module) -> nn.Module:
    return torch.compile(layer, backend="eager")


def compiled_in_place() -> nn.Module:
    layer = nn.Linear(6, 5)
    layer.compile(backend="eager")
    return layer


class CompiledMethod(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 5)
        self.kept = torch.compile(self.layer.forward, backend="eager")

    @torch.compile(backend="eager")
    def inner(self, x: Tensor) -> Tensor:
        return self.layer(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + self.kept(x)


@pytest.mark.parametrize(
    ("network", "layer", "macs"),
    [
        (lambda: Applied(profiled), "layer", 30),
        (lambda: nn.DataParallel(nn.Linear(6, 5)), "module", 30),
        (lambda: nn.Sequential(nn.DataParallel(nn.Linear(6, 5))), "0.module", 30),
        (lambda: compiled(nn.Linear(6, 5)), "_orig_mod", 30),
        (lambda: nn.Sequential(compiled(nn.Linear(6, 5))), "0._orig_mod", 30),
        (lambda: nn.Sequential(nn.DataParallel(compiled(nn.Linear(6, 5)))), None, 30),
        (compiled_in_place, "", 30),
        (CompiledMethod, "layer", 60),
        (lambda: Applied(lambda m, x: checkpoint(m.layer, x, use_reentrant=True)), "layer", 30),
        (lambda: Applied(lambda m, x: checkpoint(m.layer, x, use_reentrant=False)), "layer", 30),
    ],
)
def test_what_a_wrapper_wraps_is_counted_under_its_own_name(network, layer, macs):
    module = network()
    work = trace(module, INPUTS)
    assert work.dense_macs == macs
    assert work.parameters == 35
    names = {name for name, _ in module.named_modules()}
    assert {each.name for each in work.layers} <= names
    assert layer is None or work.layers[0].name == layer


def test_wrappers_are_left_as_they_were():
    module = nn.Sequential(nn.DataParallel(nn.Linear(6, 5)), compiled(nn.Linear(5, 4)))
    module[0].module.compile(backend="eager")
    before = [dict(vars(part)) for part in module.modules()]
    trace(module, INPUTS)
    assert [dict(vars(part)) for part in module.modules()] == before
    assert "apply" not in vars(CheckpointFunction)


def test_checkpoints_come_back_one_by_one_and_have_gradients_meanwhile():
    layer, x = nn.Linear(6, 5), torch.ones(2, 6, requires_grad=True)
    with no_checkpointing():
        with no_checkpointing():
            pass
        out = checkpoint(layer, x, use_reentrant=True).sum()
        (gradient,) = torch.autograd.grad(out, layer.weight)
        assert torch.equal(gradient, torch.full((5, 6), 2.0))
    assert "apply" not in vars(CheckpointFunction)
    out = checkpoint(layer, x, use_reentrant=True).sum()
    with pytest.raises(RuntimeError, match="use_reentrant"):
        torch.autograd.grad(out, x)


@torch.compile(backend="eager")
def compiled_function(x: Tensor, weight: Tensor) -> Tensor:
    return F.linear(x, weight)


def test_a_compiled_function_outside_the_modules_is_refused_with_the_reason():
    with pytest.raises(CostModelError, match=r"call no function that torch\.jit or torch\.compile"):
        trace(Applied(lambda m, x: compiled_function(x, m.layer.weight)), INPUTS)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_part_is_refused_by_name():
    for scripted in (torch.jit.script(nn.Linear(6, 5)), torch.jit.trace(nn.Linear(6, 5), INPUTS)):
        with pytest.raises(UnsupportedLayerError, match=r"1 is scripted by torch\.jit"):
            trace(nn.Sequential(nn.Identity(), scripted), INPUTS)


class WithState(nn.Linear):
    def get_extra_state(self) -> dict[str, int]:
        return {"steps": 3}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.steps = state["steps"]


def test_an_extra_state_that_is_no_tensor_does_not_mislead_the_count_of_zeros():
    network = nn.Sequential(WithState(6, 5), nn.Linear(5, 4))
    with torch.no_grad():
        network[1].weight[:3] = 0
    assert trace(network, INPUTS).effective_macs == 30 + 5
    assert network[0].get_extra_state() == {"steps": 3}


REPARAMETRISED = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "prune": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "old spectral_norm": spectral_norm,
}


@pytest.mark.parametrize("how", REPARAMETRISED)
def test_a_reparametrised_layer_does_the_macs_of_its_weight_alone(how):
    network = nn.Sequential(REPARAMETRISED[how](nn.Linear(6, 5)), nn.ReLU(), nn.Linear(5, 4))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(*INPUTS)
    work = trace(network, INPUTS)
    assert work.dense_macs == 30 + 20
    assert how == "orthogonal" or work.dense_macs == counter.get_total_flops() // 2
    assert work.effective_macs == (15 + 20 if how == "prune" else 50)
    assert [layer.name for layer in work.layers] == ["0", "2"]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_old_weight_norm_is_counted_and_left_as_it_was():
    layer = weight_norm(nn.Conv1d(2, 3, 3))
    before = layer.weight
    assert trace(nn.Sequential(layer), (torch.zeros(1, 2, 8),)).dense_macs == 6 * 3 * 2 * 3
    assert layer.weight is before


def test_an_operator_without_a_count_is_named_with_the_layer_that_calls_it():
    network = nn.Sequential(nn.Identity(), Applied(lambda m, x: torch.fft.fft(m.layer(x)).real))
    with pytest.raises(UnsupportedLayerError, match="aten::fft_fft in 1 may do MACs"):
        trace(network, INPUTS)


class Standardised(nn.Linear):
    """What weight standardisation does: the zeros of the parameter come back."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight - self.weight.mean(), self.bias)


class Adapted(nn.Linear):
    """A weight with an addition of low rank."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.up, self.down = (nn.Parameter(torch.ones(n, 1)) for n in (outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight + self.up @ self.down.t(), self.bias)


class Scaled(nn.Linear):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.gain = nn.Parameter(torch.ones(outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.gain, self.bias)


class Decoder(nn.Module):
    """Encodes with a layer, and decodes with its weight turned round."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.encoder(x), self.encoder.weight.t())


def test_the_parameter_that_does_the_macs_is_known_however_it_is_called():
    network = Decoder()
    found = trace_weights(network, (torch.zeros(2, 6),))
    assert found.macs_per_element == {"encoder.weight": 2, "encoder.bias": 0}
    assert found.computed == {}
    with torch.no_grad():
        network.encoder.weight[:2] = 0
    assert trace(network, INPUTS).effective_macs == 2 * 18


def test_a_shared_parameter_has_its_macs_under_every_name():
    first, second = nn.Linear(6, 6), nn.Linear(6, 6)
    second.weight = first.weight
    found = trace_weights(nn.Sequential(first, second), INPUTS)
    assert found.macs_per_element["0.weight"] == found.macs_per_element["1.weight"] == 2


def test_a_scaled_weight_does_its_macs_element_by_element():
    network = nn.Sequential(Scaled(6, 5))
    with torch.no_grad():
        network[0].weight[:2] = 0
    found = trace_weights(network, INPUTS)
    assert found.macs_per_element["0.weight"] == 1
    assert found.workload.effective_macs == 18
    assert found.computed == {}


@pytest.mark.parametrize("layer", [Standardised, Adapted])
def test_a_weight_whose_zeros_come_back_is_named_with_its_module(layer):
    network = nn.Sequential(nn.Linear(6, 6), layer(6, 5))
    with torch.no_grad():
        for each in network:
            each.weight[:2] = 0
    computed = trace_weights(network, INPUTS).computed
    assert computed["1.weight"] == "1"
    assert "0.weight" not in computed


def test_a_parametrisation_of_ones_own_is_read_as_it_is_used():
    class Half(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return torch.linalg.matrix_exp(weight @ weight.mT) * 0 + weight

    layer = nn.Linear(6, 6)
    parametrize.register_parametrization(layer, "weight", Half())
    assert trace(nn.Sequential(layer), INPUTS).dense_macs == 36
