import colorsys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from growsearch.datasets import (
    AUGMENTATIONS,
    Augmentation,
    Dataset,
    Normalisation,
    Split,
    augmentation_to_plain,
    from_tensors,
    parse_augmentation,
    with_augmentation,
)
from growsearch.datasets.augmentation.colours import grey, hue
from growsearch.datasets.augmentation.mixing import CutMix, Mixup
from growsearch.datasets.augmentation.rand_augment import OPERATIONS, RandAugment
from growsearch.datasets.augmentation.random_erasing import RandomErasing
from growsearch.datasets.augmentation.random_resized_crop import RandomResizedCrop
from growsearch.datasets.augmentation.shift_mirror import Mirror, Shift
from growsearch.errors import UsageError
from growsearch.training import mean_loss


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _images(count=64, channels=3, side=8):
    return torch.rand(count, channels, side, side, generator=_generator(9))


def _dataset(augmentation, channels=3):
    raw = (255 * _images(60, channels)).to(torch.uint8)
    return from_tensors(raw, torch.arange(60) % 3, augmentation=augmentation)


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_same_seed_gives_the_same_batch_and_another_one_another(name, channels):
    data = _dataset(AUGMENTATIONS[name], channels)
    inputs, labels = data.train.inputs, data.train.labels
    before = inputs.clone()
    first, again, other = (data.augmented(inputs, labels, _generator(s)) for s in (3, 3, 4))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert name == "none" or not torch.equal(first[0], other[0])
    assert torch.equal(inputs, before)
    assert first[0].shape == inputs.shape
    assert torch.isfinite(first[0]).all()


def test_shift_alone_is_the_shift_of_shift_mirror():
    images = _images()
    assert torch.equal(
        Shift(pixels=2).apply(images, _generator()),
        Augmentation(shift_pixels=2).apply(images, _generator()),
    )


def test_mirroring_happens_as_often_as_it_is_said():
    images = _images(2000)
    changed = Mirror(probability=0.2).apply(images, _generator())
    mirrored = (changed == images.flip(-1)).flatten(1).all(dim=1)
    assert ((changed == images).flatten(1).all(dim=1) | mirrored).all()
    # Five deviations of 400.
    assert abs(int(mirrored.sum()) - 400) < 90


@given(
    red=st.integers(0, 255),
    green=st.integers(0, 255),
    blue=st.integers(0, 255),
    turn=st.floats(-0.5, 0.5),
)
def test_hue_turns_as_in_colorsys(red, green, blue, turn):
    pixel = torch.tensor([red, green, blue], dtype=torch.float64).view(1, 3, 1, 1) / 255
    place, share, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    wanted = colorsys.hsv_to_rgb((place + turn) % 1, share, value)
    found = hue(pixel, torch.tensor([turn], dtype=torch.float64)).flatten()
    assert torch.allclose(found, torch.tensor(wanted, dtype=torch.float64), atol=1e-9)


def test_a_third_of_a_turn_makes_red_green():
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    assert torch.allclose(hue(red, torch.tensor([1 / 3])).flatten(), torch.tensor([0.0, 1, 0]))


def test_grey_images_have_no_colour_to_change():
    plane = _images(1, 1)
    assert torch.equal(hue(plane, torch.tensor([0.3])), plane)
    assert torch.equal(grey(plane), plane)


@given(seed=st.integers(0, 999), low=st.floats(0.05, 1.0), high=st.floats(0.05, 1.0))
def test_boxes_lie_inside_and_have_the_area_that_was_asked_for(seed, low, high):
    scale = (min(low, high), max(low, high))
    change = RandomResizedCrop(scale=scale, ratio=(0.5, 2.0))
    boxes = change.boxes(16, (64, 48), _generator(seed))
    left, top, wide, tall = boxes.unbind(1)
    assert (boxes[:, :2] >= 0).all()
    assert (wide >= 1).all()
    assert (tall >= 1).all()
    assert (left + wide <= 48).all()
    assert (top + tall <= 64).all()
    share = wide * tall / (64 * 48)
    # Sides are whole pixels; where nothing fits, all of it is taken.
    assert ((share > scale[0] - 0.06) & ((share < scale[1] + 0.06) | (share == 1))).all()


def test_where_no_box_fits_the_largest_in_the_middle_is_taken():
    change = RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0))
    assert change.boxes(1, (10, 30), _generator())[0].tolist() == [10, 0, 10, 10]
    assert change.boxes(1, (30, 10), _generator())[0].tolist() == [0, 10, 10, 10]


