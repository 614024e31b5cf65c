"""What predict prints of outputs that are no classes, and what it refuses."""

import json

import pytest
import safetensors.torch
import torch
from PIL import Image
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.datasets.preprocessing import ImageInput, Preprocessing
from growsearch.errors import UsageError
from growsearch.kinds import Network
from search_spaces import SEARCH_SPACES

IMAGES = ImageInput(height=4, width=4, order="RGB", mean=(128.0,) * 3, deviation=(64.0,) * 3)


@pytest.fixture
def export(tmp_path):
    """Return what makes a folder of an export, with three outputs that do not depend on images."""

    def made(about: Preprocessing, outputs: tuple[float, ...] = (-3.0, 1.0, 2.0)):
        full = SEARCH_SPACES["mlp-digits"].for_data((3, 4, 4), 3)
        small = full.largest().replace({choice.name: 2 for choice in full.choices})
        network = Network(architecture=small, input_shape=(3, 4, 4), num_classes=3)
        module = network.build()
        state = {name: torch.zeros_like(value) for name, value in module.state_dict().items()}
        last = [name for name, value in state.items() if value.shape == (3,)][-1]
        state[last] = torch.tensor(outputs)
        folder = tmp_path / "out"
        folder.mkdir()
        safetensors.torch.save_file(state, folder / "weights.safetensors")
        (folder / "architecture.json").write_text(json.dumps(network.to_json()))
        (folder / "preprocessing.json").write_text(json.dumps(about.to_json()))
        Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
        return folder, tmp_path / "photo.png"

    return made


def run(folder, *options):
    return CliRunner().invoke(app, ["predict", str(folder), *map(str, options)])


def test_labels_are_told_from_a_half_on_or_as_many_as_asked(export):
    folder, photo = export(Preprocessing(images=IMAGES, outputs="labels"))
    lines = run(folder, photo).stdout.splitlines()
    # sigmoid(2) and sigmoid(1); sigmoid(-3) is 4.7 %.
    assert [line.split()[-4:] for line in lines] == [
        ["label", "2", "88.1", "%"],
        ["label", "1", "73.1", "%"],
    ]
    assert lines[0].startswith(str(photo)[:48])
    assert len(run(folder, photo, "--top", "3").stdout.splitlines()) == 3


def test_an_image_without_labels_says_so(export):
    folder, photo = export(Preprocessing(images=IMAGES, outputs="labels"), (-3.0, -2.0, -1.0))
    assert "no label of at least 50 %" in run(folder, photo).stdout


def test_numbers_are_told_as_they_are_and_have_no_top(export):
    folder, photo = export(Preprocessing(images=IMAGES, outputs="numbers"))
    assert run(folder, photo).stdout.split()[-3:] == ["-3", "1", "2"]
    found = json.loads(run(folder, photo, "--json").stdout)
    assert found["predictions"] == [{"file": str(photo), "outputs": [-3.0, 1.0, 2.0]}]
    assert (found["outputs"], found["probabilities"]) == ("numbers", False)
    refused = run(folder, photo, "--top", "2")
    assert isinstance(refused.exception, UsageError)
    assert "--top: 2 of classes, and this network gives numbers" in str(refused.exception)


def test_classes_without_names_have_numbers(export):
    folder, photo = export(Preprocessing(images=IMAGES, outputs="classes"))
    (found,) = json.loads(run(folder, photo, "--json").stdout)["predictions"]
    assert found["class"] == "class 2"
    assert found["probability"] == pytest.approx(0.7275, abs=1e-3)


def test_names_of_classes_cannot_reach_the_terminal_as_codes(export):
    names = ("a", "b", "c\x1b[31m")
    folder, photo = export(Preprocessing(images=IMAGES, outputs="classes", classes=names))
    found = run(folder, photo).stdout
    assert "\x1b" not in found
    assert r"c\x1b[31m" in found


def test_channels_without_names_are_said_to_be_taken_as_colours(export):
    images = ImageInput(
        height=4, width=4, order="as in the data", mean=(1.0,) * 3, deviation=(1.0,) * 3
    )
    folder, photo = export(Preprocessing(images=images, outputs="classes"))
    assert "files are read as red, green, blue" in run(folder, photo).stderr


def test_a_raw_input_says_why_no_image_can_be_read(export):
    folder, photo = export(Preprocessing(raw_because="it reads words", outputs="words"))
    refused = run(folder, photo)
    assert isinstance(refused.exception, UsageError)
    assert "this network's input is raw: it reads words" in str(refused.exception)


def test_an_export_has_one_network(export):
    folder, photo = export(Preprocessing(images=IMAGES, outputs="classes"))
    refused = run(folder, photo, "--trial", "3f")
    assert "--trial: " in str(refused.exception)
    assert "is an export of one network" in str(refused.exception)


def test_sizes_of_another_network_are_refused(export):
    images = ImageInput(height=5, width=4, order="RGB", mean=(1.0,) * 3, deviation=(1.0,) * 3)
    folder, photo = export(Preprocessing(images=images, outputs="classes"))
    refused = run(folder, photo)
    assert "images of (3, 5, 4) (channels, height, width)" in str(refused.exception)


def test_many_files_go_through_in_batches(export, tmp_path):
    folder, photo = export(Preprocessing(images=IMAGES, outputs="classes"))
    place = tmp_path / "many"
    place.mkdir()
    for number in range(130):
        (place / f"{number:03}.png").write_bytes(photo.read_bytes())
    (place / "065.png").write_bytes(b"no picture")
    done = run(folder, place, "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)["predictions"]
    assert [each["file"] for each in found] == [str(place / f"{n:03}.png") for n in range(130)]
    assert [n for n, each in enumerate(found) if "error" in each] == [65]
    assert "1 of 130 files have no prediction" in done.stderr


def test_outputs_that_are_no_numbers_are_no_prediction(export):
    folder, photo = export(
        Preprocessing(images=IMAGES, outputs="numbers"), (float("nan"), 1.0, 2.0)
    )
    done = run(folder, photo, "--json")
    assert done.exit_code == 1
    (found,) = json.loads(done.stdout)["predictions"]
    assert found["error"].endswith("photo.png: the network gives outputs that are not finite")
