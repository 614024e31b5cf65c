"""What single families promise beyond the contract of all spaces."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces import SEARCH_SPACES, SearchSpaceError, resize
from search_spaces.attention import ImageAttention
from search_spaces.bottleneck import Bottleneck
from search_spaces.families.gpt import GPT
from search_spaces.families.mobilenet_v2 import InvertedResidual
from search_spaces.families.mobilevit import MobileViTBlock, _to_images, _to_sequences
from search_spaces.fresh_weights import initialise_network


def small_gpt(vocabulary: int = 11) -> GPT:
    torch.manual_seed(0)
    widths = {"model": 8, "block0": 12, "block1": 16}
    return GPT(widths, heads=2, head_size=4, context=6, vocabulary=vocabulary)


def test_gpt_sees_no_later_token():
    gpt = small_gpt().eval()
    tokens = torch.tensor([[1, 2, 3, 4, 5, 6]])
    changed = torch.tensor([[1, 2, 3, 9, 9, 9]])
    assert torch.allclose(gpt(tokens)[:, :3], gpt(changed)[:, :3], atol=1e-6)
    assert not torch.allclose(gpt(tokens)[:, 3:], gpt(changed)[:, 3:], atol=1e-6)


def test_the_scores_of_gpt_are_products_with_the_token_embeddings_also_after_a_resize():
    gpt = small_gpt()
    assert gpt.head.weight is gpt.tokens.weight
    resize(gpt, {"model": 10, "block1": 3})
    gpt.initialise()
    assert gpt.head.weight is gpt.tokens.weight
    assert gpt.head.weight.shape == (11, 10)
    assert gpt(torch.tensor([[1, 2]])).shape == (1, 2, 11)


def test_gpt_ends_its_residual_branches_with_smaller_weights():
    gpt = GPT({"model": 64} | {f"block{b}": 256 for b in range(8)}, heads=2, head_size=32,
              context=4, vocabulary=50)  # fmt: skip
    assert gpt.blocks[0].expand.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert gpt.blocks[0].contract.weight.std().item() == pytest.approx(0.005, rel=0.05)


def test_gpt_refuses_images():
    space = SEARCH_SPACES["gpt3-small"].for_data((3, 32, 32), 10)
    with pytest.raises(SearchSpaceError, match="tokens"):
        space.build(space.largest())


def test_vgg_refuses_images_that_it_would_pool_away():
    space = SEARCH_SPACES["vgg11"].for_data((1, 8, 8), 10)
    with pytest.raises(SearchSpaceError, match="32 x 32"):
        space.build(space.largest())


def test_flattened_feature_maps_follow_the_last_convolution_of_vgg():
    space = dataclasses.replace(SEARCH_SPACES["vgg11"], hidden=(5,)).for_data((1, 64, 96), 3)
    with torch.device("meta"):
        vgg = space.build(space.largest())
    resize(vgg, {"stage4.conv1": 7})
    assert vgg.hidden[0].in_features == 7 * 2 * 3


def test_an_inverted_residual_adds_its_input_only_where_asked():
    torch.manual_seed(0)
    block = InvertedResidual(4, 8, 4, stride=1, residual=True).eval()
    x = torch.randn(2, 4, 5, 5)
    with_input = block(x)
    block.residual = False
    assert torch.allclose(with_input, block(x) + x)


def test_an_inverted_residual_is_the_composition_of_its_published_parts():
    torch.manual_seed(0)
    block = InvertedResidual(3, 6, 5, stride=2, residual=False).eval()
    x = torch.randn(2, 3, 8, 8)
    inner = F.relu6(F.conv2d(x, block.expand.conv.weight) / (1 + 1e-5) ** 0.5)
    inner = F.conv2d(inner, block.depthwise.conv.weight, stride=2, padding=1, groups=6)
    inner = F.relu6(inner / (1 + 1e-5) ** 0.5)
    out = F.conv2d(inner, block.project.conv.weight) / (1 + 1e-5) ** 0.5
    assert torch.allclose(block(x), out, atol=1e-6)


def test_a_bottleneck_strides_in_its_spatial_convolution():
    block = Bottleneck(8, (2, 2), 8, stride=2, project=True)
    assert block.spatial.conv.stride == (2, 2)
    assert block.reduce.conv.stride == (1, 1)
    assert block(torch.zeros(2, 8, 4, 4)).shape == (2, 8, 2, 2)


class Learned(nn.Module):
    """A layer whose parameter has no initialisation of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.full((400, 10), float("nan")))
        self.norm = nn.LayerNorm(10)
        self.linear = nn.Linear(10, 10)