def test_the_whole_image_as_the_box_changes_nothing():
    images = _images()
    change = RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0))
    assert torch.allclose(change.apply(images, _generator()), images, atol=1e-6)


def test_erasing_covers_one_box_of_some_images_with_the_mean():
    images = 1 + _images(400)
    changed = RandomErasing(probability=0.5, scale=(0.1, 0.3)).apply(images, _generator())
    covered = (changed == 0).all(dim=1)
    touched = covered.flatten(1).any(dim=1)
    assert torch.equal(changed[~touched], images[~touched])
    assert abs(int(touched.sum()) - 200) < 50
    for box in covered[touched]:
        rows, columns = box.any(dim=1), box.any(dim=0)
        assert int(box.sum()) == int(rows.sum()) * int(columns.sum())
        assert 0.05 < float(box.float().mean()) < 0.4


def test_noise_covers_too():
    images = torch.full((50, 3, 8, 8), 7.0)
    changed = RandomErasing(probability=1.0, cover="noise").apply(images, _generator())
    noise = changed[changed != 7.0]
    assert abs(float(noise.mean())) < 0.1
    assert abs(float(noise.std()) - 1) < 0.1


def test_every_operation_at_no_strength_leaves_an_image_that_uses_all_levels():
    pixels = torch.arange(256).view(1, 1, 16, 16).expand(2, 3, -1, -1) / 255
    for name, operation in OPERATIONS.items():
        assert torch.allclose(
            operation(pixels, 0.0, torch.tensor([1.0, -1.0])), pixels, atol=1e-5
        ), name


def test_a_translation_moves_whole_pixels_and_fills_with_grey():
    pixels = torch.rand(1, 3, 331, 331, generator=_generator())
    moved = OPERATIONS["translate-x"](pixels, 0.1, torch.tensor([1.0]))
    # 15 pixels to the left: what is seen there lay further right.
    assert torch.allclose(moved[..., :-15], pixels[..., 15:], atol=1e-4)
    assert torch.allclose(moved[..., -15:], torch.tensor(128 / 255))


def test_each_image_has_operations_of_its_own():
    pixels = _images(1).expand(40, -1, -1, -1)
    changed = RandAugment(operations=1, magnitude=20).apply(pixels, _generator())
    assert len(changed.flatten(1).unique(dim=0)) > 8


def test_mixup_is_the_same_mean_of_images_and_targets():
    images = torch.eye(4).view(4, 1, 2, 2)
    targets = torch.eye(4)
    mixed, shares = Mixup(alpha=1.0).mix((images, targets), _generator(1))
    # An image is its class here: what is mixed of one is mixed of the other.
    assert torch.allclose(mixed.flatten(1), shares)
    assert torch.allclose(shares.sum(dim=1), torch.ones(4))
    assert ((shares > 0).sum(dim=1) <= 2).all()
    weight = shares.max(dim=1).values
    assert not torch.allclose(shares, targets)
    assert torch.allclose(weight[weight < 1], weight[weight < 1][0].expand((weight < 1).sum()))


@given(seed=st.integers(0, 300))
def test_cutmix_shares_are_the_areas(seed):
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(-1, 1, 6, 9).contiguous()
    mixed, shares = CutMix().mix((images, torch.eye(5)), _generator(seed))
    for image, share in zip(mixed, shares, strict=True):
        area = torch.bincount(image.flatten().long(), minlength=5) / image.numel()
        assert torch.allclose(area, share, atol=1e-6)


def test_a_batch_that_is_not_mixed_has_whole_targets():
    data = _dataset(parse_augmentation([{"mixup": {"probability": 0}}]))
    inputs, targets = data.augmented(data.train.inputs, data.train.labels, _generator())
    assert torch.equal(inputs, data.train.inputs)
    assert torch.equal(targets.argmax(dim=1), data.train.labels)
    assert targets.shape == (len(inputs), 3)


def test_the_loss_of_whole_targets_is_that_of_labels():
    logits = torch.randn(5, 3, generator=_generator())
    labels = torch.tensor([0, 1, 2, 2, 0])
    for smoothing in (0.0, 0.1):
        assert torch.allclose(
            mean_loss(logits, torch.eye(3)[labels], label_smoothing=smoothing),
            mean_loss(logits, labels, label_smoothing=smoothing),
        )
    halves = torch.tensor([[0.5, 0.5, 0.0]])
    assert torch.allclose(mean_loss(torch.zeros(1, 3), halves), torch.tensor(3.0).log())


