"""What is kept of a data set so that its networks can be used without it."""

import dataclasses
import json
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from growsearch.datasets import (
    DataKeys,
    DataReport,
    Dataset,
    Normalisation,
    Split,
    TaskChoice,
    from_tensors,
    image_folder,
)
from growsearch.datasets.preprocessing import (
    ImageInput,
    Preprocessing,
    preprocessing_of,
    read_preprocessing,
)
from growsearch.datasets.reading import picture_pixels
from growsearch.datasets.streams.from_torch import from_torch
from growsearch.errors import UsageError

LABELS = torch.arange(2).repeat(30)


def pixels(channels=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (60, channels, 4, 6), generator=generator, dtype=torch.uint8)


def test_pixels_keep_their_size_channels_and_statistics():
    data = from_tensors(pixels(), LABELS)
    found = preprocessing_of(data)
    assert found.images.shape == (3, 4, 6)
    assert found.images.normalisation == data.normalisation
    assert (found.outputs, found.probabilities, found.classes) == ("classes", True, ())
    # Of arrays nobody knows which channel is red.
    assert found.images.order == "as in the data"
    assert preprocessing_of(dataclasses.replace(data, name="cifar10")).images.order == "RGB"
    assert preprocessing_of(from_tensors(pixels(1), LABELS)).images.order == "grey"


def test_one_statistic_stands_for_all_channels():
    part = Split(inputs=torch.zeros(4, 3, 2, 2), labels=LABELS[:4])
    scale = Normalisation(mean=(100.0,), deviation=(50.0,))
    data = Dataset(
        name="own", train=part, validation=part, test=part, num_classes=2, normalisation=scale
    )
    found = preprocessing_of(data).images
    assert (found.mean, found.deviation) == ((100.0,) * 3, (50.0,) * 3)


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        (torch.rand(60, 3, 4, 4), "how pixels became those nobody said"),
        (torch.rand(60, 5), "tensors of 1 axes"),
    ],
)
def test_floats_of_unknown_origin_are_raw_and_say_why(inputs, why):
    found = preprocessing_of(from_tensors(inputs, LABELS))
    assert found.images is None
    assert why in found.raw_because
    assert found.outputs == "classes"


def test_words_are_raw():
    words = torch.randint(7, (60, 5))
    found = preprocessing_of(from_tensors(words, words))
    assert (found.images, found.outputs, found.probabilities) == (None, "words", False)


def test_numbers_labels_and_pixels_are_told_apart():
    images = pixels()
    numbers = from_tensors(images, torch.rand(60), task="regression")
    several = from_tensors(images, torch.eye(2).repeat(30, 1), task="multi-label")
    masks = from_tensors(images, LABELS[:, None, None].expand(60, 4, 6).contiguous())
    assert [preprocessing_of(each).outputs for each in (numbers, several, masks)] == [
        "numbers",
        "labels",
        "pixels",
    ]
    assert [preprocessing_of(each).probabilities for each in (numbers, several, masks)] == [
        False,
        True,
        False,
    ]


def test_an_own_task_tells_classes_where_it_is_judged_by_the_accuracy():
    data = dataclasses.replace(
        from_tensors(pixels(), LABELS), task=TaskChoice(name="somewhere:Task")
    )
    assert preprocessing_of(data, {"accuracy": "maximize"}).outputs == "classes"
    assert preprocessing_of(data, {"margin": "maximize"}).outputs == "own"


def test_class_names_are_those_of_the_data_where_there_is_one_each():
    data = from_tensors(pixels(), LABELS)
    named = dataclasses.replace(data, report=DataReport(class_names=("cat", "dog")))
    assert preprocessing_of(named).classes == ("cat", "dog")
    assert preprocessing_of(named).class_name(1) == "dog"
    assert preprocessing_of(data).class_name(1) == "class 1"
    few = dataclasses.replace(data, report=DataReport(class_names=("cat",)))
    assert preprocessing_of(few).classes == ()


class _Named(torch.utils.data.TensorDataset):
    classes = ("cat", "dog")


def test_data_sets_of_torch_say_their_classes():
    data = from_torch(_Named(pixels(), LABELS))
    assert preprocessing_of(data).classes == ("cat", "dog")
    assert preprocessing_of(data).images.shape == (3, 4, 6)


def test_streamed_images_have_the_same_preprocessing_as_those_in_memory(tmp_path):
    for place, image in enumerate(pixels()):
        folder = tmp_path / "train" / ("cat", "dog")[place % 2]
        for part in (folder, tmp_path / "val" / folder.name):
            part.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(part / f"{place}.png")
    held, streamed = (
        image_folder.load(tmp_path, DataKeys(memory=memory)) for memory in (0.5, 1e-12)
    )
    assert streamed.train.streamed
    assert preprocessing_of(streamed) == preprocessing_of(held)
    assert preprocessing_of(held).images.shape == (3, 4, 6)
    assert preprocessing_of(held).classes == ("cat", "dog")


