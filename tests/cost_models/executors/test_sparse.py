import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from cost_models import CostModelError, SparseExecutor, measure, trace
from cost_models.executors import sparse as sparse_module
from cost_models.executors.sparse import SparseNetwork


def zeroed(module: nn.Module, sparsity: float) -> nn.Module:
    """Zero weights at random; the others grow so that a signal survives all layers."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                mask = torch.rand(parameter.shape, generator=generator) >= sparsity
                parameter *= mask * (6 / (1 - sparsity)) ** 0.5
    return module


def example(*shape: int) -> tuple[Tensor]:
    return (torch.randn(shape, generator=torch.Generator().manual_seed(1)),)


@pytest.fixture
def always_sparse(monkeypatch):
    """Timings under which every CSR form wins: what is chosen then does not hang on the machine."""
    order = {"dense": 9.0, "csr": 1.0, "csr-im2col": 2.0, "csr-taps": 1.0, "csr-pointwise": 1.0}
    monkeypatch.setattr(
        sparse_module, "fastest", lambda calls: {name: order[name] for name in calls}
    )


def chosen(compiled: SparseNetwork) -> dict[str, str]:
    return {choice.name: choice.chosen for choice in compiled.choices}


@pytest.mark.usefixtures("always_sparse")
def test_a_network_with_every_layer_sparse_computes_the_same_to_1e_5(resnet20):
    torch.manual_seed(1)
    network, inputs = zeroed(resnet20(), 0.9).eval(), example(2, 3, 32, 32)
    compiled = SparseExecutor().compile(network, inputs)
    with torch.inference_mode():
        expected, found = network(*inputs), compiled(*inputs)
    assert len(compiled.choices) == 22
    assert set(chosen(compiled).values()) == {"csr", "csr-taps", "csr-pointwise"}
    assert expected.std(0).max() > 0.05 * expected.abs().max()
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert 0 < compiled.difference <= 1e-5


@pytest.mark.usefixtures("always_sparse")
def test_it_takes_other_batch_sizes_than_it_was_compiled_for():
    network = zeroed(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5)), 0.8)
    compiled = SparseExecutor().compile(network, example(1, 3, 8, 8))
    for batch in (2, 7):
        (x,) = example(batch, 3, 8, 8)
        torch.testing.assert_close(compiled(x), network(x), rtol=1e-4, atol=1e-5)


def test_the_fastest_form_of_each_layer_is_chosen_and_its_seconds_are_kept(monkeypatch):
    timings = iter([{"dense": 3.0, "csr": 1.0}, {"dense": 1.0, "csr": 2.0}])
    monkeypatch.setattr(sparse_module, "fastest", lambda _: next(timings))
    network = zeroed(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)), 0.5)
    compiled = SparseExecutor().compile(network, example(1, 8))
    assert chosen(compiled) == {"0": "csr", "2": "dense"}
    assert [choice.speed_up for choice in compiled.choices] == [3.0, 1.0]
    assert isinstance(compiled.network[2], nn.Linear)
    assert not isinstance(compiled.network[0], nn.Linear)
    sparsity = float((network[0].weight == 0).float().mean())
    assert compiled.choices[0].sparsity == pytest.approx(sparsity)


def test_a_gain_within_the_noise_of_timing_leaves_a_layer_dense(monkeypatch):
    monkeypatch.setattr(sparse_module, "fastest", lambda _: {"dense": 1.0, "csr": 0.95})
    compiled = SparseExecutor().compile(zeroed(nn.Linear(8, 8), 0.5), example(1, 8))
    assert chosen(compiled) == {"": "dense"}


def test_a_nearly_empty_wide_layer_is_really_faster_sparse():
    layer = zeroed(nn.Linear(1024, 1024), 0.995)
    (choice,) = SparseExecutor().compile(layer, example(1, 1024)).choices
    assert choice.chosen == "csr"
    assert choice.speed_up > 1.5


def test_a_network_without_zeros_stays_as_it_is(mlp):
    compiled = SparseExecutor().compile(mlp, example(3, 8))
    assert compiled.choices == ()
    assert compiled.difference == 0.0


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Conv2d(4, 8, 3, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.ConvTranspose2d(4, 4, 3),
        nn.Conv2d(4, 4, 3).double(),
    ],
    ids=["depthwise", "grouped", "circular", "same", "transposed", "float64"],
)
@pytest.mark.usefixtures("always_sparse")
def test_layers_that_no_kernel_fits_stay_dense(layer):
    inputs = (torch.ones(1, 4, 5, 5, dtype=layer.weight.dtype),)
    assert SparseExecutor().compile(zeroed(layer, 0.5), inputs).choices == ()


class Twice(nn.Module):
    """Calls one layer twice, once by keyword if asked to."""

    def __init__(self, *, by_keyword: bool = False) -> None:
        super().__init__()
        self.first = self.second = zeroed(nn.Linear(6, 6), 0.5)
        self.by_keyword = by_keyword

    def forward(self, x: Tensor) -> Tensor:
        return self.second(input=self.first(x)) if self.by_keyword else self.second(self.first(x))


@pytest.mark.usefixtures("always_sparse")
def test_a_shared_layer_is_replaced_wherever_it_is_used():
    network = Twice()
    compiled = SparseExecutor().compile(network, example(2, 6))
    assert chosen(compiled) == {"first": "csr"}
    assert compiled.network.first is compiled.network.second
    assert not isinstance(compiled.network.second, nn.Linear)
    torch.testing.assert_close(compiled(*example(2, 6)), network(*example(2, 6)))


@pytest.mark.usefixtures("always_sparse")
def test_a_layer_called_by_keyword_stays_dense():
    assert SparseExecutor().compile(Twice(by_keyword=True), example(2, 6)).choices == ()


@pytest.mark.usefixtures("always_sparse")
def test_an_image_without_a_batch_axis_stays_dense():
    assert SparseExecutor().compile(zeroed(nn.Conv2d(3, 4, 3), 0.9), example(3, 8, 8)).choices == ()


@pytest.mark.usefixtures("always_sparse")
def test_a_layer_with_a_hook_of_its_own_stays_dense_and_the_hook_still_runs():
    network = nn.Sequential(zeroed(nn.Linear(4, 4), 0.5))
    network[0].register_forward_hook(lambda layer, inputs, output: output + 1)
    compiled = SparseExecutor().compile(network, example(1, 4))
    assert compiled.choices == ()
    torch.testing.assert_close(compiled(*example(1, 4)), network(*example(1, 4)))


@pytest.mark.usefixtures("always_sparse")
def test_weights_pruned_by_torch_or_parametrised_are_run_as_they_are_used():
    class Half(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight * (torch.arange(weight.shape[1]) % 2)

    network = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    prune.l1_unstructured(network[0], "weight", amount=0.75)
    parametrize.register_parametrization(network[1], "weight", Half())
    compiled = SparseExecutor().compile(network, example(2, 8))
    assert chosen(compiled) == {"0": "csr", "1": "csr"}
    assert [choice.sparsity for choice in compiled.choices] == [0.75, 0.5]
    torch.testing.assert_close(compiled(*example(2, 8)), network(*example(2, 8)))


@pytest.mark.usefixtures("always_sparse")
def test_compiling_leaves_no_trace_in_the_module(resnet20):
    network = zeroed(resnet20(), 0.5).train()
    before, random = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    SparseExecutor().compile(network, example(1, 3, 32, 32))
    assert network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not any(part._forward_pre_hooks for part in network.modules())
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.usefixtures("always_sparse")
def test_a_network_that_draws_random_numbers_leaves_the_random_state_as_it_was():
    class Drawing(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 0 * torch.rand(1)

    network = zeroed(nn.Sequential(Drawing(4, 4), nn.Linear(4, 4)), 0.5)
    random = torch.get_rng_state()
    SparseExecutor().compile(network, example(1, 4))
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.usefixtures("always_sparse")
def test_a_network_that_reaches_into_its_layers_is_refused_with_the_remedy():
    class Reaching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = zeroed(nn.Linear(4, 4), 0.5)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) * self.layer.weight.data.diag()

    with pytest.raises(CostModelError, match="by calling them; measure it on device 'cpu'"):
        SparseExecutor().compile(Reaching(), example(1, 4))


def test_a_module_that_cannot_be_copied_is_refused():
    class Uncopied(nn.Linear):
        def __deepcopy__(self, memo: object) -> nn.Module:
            raise TypeError("one of a kind")

    with pytest.raises(CostModelError, match=r"cannot be copied.*one of a kind"):
        SparseExecutor().compile(Uncopied(2, 2), example(1, 2))


@pytest.mark.usefixtures("always_sparse")
def test_measuring_on_cpu_sparse_names_what_each_layer_ran_as():
    network = nn.Sequential(zeroed(nn.Linear(8, 8), 0.5), nn.ReLU(), nn.Linear(8, 2))
    found = measure(network, example(4, 8), device="cpu-sparse", budget_s=0.02, max_noise=None)
    assert found.choices == {"0": "csr"}
    assert "CSR" in found.runtime
    assert found.batch_size == 4


@pytest.mark.usefixtures("always_sparse")
def test_layers_are_named_as_a_trace_names_them(resnet20):
    network, inputs = zeroed(resnet20(), 0.5), example(1, 3, 32, 32)
    compiled = SparseExecutor().compile(network, inputs)
    assert {layer.name for layer in trace(network, inputs).layers} == set(chosen(compiled))