def test_colours_are_changed_in_pixels_and_handed_back_normalised():
    data = _dataset(parse_augmentation([{"colour-jitter": {"saturation": 0, "hue": 0}}]))
    inputs, _ = data.augmented(data.train.inputs, data.train.labels, _generator())
    pixels = data.normalisation.to_pixels(inputs)
    assert float(pixels.min()) > -1e-5
    assert float(pixels.max()) < 1 + 1e-5
    assert not torch.allclose(inputs, data.train.inputs)


@pytest.mark.parametrize(
    "written",
    [
        "mixup",
        ["mirror", "shift"],
        [{"shift-mirror": {"shift_pixels": 2}}],
        ["none"],
        {"random-resized-crop": {"scale": [0.3, 1]}},
        [{"random-erasing": {"cover": "noise"}}, {"rand-augment": {"magnitude": 3}}],
    ],
)
def test_what_is_written_is_what_was_read(written):
    read = parse_augmentation(written)
    assert parse_augmentation(augmentation_to_plain(read)) == read


def test_names_alone_have_the_usual_values():
    for name, usual in AUGMENTATIONS.items():
        assert parse_augmentation(name) == usual
        assert augmentation_to_plain(usual) == name


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("mixip", "unknown augmentation 'mixip'; valid: none, shift-mirror"),
        ([], "give a name, or a list"),
        (3, "give a name, or a list"),
        ([{"mirror": {}, "shift": {}}], "give one name each"),
        (
            [{"mirror": {"probabilty": 1}}],
            "mirror.probabilty: unknown key; valid here: probability",
        ),
        ([{"mirror": {"probability": 1.5}}], "mirror.probability = 1.5 is not from 0 to 1"),
        ([{"mirror": {"probability": True}}], "the usual value is 0.5"),
        ([{"mirror": 3}], "3 are no values"),
        ([{"shift": {"pixels": 0}}], "shift.pixels = 0 is no whole number from 1"),
        ([{"shift": {"pixels": "many"}}], "shift.pixels = 'many'"),
        ([{"mixup": {"alpha": 0}}], "mixup.alpha = 0.0 is not above 0"),
        ([{"mixup": {"alpha": float("nan")}}], "mixup.alpha = nan is not above 0"),
        ([{"random-resized-crop": {"scale": [0.5, 0.1]}}], "low <= high"),
        ([{"random-resized-crop": {"scale": 0.5}}], "random-resized-crop.scale = 0.5"),
        ([{"random-erasing": {"cover": "black"}}], "'mean' or 'noise'"),
        ([{"colour-jitter": {"hue": 0.6}}], "colour-jitter.hue = 0.6 is not from 0 to 0.5"),
        ([{"rand-augment": {"magnitude": 31}}], "rand-augment.magnitude = 31"),
    ],
)
def test_a_wrong_name_key_or_value_is_told(written, said):
    with pytest.raises(UsageError) as found:
        parse_augmentation(written)
    assert said in str(found.value)


def test_data_that_cannot_be_changed_is_refused():
    rows = from_tensors(torch.rand(40, 5), torch.arange(40) % 2)
    with pytest.raises(UsageError, match="has inputs of"):
        with_augmentation(rows, AUGMENTATIONS["mirror"])
    floats = from_tensors(torch.rand(40, 3, 4, 4), torch.arange(40) % 2)
    with pytest.raises(UsageError, match="unknown range"):
        with_augmentation(floats, AUGMENTATIONS["colour-jitter"])
    assert with_augmentation(floats, AUGMENTATIONS["mixup"]).augmentation == AUGMENTATIONS["mixup"]
    assert with_augmentation(rows, AUGMENTATIONS["none"]).train is rows.train
    masks = from_tensors(torch.rand(40, 3, 4, 4), (torch.rand(40, 4, 4) > 0.5).long())
    with pytest.raises(UsageError, match="more than one label an image"):
        with_augmentation(masks, AUGMENTATIONS["mirror"])


def test_pixels_from_0_to_1_with_their_normalisation_have_colours():
    split = Split(inputs=torch.rand(4, 3, 4, 4), labels=torch.arange(4) % 2)
    data = Dataset(
        name="own",
        train=split,
        validation=split,
        test=split,
        num_classes=2,
        normalisation=Normalisation(deviation=(255.0,)),
    )
    changed = with_augmentation(data, AUGMENTATIONS["rand-augment"])
    assert changed.augmentation == AUGMENTATIONS["rand-augment"]
