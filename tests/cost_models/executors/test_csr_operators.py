import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from cost_models import CostModelError, trace
from cost_models.executors.csr_operators import csr_call, csr_forms


def operator(layer: nn.Module, *shape: int, amount: float = 0.5):
    """The call of a layer with zeros, as a trace records it."""
    prune.random_unstructured(layer, "weight", amount)
    prune.remove(layer, "weight")
    called = trace(layer, (torch.zeros(shape),)).operators
    return next(each for each in called if each.macs)


LAYERS = {
    "linear": (nn.Linear(6, 4), (3, 6), ["csr"]),
    "3x3": (nn.Conv2d(2, 4, 3, stride=2, padding=1), (1, 2, 8, 8), ["csr-im2col", "csr-taps"]),
    "1x1": (nn.Conv2d(2, 4, 1, bias=False), (2, 2, 5, 5), ["csr-pointwise"]),
    "padded 1x1": (nn.Conv2d(2, 4, 1, padding=1), (2, 2, 5, 5), ["csr-im2col", "csr-taps"]),
    "grouped": (nn.Conv2d(4, 4, 3, groups=2), (1, 4, 8, 8), []),
    "transposed": (nn.ConvTranspose2d(2, 4, 3), (1, 2, 8, 8), []),
    "one axis": (nn.Conv1d(2, 4, 3), (1, 2, 8), []),
    "double": (nn.Linear(6, 4).double(), (3, 6), None),
}


@pytest.mark.parametrize("name", [name for name in LAYERS if LAYERS[name][2] is not None])
def test_an_operator_with_zeros_may_take_the_kernels_of_its_layer(name):
    layer, shape, kernels = LAYERS[name]
    found = operator(layer, *shape)
    assert found.nonzeros == int(layer.weight.count_nonzero())
    assert [form.kernel for form in csr_forms(found)] == kernels
    for form in csr_forms(found):
        assert csr_call(form, torch.Generator().manual_seed(0))().shape == found.output
        assert form.dense == found.dense


def test_an_operator_without_zeros_is_dense():
    (found,) = trace(nn.Linear(6, 4), (torch.zeros(3, 6),)).operators
    assert (found.nonzeros, csr_forms(found)) == (None, ())


def test_as_many_weights_are_not_zero_as_recorded():
    """All inputs lie in [0.5, 1.5] and all weights are 1: the sum counts the non-zeros."""
    found = operator(nn.Linear(40, 1, bias=False), 1, 40, amount=0.75)
    (form,) = csr_forms(found)
    total = float(csr_call(form, torch.Generator().manual_seed(0))())
    assert 0.5 * 10 <= total <= 1.5 * 10


def test_the_same_generator_gives_the_same_call_and_the_global_state_is_left_alone():
    (form,) = csr_forms(operator(nn.Linear(6, 4), 3, 6))
    before = torch.get_rng_state()
    one, two = (csr_call(form, torch.Generator().manual_seed(1))() for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_kernel_that_cannot_run_an_operator_is_refused():
    found = operator(nn.Linear(6, 4), 3, 6)
    with pytest.raises(CostModelError, match="kernel None cannot run operator aten::linear"):
        csr_call(found, torch.Generator())
