import pytest
import torch
from torch import nn

from cost_models import measure

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")


@pytest.mark.parametrize("name", ["cuda", "cuda-fp16", "cuda-2:4"])
def test_a_gpu_measures_a_module_that_lies_on_the_processor(name, mlp):
    found = measure(mlp, (torch.zeros(5, 8),), device=name, budget_s=0.05, max_noise=None)
    assert found.low_s > 0
    assert "CUDA graph" in found.runtime
    assert all(parameter.device.type == "cpu" for parameter in mlp.parameters())


def test_a_larger_product_takes_longer():
    small, large = (
        measure(nn.Linear(n, n), (torch.zeros(n, n),), device="cuda", max_noise=None)
        for n in (256, 4096)
    )
    assert large.low_s > 2 * small.low_s
