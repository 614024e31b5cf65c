"""Sizes of the registry's networks against those that the papers and torchvision publish."""

import functools

import pytest
import torch

from growsearch.sparsity.layers import macs_per_weight, prunable_layers
from search_spaces import SEARCH_SPACES, channel_groups


@functools.cache
def on_meta(name: str, num_classes: int | None = None):
    space = SEARCH_SPACES[name]
    if num_classes is not None:
        space = space.for_data(space.input_shape, num_classes)
    with torch.device("meta"):
        module = space.build(space.largest())
        return module, macs_per_weight(module, space.example_inputs())


def parameters(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # torchvision's tables of weights.
        ("resnet18-imagenet", 11_689_512),
        ("resnet34-imagenet", 21_797_672),
        ("resnet50-imagenet", 25_557_032),
        ("wide-resnet50-imagenet", 68_883_240),
        ("mobilenetv2-imagenet", 3_504_872),
        # Keras' MobileNet: 4,253,864, less 21,888 running statistics of BatchNorm.
        ("mobilenetv1-imagenet", 4_231_976),
        # 36.5 million in table 4 of the paper; to the digit in the authors' implementation.
        ("wide-resnet28-10", 36_479_194),
        ("vgg11-imagenet", 132_868_840),
        ("vgg13-imagenet", 133_053_736),
        ("vgg16-imagenet", 138_365_992),
        ("vgg19-imagenet", 143_678_248),
        # timm's mobilevit_s.
        ("mobilevit-s-imagenet", 5_578_632),
        # torchvision's, without the auxiliary head of training: 3 x 3 from 1,024 to 256 channels
        # (2,359,296), its BatchNorm (512), 1 x 1 to 21 classes (5,397).
        ("deeplabv3-resnet50", 42_004_074 - 2_365_205),
        ("deeplabv3-resnet101", 60_996_202 - 2_365_205),
        # GPT-2's 124,439,808 and 1,024 more positions of 768.
        ("gpt3-small", 125_226_240),
        # The widely used implementations for CIFAR-10 (kuangliu/pytorch-cifar, BatchNorm).
        ("resnet18", 11_173_962),
        ("resnet34", 21_282_122),
        ("vgg11", 9_231_114),
        ("vgg13", 9_416_010),
        ("vgg16", 14_728_266),
        ("vgg19", 20_040_522),
    ],
)
def test_all_parameters_are_as_many_as_published(name, published):
    assert parameters(on_meta(name)[0]) == published


@pytest.mark.parametrize(
    ("name", "num_classes", "weights", "macs"),
    [
        ("resnet20", 10, 270_896, 40_813_184),
        ("resnet18", 10, 11_164_352, 555_422_720),
        ("resnet18", 100, 11_210_432, 555_468_800),
    ],
)
def test_weights_and_macs_of_cifar_networks_are_the_reference_ones(
    name, num_classes, weights, macs
):
    module, positions = on_meta(name, num_classes)
    layers = prunable_layers(module)
    assert sum(layer.weights for layer in layers) == weights
    assert sum(positions[layer.name] * layer.weights for layer in layers) == macs


@pytest.mark.parametrize(
    ("name", "giga_macs"),
    [
        # torchvision's GFLOPS column, which counts multiply-adds.
        ("resnet18-imagenet", 1.81),
        ("resnet34-imagenet", 3.66),
        ("resnet50-imagenet", 4.09),
        ("wide-resnet50-imagenet", 11.40),
        ("mobilenetv2-imagenet", 0.30),
        # 569 million in table 4 of MobileNet's paper; 5.2 billion of WRN-28-10 (its table 6).
        ("mobilenetv1-imagenet", 0.569),
        ("wide-resnet28-10", 5.24),
        ("vgg11-imagenet", 7.61),
        ("vgg13-imagenet", 11.31),
        ("vgg16-imagenet", 15.47),
        ("vgg19-imagenet", 19.63),
    ],
)
def test_macs_of_imagenet_networks_are_as_many_as_published(name, giga_macs):
    module, positions = on_meta(name)
    macs = sum(positions[layer.name] * layer.weights for layer in prunable_layers(module))
    assert macs / 1e9 == pytest.approx(giga_macs, abs=0.005)


