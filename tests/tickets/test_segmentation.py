"""A ticket of a classifier is transferred to images with a class a pixel, through a DeepLab-v3."""

import dataclasses

import pytest
import torch

from growsearch.datasets import Dataset, Split
from growsearch.errors import UsageError
from growsearch.sparsity import Masks
from growsearch.tickets import DrawSettings, TransferSettings, draw, pretrain, transfer
from growsearch.training import Recipe
from growsearch.transforms import MacProfile
from search_spaces import search_space
from search_spaces.families.deeplab import DeepLabSpace
from search_spaces.families.resnet_imagenet import ResNetImageNetSpace

SIZE = 32
BACKBONE = ResNetImageNetSpace(
    name="tiny-bottleneck",
    description="for tests",
    blocks=(1, 1, 1, 1),
    bottleneck=True,
    base_width=4,
    input_shape=(1, SIZE, SIZE),
)
DEEPLAB = DeepLabSpace(
    name="tiny-deeplab",
    description="for tests",
    blocks=(1, 1, 1, 1),
    base_width=4,
    head_width=8,
    rates=(1, 2, 3),
    input_shape=(1, SIZE, SIZE),
)
RECIPE = Recipe(epochs=1, batch_size=16, learning_rate=0.05)
HEAD = ("pyramid.", "head.", "classifier.")


def _halves(count, seed):
    """The right half is bright (class 1) or dark (class 0), the left one the other way round."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randint(2, (count,), generator=generator)
    labels = torch.zeros(count, SIZE, SIZE, dtype=torch.long)
    labels[:, :, SIZE // 2 :] = kinds.view(-1, 1, 1)
    labels[:, :, : SIZE // 2] = 1 - kinds.view(-1, 1, 1)
    noise = 0.3 * torch.randn(count, 1, SIZE, SIZE, generator=generator)
    return noise + 2.0 * labels.unsqueeze(1), labels, kinds


def _data(pixels):
    parts = {}
    for part, (count, seed) in {"train": (32, 0), "validation": (8, 1), "test": (8, 2)}.items():
        inputs, labels, kinds = _halves(count, seed)
        parts[part] = Split(inputs=inputs, labels=labels if pixels else kinds)
    return Dataset(name="halves", num_classes=2, **parts)


@pytest.fixture(scope="module")
def pretrained():
    return pretrain(BACKBONE, _data(pixels=False), RECIPE, seed=0)


def _ticket(pretrained, **changes):
    settings = {"scheme": "omp", "sparsity": 0.75, "recipe": None, **changes}
    data = _data(pixels=True) if settings["scheme"] == "lmp" else None
    return draw(pretrained, DrawSettings(**settings), data=data, space=DEEPLAB)


def test_the_backbone_stays_sparse_and_everything_behind_it_is_new_and_dense(pretrained):
    ticket = _ticket(pretrained).ticket
    settings = TransferSettings(mode="finetune", recipe=RECIPE, space=DEEPLAB)
    done = transfer(pretrained, ticket, _data(pixels=True), settings)
    assert done.model(_data(pixels=True).test.inputs).shape == (8, SIZE, SIZE, 2)
    masks = Masks.of(done.model)
    masks.check()
    assert masks.zeros == ticket.zeros
    assert not [name for name in ticket.masks if name.startswith(HEAD)]
    dense = [p for name, p in done.model.named_parameters() if name.endswith("project.0.weight")]
    assert int(torch.count_nonzero(dense[0])) == dense[0].numel()
    assert 0 < done.history[-1].accuracy <= 1


def test_linear_evaluation_trains_all_that_is_new_and_charges_its_gradients(pretrained):
    ticket = _ticket(pretrained).ticket
    settings = TransferSettings(mode="linear", recipe=RECIPE, space=DEEPLAB)
    done = transfer(pretrained, ticket, _data(pixels=True), settings)
    theta = pretrained.model.state_dict()
    moved = 0
    for name, parameter in done.model.named_parameters():
        if name.startswith(HEAD):
            moved += 1
            continue
        masked = theta[name] * ticket.masks.get(name, torch.tensor(True))
        assert torch.equal(parameter.detach(), masked), name
    assert moved > 10
    profile = MacProfile.of(done.model, done.space.example_inputs())
    left = profile.macs({n: int((~mask).sum()) for n, mask in ticket.masks.items()})
    new = {
        n: profile.per_weight[n] * profile.weights[n] for n in profile.weights if n.startswith(HEAD)
    }
    # The five views read frozen features: their inputs need no gradients.
    fed = [n for n in new if n.startswith(("pyramid.point", "pyramid.atrous", "pyramid.pooled"))]
    assert len(fed) == 5
    backward = 2 * sum(new.values()) - sum(new[n] for n in fed)
    assert done.training_macs == 32 * (left + backward)


def test_a_mask_is_learned_through_the_deeplab_for_the_backbone_alone(pretrained):
    drawn = _ticket(pretrained, scheme="lmp", recipe=Recipe(epochs=2, batch_size=16))
    largest = _ticket(pretrained).ticket
    assert drawn.ticket.masks.keys() == largest.masks.keys()
    assert drawn.ticket.zeros == largest.zeros
    assert any(not torch.equal(m, largest.masks[n]) for n, m in drawn.ticket.masks.items())


def test_a_space_over_another_backbone_is_refused(pretrained):
    settings = TransferSettings(mode="linear", recipe=RECIPE, space=search_space("resnet20"))
    with pytest.raises(UsageError, match=r"resnet20 has no stages\.0\.0\.reduce.*deeplabv3"):
        transfer(pretrained, _ticket(pretrained).ticket, _data(pixels=True), settings)


def test_blocks_of_its_own_in_the_backbone_are_refused(pretrained):
    deeper = dataclasses.replace(DEEPLAB, name="deeper", blocks=(1, 1, 2, 1))
    settings = TransferSettings(mode="linear", recipe=RECIPE, space=deeper)
    with pytest.raises(UsageError, match=r"deeper has stages\.2\.1\..* in its backbone"):
        transfer(pretrained, _ticket(pretrained).ticket, _data(pixels=True), settings)


def test_pretraining_on_a_class_a_pixel_is_refused():
    with pytest.raises(UsageError, match=r"halves has labels of shape .* one label an example"):
        pretrain(DEEPLAB, _data(pixels=True), RECIPE, seed=0)


def test_the_registered_backbones_fit_their_deeplabs():
    for name, over in (
        ("resnet50-imagenet", "deeplabv3-resnet50"),
        ("resnet14-bottleneck", "deeplabv3-resnet14"),
    ):
        backbone, deeplab = search_space(name), search_space(over)
        with torch.device("meta"):
            below = backbone.build(backbone.largest()).state_dict()
            above = deeplab.build(deeplab.largest()).state_dict()
        assert [n for n in below if not n.startswith("classifier")] == [
            n for n in above if not n.startswith(HEAD)
        ]
