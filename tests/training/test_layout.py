import pytest
import torch
from torch import nn

from growsearch.datasets import load_dataset, subset
from growsearch.errors import UsageError
from growsearch.training import Recipe, TrainingOptions, train
from growsearch.training.layout import check_channels_last, with_channels_last


def network(stride=2, channels=4, kernel=1):
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.Conv2d(channels, 2, kernel, stride=stride),
        nn.Flatten(),
        nn.LazyLinear(10),
    )


def test_training_with_channels_last_refuses_a_layer_whose_gradients_would_go_wrong():
    digits = subset(load_dataset("digits"), train=20, validation=10, test=10)
    model = network()
    model(digits.train.inputs[:1])
    message = r"channels_last: 1 is a 1 x 1 convolution of stride 2 and 4 channels.*::2, ::2"
    with pytest.raises(UsageError, match=message):
        train(
            model,
            digits,
            Recipe(epochs=1, batch_size=10),
            seed=0,
            forward_macs=1,
            options=TrainingOptions(channels_last=True),
        )


@pytest.mark.parametrize("safe", [{"stride": 1}, {"channels": 16}, {"kernel": 3}])
def test_layers_whose_gradients_are_right_are_taken(safe):
    check_channels_last(network(**safe))


def test_images_get_their_channels_innermost_and_texts_stay_as_they_are():
    images, tokens = torch.rand(2, 3, 4, 4), torch.zeros(2, 5)
    assert with_channels_last(images).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(with_channels_last(images), images)
    assert with_channels_last(tokens) is tokens
