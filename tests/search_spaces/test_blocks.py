import pytest
import torch
from torch.nn import functional as F

from search_spaces.blocks import BasicBlock, ConvNorm
from search_spaces.families.wide_resnet import PreActivationBlock


def test_a_strided_pointwise_layer_is_the_strided_convolution():
    torch.manual_seed(0)
    layer, x = ConvNorm(3, 5, kernel=1, stride=2), torch.randn(2, 3, 7, 9)
    expected = layer.norm(F.conv2d(x, layer.conv.weight, stride=2))
    assert torch.allclose(layer(x), expected, atol=1e-6)
    assert layer.conv.stride == (1, 1)


@pytest.mark.parametrize("channels", [1, 3, 7, 8])
@pytest.mark.parametrize("block", [BasicBlock, PreActivationBlock])
def test_gradients_are_the_same_with_channels_innermost(block, channels):
    """A strided 1 x 1 convolution would corrupt the heap here: see `every`."""
    torch.manual_seed(channels)
    module = block(channels, 4, 6, stride=2, project=True)
    x = torch.randn(16, channels, 16, 16)
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        module.zero_grad()
        module.to(memory_format=layout)
        (module(x.contiguous(memory_format=layout)) ** 2).sum().backward()
        found.append([p.grad.clone() for p in module.parameters()])
    for plain, innermost in zip(*found, strict=True):
        assert torch.allclose(plain, innermost, rtol=1e-4, atol=1e-2)