@pytest.mark.parametrize(
    ("depth", "published"),
    # akamaster/pytorch_resnet_cifar10, whose shortcuts have no weights.
    [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)],
)
def test_a_cifar_resnet_has_the_published_parameters_and_two_shortcuts(depth, published):
    shortcuts = 16 * 32 + 32 * 64 + 2 * (32 + 64)
    assert parameters(on_meta(f"resnet{depth}")[0]) == published + shortcuts


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_a_cifar_resnet_has_as_many_layers_as_its_name_says(depth):
    module, _ = on_meta(f"resnet{depth}")
    counted = [x for x in prunable_layers(module) if "shortcut" not in x.name]
    assert len(counted) == depth


def test_mobilenet_for_small_images_differs_from_the_published_one_in_strides_and_classes_only():
    small, large = on_meta("mobilenetv2")[0], on_meta("mobilenetv2-imagenet")[0]
    assert parameters(large) - parameters(small) == 990 * (1280 + 1)


def test_botnet_has_the_published_20_8_million_parameters():
    """ResNet-50, with 3 x 3 convolutions replaced by q, k, v and relative positions."""
    convolutions = 3 * 512 * 512 * 9
    attention = 3 * 3 * 512 * 512
    positions = 128 * (2 * (2 * 14 - 1) + 4 * (2 * 7 - 1))
    botnet = parameters(on_meta("botnet50-imagenet")[0])
    assert botnet == 25_557_032 - convolutions + attention + positions
    assert round(botnet / 1e6, 1) == pytest.approx(20.8, abs=0.1)


def test_the_stream_of_gpt_comes_in_whole_channels_a_head():
    module, _ = on_meta("gpt3-small")
    multiples = {group.name: group.multiple for group in channel_groups(module)}
    assert multiples["model"] == 12
    assert multiples["block0"] == 1


@pytest.mark.parametrize(
    ("name", "counts", "published"),
    [
        # 9 blocks of width 16 are ResNet-20, 3-4-6-3 bottlenecks ResNet-50.
        ("basic3resnet", (3, 3, 3), parameters(on_meta("resnet20")[0])),
        ("bottleneck4resnet-imagenet", (3, 4, 6, 3), 25_557_032),
        # Weights of n - 1 square convolutions a stage, with BatchNorm, and those between stages.
        (
            "plain3net",
            (11, 14, 19),
            (27 * 16 + 32)
            + (9 * 16 * 16 + 9 * 16 * 32 + 9 * 32 * 64 + 2 * (16 + 32 + 64))
            + 10 * (9 * 16**2 + 32)
            + 13 * (9 * 32**2 + 64)
            + 18 * (9 * 64**2 + 128)
            + 650,
        ),
    ],
)
def test_networks_of_chosen_units_are_the_published_ones(name, counts, published):
    space = SEARCH_SPACES[name]
    stages = {f"stage{s}": count for s, count in enumerate(counts)}
    with torch.device("meta"):
        module = space.build(space.with_units(space.largest(), stages))
    assert parameters(module) == published


@pytest.mark.parametrize(
    ("name", "giga_macs"), [("deeplabv3-resnet50", 178.722), ("deeplabv3-resnet101", 258.743)]
)
def test_macs_of_deeplab_at_520_pixels_are_those_that_torchvision_publishes(name, giga_macs):
    space = SEARCH_SPACES[name].for_data((3, 520, 520), 21)
    with torch.device("meta"):
        module = space.build(space.largest())
        each = macs_per_weight(module, space.example_inputs())
    weights = dict(module.named_parameters())
    macs = sum(times * weights[layer].numel() for layer, times in each.items())
    # Theirs have the auxiliary head in them: 3 x 3 and 1 x 1 over 65 x 65 positions.
    auxiliary = (1024 * 256 * 9 + 256 * 21) * 65**2
    assert round((macs + auxiliary) / 1e9, 3) == giga_macs
