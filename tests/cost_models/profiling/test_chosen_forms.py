"""A made-up device: torch's convolutions at 20 GMAC/s, sparse kernels at 4 GMAC/s of non-zeros."""

import dataclasses

import pytest
import torch
from torch import nn

from cost_models import UnsupportedLayerError, trace
from cost_models.profiling.calibration import Calibration
from cost_models.profiling.chosen_forms import chosen_forms, forms_of
from cost_models.profiling.latency_profile import as_device_sees
from cost_models.profiling.operator_model import OperatorModel
from cost_models.profiling.operator_sum import OperatorSum


def convolution(sparsity: float, width: int = 16):
    """The call of a convolution with so many zeros."""
    layer = nn.Conv2d(8, width, 3, padding=1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.weight.view(-1)[: round(sparsity * layer.weight.numel())] = 0.0
    (called,) = trace(layer, (torch.zeros(1, 8, 12, 12),)).operators
    return called


def made_up_s(operator) -> float:
    if operator.kernel is None:
        return operator.macs / 20e9
    share = operator.nonzeros / operator.tensors[1].elements
    return operator.macs * share / (4e9 if operator.kernel == "csr-taps" else 2e9)


@pytest.fixture(scope="module")
def model() -> OperatorModel:
    called = [convolution(s, width) for s in (0.5, 0.7, 0.9, 0.98) for width in range(4, 40, 4)]
    return OperatorModel.fit({form: made_up_s(form) for each in called for form in forms_of(each)})


@pytest.mark.parametrize(
    ("sparsity", "computed"), [(0.0, 1.0), (0.5, 1.0), (0.75, 1.0), (0.85, 0.15), (0.95, 0.05)]
)
def test_an_operator_takes_the_kernel_that_is_clearly_faster(model, sparsity, computed):
    """CSR does a fifth of the MACs a second: it pays below a density of 0.9 / 5."""
    called = convolution(sparsity)
    found = chosen_forms(model, [called])[called]
    assert found.computed == pytest.approx(computed, abs=1e-2)
    best = min(made_up_s(form) for form in forms_of(called))
    assert found.seconds == pytest.approx(best, rel=0.1)


def test_a_kernel_that_was_never_timed_is_not_taken():
    called = convolution(0.95)
    model = OperatorModel.fit({called.dense: 1e-3})
    found = chosen_forms(model, [called])[called]
    assert (found.seconds, found.computed) == (1e-3, 1.0)


def test_an_operator_that_was_never_timed_dense_is_refused(model):
    (called,) = trace(nn.Linear(4, 3), (torch.zeros(1, 4),)).operators
    with pytest.raises(UnsupportedLayerError, match="aten::linear"):
        chosen_forms(model, [called])


def test_a_network_is_realisable_as_far_as_its_kernels_skip(model):
    sparse, dense = convolution(0.95), convolution(0.5)
    calibration = Calibration(with_macs=1.0, others=1.0, overhead_us=0.0)
    found = OperatorSum(model, calibration).predict([sparse, dense])
    share = sparse.nonzeros / sparse.tensors[1].elements
    assert found.realisable_macs == pytest.approx(sparse.macs * share + dense.macs)
    assert found.seconds == pytest.approx(made_up_s(dense.dense) + sparse.macs * share / 4e9, 0.1)


def test_only_a_device_that_skips_zeros_sees_them():
    called = convolution(0.5)
    assert as_device_sees([called], "cpu-sparse") == (called,)
    (seen,) = as_device_sees([called], "cpu")
    assert (seen.nonzeros, dataclasses.replace(called, nonzeros=None)) == (None, seen)
