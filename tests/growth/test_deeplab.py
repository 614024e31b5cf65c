"""DeepLab-v3 grows on images with one class a pixel."""

import pytest
import torch

from growsearch.datasets import Augmentation, Dataset, Split
from growsearch.errors import UsageError
from growsearch.growth import Budget, GrowthConfig, grow
from growsearch.training import Recipe, Segmentation
from search_spaces import channel_groups
from search_spaces.families.deeplab import DeepLabSpace

SIZE = 32


def _split(images, seed):
    """Quarters that are grey, bright or dark under noise: classes 0, 1 and 2."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randint(3, (images, 2, 2), generator=generator)
    labels = kinds.repeat_interleave(SIZE // 2, dim=1).repeat_interleave(SIZE // 2, dim=2)
    levels = torch.tensor([0.0, 2.0, -2.0])[labels].unsqueeze(1)
    inputs = levels + 0.3 * torch.randn(images, 1, SIZE, SIZE, generator=generator)
    return Split(inputs=inputs, labels=labels)


def _data(**changes):
    parts = {"train": _split(96, 0), "validation": _split(24, 1), "test": _split(24, 2)}
    return Dataset(name="quarters", num_classes=3, **{**parts, **changes})


SPACE = DeepLabSpace(
    name="tiny-deeplab",
    description="for tests",
    blocks=(1, 1, 1, 2),
    base_width=4,
    head_width=8,
    rates=(1, 2, 3),
    input_shape=(1, SIZE, SIZE),
    num_classes=3,
)
RECIPE = Recipe(epochs=8, batch_size=16, learning_rate=0.05)


@pytest.fixture(scope="module")
def grown():
    config = GrowthConfig(recipe=RECIPE)
    task = Segmentation(_data())
    return grow(SPACE, task, budget=Budget(macs=0.5), config=config, seed=0)


def test_a_grown_deeplab_keeps_its_budget_and_is_built_again_from_its_architecture(grown):
    assert 0.95 * grown.limit <= grown.cost <= grown.limit
    again = SPACE.build(grown.architecture)
    again.load_state_dict(grown.model.state_dict())
    images = _data().test.inputs
    assert torch.equal(again.eval()(images), grown.model.eval()(images))
    assert any(group.size < 8 for group in channel_groups(grown.model) if "pyramid" in group.name)


def test_a_grown_deeplab_tells_the_quarters_apart(grown):
    task, test = Segmentation(_data()), _data().test
    assert task.confusion(grown.model, test).sum() == 24 * SIZE * SIZE
    # One class everywhere would be right in a third of the pixels, and have an IoU of a ninth.
    assert grown.history[-1].accuracy > 0.5
    assert task.mean_iou(grown.model, test) > 0.3


def test_iou_is_intersection_over_union_of_the_classes_that_are_there():
    class Fixed(torch.nn.Module):
        def forward(self, images):
            found = torch.tensor([[0, 0], [1, 1]]).expand(len(images), 2, 2)
            return torch.nn.functional.one_hot(found, 3).float()

    # Class 0: one pixel of the two that are true or found; class 1: two of three; class 2: none.
    split = Split(inputs=torch.zeros(1, 1, 2, 2), labels=torch.tensor([[[0, 1], [1, 1]]]))
    data = _data(train=split, validation=split, test=split)
    task = Segmentation(data)
    assert task.mean_iou(Fixed(), split) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert task.evaluate(Fixed()).accuracy == 0.75


def test_dilation_sees_further_and_the_map_stays_an_eighth():
    model = SPACE.build(SPACE.largest())
    assert [block.spatial.conv.dilation for block in model.stages[3]] == [(2, 2), (4, 4)]
    sizes = []
    model.pyramid.register_forward_hook(lambda layer, inputs, out: sizes.append(out.shape[2:]))
    model.eval()(torch.zeros(1, 1, 64, 64))
    assert sizes == [(8, 8)]


def test_data_that_would_be_learned_wrongly_is_refused():
    images = _split(4, 0)
    with pytest.raises(UsageError, match="one a pixel"):
        Segmentation(_data(train=Split(inputs=images.inputs, labels=torch.zeros(4).long())))
    with pytest.raises(UsageError, match="augmentation"):
        Segmentation(_data(augmentation=Augmentation(mirror=True)))