@st.composite
def described(draw):
    channels = draw(st.sampled_from([1, 3, 5]))
    orders = {1: ["grey"], 3: ["RGB", "as in the data"], 5: ["as in the data"]}[channels]
    floats = st.floats(-500, 500)
    images = ImageInput(
        height=draw(st.integers(1, 2**20)),
        width=draw(st.integers(1, 2**20)),
        order=draw(st.sampled_from(orders)),
        mean=tuple(draw(st.lists(floats, min_size=channels, max_size=channels))),
        deviation=tuple(draw(st.lists(st.floats(1e-3, 500), min_size=channels, max_size=channels))),
    )
    raw = draw(st.booleans())
    # Half a character is nothing that a file can hold.
    text = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
    return Preprocessing(
        images=None if raw else images,
        raw_because=draw(text) if raw else "",
        outputs=draw(st.sampled_from(["classes", "labels", "numbers", "pixels", "words", "own"])),
        classes=tuple(draw(st.lists(text, max_size=4))),
    )


@settings(max_examples=60, deadline=None)
@given(described())
def test_what_is_written_is_read_again_and_is_no_other(found):
    again = Preprocessing.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert again == found
    assert again.difference(found) == ""


SOUND = preprocessing_of(from_tensors(pixels(), LABELS)).to_json()


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ((), [], "format is not 1"),
        (("format",), 2, "format is not 1"),
        (("input",), None, "input is no object"),
        (("input", "kind"), "sound", "kind is none of images, raw"),
        (("input", "height"), True, "input.height is no whole number"),
        (("input", "height"), 2**40, "input.height is no whole number"),
        (("input", "channels"), 2, "input.mean is no list of 2 numbers"),
        (("input", "channel_order"), "BGR", "channel_order is none of RGB"),
        (("input", "channel_order"), "grey", "does not go with 3 channels"),
        (("input", "resize"), "stretch", "input.resize is not"),
        (("input", "filter"), "bicubic", "input.filter is not"),
        (("input", "mean"), [1, "2", 3], "no finite number"),
        (("input", "deviation"), [1, 0, 3], "not above 0"),
        (("output", "kind"), ["classes"], "kind is none of classes"),
        (("output", "probabilities"), False, "does not go with output.kind classes"),
        (("classes",), "cat", "classes is no list"),
        (("classes",), [], "classes is no list"),
        (("classes",), [1, 2], "a name that is no text"),
    ],
)
def test_a_file_that_means_nothing_is_refused_by_key(place, value, said, tmp_path):
    data = json.loads(json.dumps(SOUND))
    holder = data
    for key in place[:-1]:
        holder = holder[key]
    if place:
        holder[place[-1]] = value
    file = tmp_path / "preprocessing.json"
    file.write_text(json.dumps(data if place else value))
    with pytest.raises(UsageError, match=rf"preprocessing\.json cannot be read.*{said}"):
        read_preprocessing(file)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(
        [("input",), ("output",), ("classes",), *(("input", key) for key in SOUND["input"])]
    ),
    ANYTHING,
)
def test_whatever_stands_there_is_read_or_refused(place, value):
    data = json.loads(json.dumps(SOUND))
    (data if len(place) == 1 else data[place[0]])[place[-1]] = value
    try:
        found = Preprocessing.from_json(data)
    except ValueError:
        return
    # What was read is sound: it can be written, and applied to pixels.
    assert Preprocessing.from_json(found.to_json()) == found
    assert found.images is None or min(found.images.deviation) > 0


def test_what_differs_is_named_and_another_decoder_s_hundredth_is_not():
    found = preprocessing_of(from_tensors(pixels(), LABELS))
    images = found.images

    def other(**changes):
        return dataclasses.replace(found, images=dataclasses.replace(images, **changes))

    assert found.difference(other(height=5)) == "size or channels"
    assert found.difference(other(order="RGB")) == "size or channels"
    moved = (images.mean[0] + 0.02, *images.mean[1:])
    assert found.difference(other(mean=moved)) == "mean and deviation"
    near = (images.mean[0] + 0.005, *images.mean[1:])
    assert found.difference(other(mean=near)) == ""
    assert found.difference(dataclasses.replace(found, images=None)) == "images"
    assert found.difference(dataclasses.replace(found, outputs="labels")) == "classes"
    cats = dataclasses.replace(found, classes=("cat", "dog"))
    assert cats.difference(dataclasses.replace(found, classes=("dog", "cat"))) == "classes"
    assert cats.difference(found) == ""


def test_what_belongs_to_another_network_is_refused():
    found = dataclasses.replace(
        preprocessing_of(from_tensors(pixels(), LABELS)), classes=("cat", "dog")
    )
    found.check_fits((3, 4, 6), 2)
    with pytest.raises(UsageError, match=r"images of \(3, 4, 6\).*reads \(3, 4, 4\)"):
        found.check_fits((3, 4, 4), 2)
    with pytest.raises(UsageError, match="2 class names, and the network knows 3"):
        found.check_fits((3, 4, 6), 3)


def test_what_reads_pictures_in_exports_needs_pillow_alone():
    code = (
        "import sys\n"
        "for name in ('numpy', 'torch', 'growsearch'): sys.modules[name] = None\n"
        "import io, runpy\n"
        f"read = runpy.run_path({picture_pixels.__file__!r})['read_at']\n"
        "from PIL import Image\n"
        "file = io.BytesIO(); Image.new('I;16', (40, 20), 257 * 9).save(file, 'PNG')\n"
        "seen = read(file, 8, 8); print(seen.image.size, seen.image.getpixel((0, 0)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(8, 8) (9, 9, 9)", done.stderr
