import pytest
import torch
from torch import nn

from cost_models.executors.semi_structured import eligible_layers, is_eligible


def two_of_four(layer: nn.Module) -> nn.Module:
    with torch.no_grad():
        layer.weight.fill_(1.0).view(-1, 4)[:, :2] = 0.0
    return layer


def test_a_linear_layer_of_a_legal_size_with_two_of_four_weights_is_eligible():
    assert is_eligible(two_of_four(nn.Linear(64, 32)))


@pytest.mark.parametrize("size", [(32, 32), (64, 16), (96, 32), (64, 48)], ids=str)
def test_sizes_that_the_tensor_cores_do_not_take_are_not_eligible(size):
    assert not is_eligible(two_of_four(nn.Linear(*size)))


def test_one_group_with_three_weights_makes_a_layer_ineligible():
    layer = two_of_four(nn.Linear(64, 32))
    with torch.no_grad():
        layer.weight[31, 60] = 1.0
    assert not is_eligible(layer)


def test_dense_layers_and_convolutions_are_not_eligible():
    assert not is_eligible(nn.Linear(64, 32))
    assert not is_eligible(two_of_four(nn.Conv2d(64, 32, 1)))


def test_eligible_layers_are_named_in_order():
    network = nn.Sequential(
        two_of_four(nn.Linear(64, 64)), nn.ReLU(), nn.Linear(64, 64), two_of_four(nn.Linear(64, 32))
    )
    assert eligible_layers(network) == ["0", "3"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
def test_compressed_layers_compute_the_same_on_a_gpu():
    from cost_models.executors.semi_structured import compress

    network = nn.Sequential(two_of_four(nn.Linear(64, 64)), nn.Linear(64, 64)).half().cuda()
    x = torch.randn(32, 64, dtype=torch.float16, device="cuda")
    with torch.inference_mode():
        expected = network(x)
        assert compress(network) == {"0": "2:4", "1": "dense"}
        torch.testing.assert_close(network(x), expected, rtol=1e-2, atol=1e-2)
