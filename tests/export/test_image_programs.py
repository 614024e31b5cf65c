"""Programs that take images give what the data sets' own code and the network give, or are not."""

import re
import runpy
import sys

import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from growsearch.commands.select import export_lines
from growsearch.datasets import Normalisation
from growsearch.datasets.preprocessing import ImageInput, Preprocessing
from growsearch.errors import UsageError
from growsearch.export import (
    ExportError,
    export_network,
    load_predictor,
    network_export,
    proving,
)
from growsearch.export.image_entry import ImageEntry
from growsearch.kinds import Network
from growsearch.training import TargetScale
from search_spaces import SEARCH_SPACES

IMAGES = ImageInput(
    height=5, width=7, order="RGB", mean=(100.0, 120.0, 140.0), deviation=(50.0, 60.0, 70.0)
)
SHAPE = (3, 5, 7)


def network_of(outputs=4, **more):
    full = SEARCH_SPACES["mlp-digits"].for_data(SHAPE, outputs)
    small = full.largest().replace({choice.name: 4 for choice in full.choices})
    return Network(architecture=small, input_shape=SHAPE, num_classes=outputs, **more)


@pytest.fixture
def weights(tmp_path):
    return saved(network_of(), tmp_path)


def saved(network, folder):
    torch.manual_seed(0)
    path = folder / "weights.safetensors"
    safetensors.torch.save_file(network.build().state_dict(), path)
    return path


def about(outputs="classes", images=IMAGES, classes=()):
    return Preprocessing(images=images, outputs=outputs, classes=classes)


def by_hand(network, weights, images):
    """What the pipeline of the data sets gives for images (N, H, W, C)."""
    module = network.build().eval()
    module.load_state_dict(safetensors.torch.load_file(weights))
    scale = Normalisation(mean=IMAGES.mean, deviation=IMAGES.deviation)
    with torch.no_grad():
        return module(scale.apply(images.permute(0, 3, 1, 2).contiguous()))


def random_images(count, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 5, 7, 3), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("outputs", "behind"),
    [
        ("classes", lambda logits: logits.softmax(-1)),
        ("labels", torch.sigmoid),
        ("numbers", lambda values: values),
        ("own", lambda values: values),
    ],
)
def test_pixels_become_probabilities_of_classes_and_labels_and_nothing_else(
    outputs, behind, weights, tmp_path
):
    result = export_network(network_of(), weights, tmp_path / "out", preprocessing=about(outputs))
    images = random_images(9)
    expected = behind(by_hand(network_of(), weights, images))
    program = torch.export.load(result.image_program).module()
    torch.testing.assert_close(program(images), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        load_predictor(tmp_path / "out").of_pixels(images), expected, rtol=1e-5, atol=1e-6
    )
    assert 0 <= result.image_difference < 1e-5
    assert {path.name for path in result.files} == {p.name for p in (tmp_path / "out").iterdir()}


def test_predictions_of_numbers_are_in_their_unit(tmp_path):
    network = network_of(1, target_scale=TargetScale(mean=(1000.0,), deviation=(10.0,)))
    weights = saved(network, tmp_path)
    export_network(network, weights, tmp_path / "out", preprocessing=about("numbers"))
    images = random_images(3)
    found = load_predictor(tmp_path / "out").of_pixels(images)
    torch.testing.assert_close(found, by_hand(network, weights, images))
    assert float(found.min()) > 900


def test_a_raw_export_after_one_of_images_leaves_none_of_its_files(weights, tmp_path):
    out = tmp_path / "out"
    first = export_network(network_of(), weights, out, preprocessing=about())
    assert (out / "image_program.pt2").exists()
    raw = Preprocessing(raw_because="nobody knows", outputs="classes")
    second = export_network(network_of(), weights, out, preprocessing=raw)
    assert {path.name for path in out.iterdir()} == {path.name for path in second.files}
    assert len(second.files) == len(first.files) - 2
    assert export_lines(second)[-1] == "Its input is raw: nobody knows."
    with pytest.raises(UsageError, match="input is raw: nobody knows"):
        load_predictor(out)