def test_every_tensor_gets_a_value_from_a_fresh_initialisation():
    module = Learned()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(float("nan"))
    initialise_network(module)
    assert module.table.std().item() == pytest.approx(0.02, rel=0.1)
    assert torch.equal(module.norm.weight, torch.ones(10))
    assert torch.isfinite(module.linear.weight).all()
    assert torch.equal(module.linear.bias, torch.zeros(10))


def test_image_attention_is_a_softmax_over_content_and_distance():
    """Place by place, as equation and figure 4 of the paper say."""
    torch.manual_seed(0)
    heads, size, height, width = 2, 3, 2, 4
    layer = ImageAttention(5, heads=heads, head_size=size, size=(height, width))
    x = torch.randn(1, 5, height, width)
    packed = layer.query_key_value(x)[0].reshape(3, heads, size, height, width)
    expected = torch.zeros(heads, size, height, width)
    places = [(i, j) for i in range(height) for j in range(width)]
    for head in range(heads):
        for i, j in places:
            query = packed[0, head, :, i, j]
            scores = []
            for k, m in places:
                position = layer.heights[k - i + height - 1] + layer.widths[m - j + width - 1]
                scores.append(query @ (packed[1, head, :, k, m] + position) / size**0.5)
            weights = torch.stack(scores).softmax(0)
            for weight, (k, m) in zip(weights, places, strict=True):
                expected[head, :, i, j] += weight * packed[2, head, :, k, m]
    assert torch.allclose(layer(x)[0], expected.reshape(heads * size, height, width), atol=1e-5)


def test_patches_become_sequences_of_like_places_and_images_again():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    sequences = _to_sequences(image)
    # The upper left pixels of the four patches.
    assert sequences[0, :, 0].tolist() == [0, 2, 8, 10]
    assert sequences[3, :, 0].tolist() == [5, 7, 13, 15]
    assert torch.equal(_to_images(sequences, image.shape), image)
    several = torch.randn(3, 5, 6, 4)
    assert torch.equal(_to_images(_to_sequences(several), several.shape), several)


def test_the_fusion_of_mobilevit_is_the_convolution_of_the_concatenation():
    torch.manual_seed(0)
    widths = {"s.local": 4, "s.tokens": 8, "s.folded": 5, "s.fused": 6, "s.layer0": 9}
    block = MobileViTBlock(3, widths, "s", 2).eval()
    assert len(block.layers) == 1
    x, folded = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 4, 4)
    joined = torch.cat([block.fuse_input.weight, block.fuse_folded.weight], 1)
    expected = F.conv2d(torch.cat([x, folded], 1), joined, padding=1)
    assert torch.allclose(block.fuse_input(x) + block.fuse_folded(folded), expected, atol=1e-5)


def test_mobilevit_refuses_images_that_are_not_whole_patches():
    space = SEARCH_SPACES["mobilevit-s"].for_data((3, 28, 28), 10)
    with pytest.raises(SearchSpaceError, match="28 x 28 pixels give 7 x 7 in stage 3"):
        space.build(space.largest())


@pytest.mark.parametrize("name", ["mobilevit-s", "botnet50"])
def test_networks_with_attention_run_after_a_resize(name):
    torch.manual_seed(0)
    space = SEARCH_SPACES[name].for_data((3, 16, 16), 10)
    narrow = {choice.name: 2 + index % 3 for index, choice in enumerate(space.choices)}
    module = space.build(space.with_widths(space.largest(), narrow))
    resize(module, {width: size + 1 for width, size in narrow.items()})
    initialise_network(module)
    out = module(torch.randn(2, 3, 16, 16))
    assert out.shape == (2, 10)
    assert torch.isfinite(out).all()