def test_an_image_program_that_computes_something_else_is_not_written(
    weights, tmp_path, monkeypatch
):
    class Wrong(ImageEntry):
        """As one would write it who thinks of 0 to 1."""

        def forward(self, images):
            return super().forward(images // 2)

    monkeypatch.setattr(network_export, "ImageEntry", Wrong)
    result = export_network(network_of(), weights, tmp_path / "out", preprocessing=about())
    assert result.image_program is None
    assert result.left_out["image_program.pt2"].startswith("it was read back and differs by")
    assert result.program.exists()
    assert not (tmp_path / "out" / "image_program.pt2").exists()
    # The loader does not name what is not there.
    assert "image_program" not in (tmp_path / "out" / "load.py").read_text()
    assert export_lines(result)[-1].startswith("Run it on images: growsearch predict ")


def test_a_reader_that_gives_other_pixels_ends_the_export(weights, tmp_path, monkeypatch):
    script = network_export.reader_script().replace("BILINEAR", "BICUBIC")
    monkeypatch.setattr(network_export, "reader_script", lambda: script)
    with pytest.raises(ExportError, match=r"read_pictures\.py reads a picture of .* otherwise"):
        export_network(network_of(), weights, tmp_path / "out", preprocessing=about())
    assert not (tmp_path / "out").exists()


def test_preprocessing_of_another_network_is_refused(weights, tmp_path):
    other = ImageInput(height=8, width=8, order="grey", mean=(1.0,), deviation=(1.0,))
    with pytest.raises(UsageError, match=r"images of \(1, 8, 8\)"):
        export_network(network_of(), weights, tmp_path / "out", preprocessing=about(images=other))
    with pytest.raises(UsageError, match="1 class names, and the network knows 4"):
        export_network(network_of(), weights, tmp_path / "out", classes=["cat"])


def test_channels_that_no_file_has_are_for_the_program_alone(tmp_path):
    five = ImageInput(
        height=2, width=3, order="as in the data", mean=(9.0,) * 5, deviation=(3.0,) * 5
    )
    full = SEARCH_SPACES["mlp-digits"].for_data((5, 2, 3), 4)
    network = Network(architecture=full.largest(), input_shape=(5, 2, 3), num_classes=4)
    out = tmp_path / "out"
    result = export_network(
        network, saved(network, tmp_path), out, preprocessing=about(images=five)
    )
    program = torch.export.load(result.image_program).module()
    assert program(torch.zeros(2, 2, 3, 5, dtype=torch.uint8)).shape == (2, 4)
    assert not (out / "read_pictures.py").exists()
    assert "reads images of 5 channels" in export_lines(result)[-1]
    with pytest.raises(UsageError, match="5 channels, which no picture file has"):
        load_predictor(out)


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ("classes", r"photo\.png: (ant|bee|cat|dog) 0\.\d{4}\n"),
        ("labels", r"photo\.png: label 0 0\.\d{4}, .*label 3 0\.\d{4}\n"),
        ("numbers", r"photo\.png: \[-?\d.*\]\n"),
    ],
)
def test_the_loader_tells_what_the_outputs_are(
    outputs, told, weights, tmp_path, capsys, monkeypatch
):
    names = ("ant", "bee", "cat", "dog") if outputs == "classes" else ()
    export_network(
        network_of(), weights, tmp_path / "out", preprocessing=about(outputs, classes=names)
    )
    Image.new("RGB", (30, 20), (200, 10, 90)).save(tmp_path / "photo.png")
    found = load_script(tmp_path, monkeypatch, capsys)
    assert re.search(told, found), found


def load_script(folder, monkeypatch, capsys):
    """Run load.py of the folder's export on its photo."""
    monkeypatch.setattr(sys, "argv", ["load.py", str(folder / "photo.png")])
    monkeypatch.setattr(sys, "path", [str(folder / "out"), *sys.path])
    monkeypatch.delitem(sys.modules, "read_pictures", raising=False)
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(folder / "out" / "load.py"), run_name="__main__")
    return capsys.readouterr().out


class Pixelwise(nn.Module):
    """A class a pixel, (N, H, W, classes), by its red against its green."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return x[:, :2].permute(0, 2, 3, 1) + self.bias


def test_classes_of_pixels_are_told_as_shares(tmp_path, monkeypatch, capsys):
    from growsearch.commands.one_network.predict import _rows

    monkeypatch.setattr(Network, "build", lambda self: Pixelwise())
    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(Pixelwise().state_dict(), weights)
    export_network(network_of(2), weights, tmp_path / "out", preprocessing=about("pixels"))
    picture = Image.new("RGB", (7, 5), (250, 0, 0))
    picture.paste((0, 250, 0), (0, 0, 7, 1))
    picture.save(tmp_path / "photo.png")
    (found,) = load_predictor(tmp_path / "out").predict([tmp_path / "photo.png"])
    assert found.outputs.shape == (5, 7, 2)
    assert _rows(found, about("pixels"), None) == [
        ("class 0", pytest.approx(0.8)),
        ("class 1", pytest.approx(0.2)),
    ]
    assert load_script(tmp_path, monkeypatch, capsys).endswith(
        "photo.png: 0 0.8000 of the pixels, 1 0.2000 of the pixels\n"
    )


def test_grey_levels_of_a_file_are_those_of_its_colours(tmp_path):
    grey = ImageInput(height=8, width=8, order="grey", mean=(100.0,), deviation=(60.0,))
    full = SEARCH_SPACES["mlp-digits"]
    small = full.largest().replace({choice.name: 4 for choice in full.choices})
    network = Network(architecture=small, input_shape=(1, 8, 8), num_classes=10)
    export_network(
        network, saved(network, tmp_path), tmp_path / "out", preprocessing=about(images=grey)
    )
    for mode, name in (("L", "grey.png"), ("RGB", "colour.png")):
        Image.linear_gradient("L").resize((8, 8)).convert(mode).save(tmp_path / name)
    predictor = load_predictor(tmp_path / "out")
    one, two = predictor.predict([tmp_path / "grey.png", tmp_path / "colour.png"])
    assert torch.equal(one.outputs, two.outputs)
    pixels = torch.tensor(list(Image.open(tmp_path / "grey.png").tobytes()), dtype=torch.uint8)
    assert torch.equal(predictor.of_pixels(pixels.view(1, 8, 8, 1))[0], one.outputs)


def test_proofs_run_pictures_of_several_sizes_through_the_data_sets_reader(
    weights, tmp_path, monkeypatch
):
    read, sizes = proving.read_pixels, []

    def noting(source, size, *, grey):
        sizes.append(Image.open(proving.io.BytesIO(source.content)).size)
        return read(source, size, grey=grey)

    monkeypatch.setattr(proving, "read_pixels", noting)
    export_network(network_of(), weights, tmp_path / "out", preprocessing=about())
    assert len(set(sizes)) == 3
    assert (7, 5) in sizes
