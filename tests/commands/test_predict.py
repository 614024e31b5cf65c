"""What a network says of image files is what its search judged it by, in whatever way it is run."""

import json
import random
import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.commands.one_network.predict import picture_files
from growsearch.datasets.folder_layout import layout_of
from growsearch.datasets.keys import DataKeys
from growsearch.datasets.reading.image_file import read_images
from growsearch.errors import UsageError
from growsearch.export.onnx_file import missing_packages, onnx_runner
from growsearch.search.study.study import Study

CLASSES = ("bright", "dark", "middle")
_LEVELS = {"bright": 135, "dark": 95, "middle": 115}


def _picture(file: Path, level: int, draws: random.Random) -> None:
    """A noisy picture of any size around a grey level; some are JPEGs that EXIF turns."""
    shape = (draws.randint(12, 40), draws.randint(12, 40), 3)
    noise = np.random.default_rng(draws.getrandbits(32)).normal(0, 40, shape)
    pixels = (level + draws.gauss(0, 14) + noise).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    if file.suffix == ".jpg":
        exif = image.getexif()
        exif[0x0112] = draws.randint(1, 8)
        image.save(file, exif=exif)
    else:
        image.save(file)


@dataclass
class Searched:
    """A finished run on images in folders, its validation files and their classes."""

    run: Path
    data: Path
    files: list[Path]
    labels: list[int]
    accuracy: float

    @property
    def right(self) -> int:
        """How many validation images the search found right."""
        return round(self.accuracy * len(self.files))

    def named_right(self, names: list[str]) -> int:
        return sum(name == CLASSES[label] for name, label in zip(names, self.labels, strict=True))


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> Searched:
    root, draws = tmp_path_factory.mktemp("predict"), random.Random(3)
    for split, count in (("train", 40), ("val", 40), ("test", 2)):
        for name in CLASSES:
            folder = root / "data" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                suffix = ".jpg" if number % 3 == 0 else ".png"
                _picture(folder / f"{number}{suffix}", _LEVELS[name], draws)
    space = {"space": "mlp-digits", "transform": "none", "sparsity": 0.5, "epochs": 6}
    study = Study(
        {
            "name": "shades",
            "dataset": "image-folder",
            "data_dir": root / "data",
            "data": {"image_size": 12},
            "augmentation": "none",
            "trials": {"sparse": space},
            "objectives": {"accuracy": "maximize", "macs": "minimize"},
            "search": {"trials": 1, "backend": "serial", "seed": 1},
        },
        root / "run",
    )
    study.run()
    files = layout_of(root / "data", DataKeys()).validation
    return Searched(
        run=root / "run",
        data=root / "data",
        files=list(files.paths),
        labels=files.labels.tolist(),
        accuracy=study.trials[0].metrics["accuracy"],
    )


@pytest.fixture(scope="module")
def exported(searched) -> Path:
    with_onnx = "--no-onnx" if missing_packages() else "--onnx"
    out = searched.run.parent / "exported"
    done = CliRunner().invoke(app, ["export", str(searched.run), "--out", str(out), with_onnx])
    assert done.exit_code == 0, done.output
    assert "the study's choice" in done.output
    return out


def predicted(place: Path, files: list[Path], *options: str) -> dict:
    done = CliRunner().invoke(app, ["predict", str(place), *map(str, files), "--json", *options])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def pixels_of(searched: Searched) -> torch.Tensor:
    """The validation images (N, 12, 12, 3) uint8, as the data set reads them."""
    return read_images(searched.files, size=(12, 12)).images.permute(0, 2, 3, 1).contiguous()


def test_the_search_judged_by_files_that_are_neither_all_right_nor_by_chance(searched):
    assert len(searched.files) == 120
    assert 50 < searched.right < 118


@pytest.mark.parametrize("of", ["run", "export"])
def test_predict_finds_as_many_right_as_the_search_did(of, searched, exported):
    found = predicted(searched.run if of == "run" else exported, searched.files)["predictions"]
    assert [each["file"] for each in found] == [str(file) for file in searched.files]
    assert searched.named_right([each["class"] for each in found]) == searched.right


def test_the_image_program_finds_as_many_right_and_raw_pixels_in_the_other_do_not(
    searched, exported
):
    images, labels = pixels_of(searched), torch.tensor(searched.labels)
    program = torch.export.load(exported / "image_program.pt2").module()
    probabilities = program(images)
    assert int((probabilities.argmax(1) == labels).sum()) == searched.right
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(labels)))
    # What everybody would try first: shares of 255.
    raw = torch.export.load(exported / "program.pt2").module()
    guessed = raw(images.permute(0, 3, 1, 2).float() / 255).argmax(1)
    assert int((guessed == labels).sum()) < searched.right


def test_a_program_says_by_itself_what_its_classes_are(exported):
    texts = {"preprocessing.json": ""}
    torch.export.load(exported / "image_program.pt2", extra_files=texts)
    about = json.loads(texts["preprocessing.json"])
    assert about == json.loads((exported / "preprocessing.json").read_text())
    assert about["classes"] == list(CLASSES)
    assert (about["input"]["height"], about["input"]["channel_order"]) == (12, "RGB")


@pytest.mark.skipif(bool(missing_packages()), reason="onnx and onnxruntime are not installed")
def test_onnx_finds_as_many_right_and_has_the_classes_in_it(searched, exported):
    import onnx

    content = (exported / "image_model.onnx").read_bytes()
    found = onnx_runner(content)(pixels_of(searched)).argmax(1).tolist()
    assert sum(a == b for a, b in zip(found, searched.labels, strict=True)) == searched.right
    texts = {each.key: each.value for each in onnx.load_from_string(content).metadata_props}
    assert json.loads(texts["preprocessing.json"])["classes"] == list(CLASSES)


def _loaded(exported: Path, *files: Path | str, without: tuple[str, ...] = ()):
    """Run load.py in a process that has torch, and whatever is not named in ``without``."""
    hidden = ("growsearch", "search_spaces", "cost_models", *without)
    code = (
        f"import runpy, sys\nfor name in {hidden}: sys.modules[name] = None\n"
        "sys.path.insert(0, sys.argv[1]); sys.argv = ['load.py', *sys.argv[2:]]\n"
        f"runpy.run_path({str(exported / 'load.py')!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(exported), *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )


def test_the_loader_finds_as_many_right_with_torch_and_pillow_alone(searched, exported):
    done = _loaded(
        exported, *searched.files, exported / "none.png", without=("safetensors", "numpy")
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(searched.files), done.stderr
    names = [line.rpartition(": ")[2].split()[0] for line in lines]
    assert searched.named_right(names) == searched.right
    assert done.returncode == 1
    assert "none.png: not read" in done.stderr


def test_the_loader_runs_the_raw_program_without_pillow(exported, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setattr(sys, "argv", ["load.py"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(exported / "load.py"), run_name="__main__")
    assert capsys.readouterr().out.startswith("tensor([[")


def test_a_trial_is_exported_and_asked_without_its_data(searched, tmp_path):
    (searched.data / "train").rename(tmp_path / "train")
    try:
        trial = next((searched.run / "trials").iterdir()).name
        options = ["--trial", trial[:4], "--no-onnx", "--out", str(tmp_path / "out")]
        done = CliRunner().invoke(app, ["export", str(searched.run), *options])
        assert done.exit_code == 0, done.output
        assert f"Run it on images: python {tmp_path / 'out' / 'load.py'} photo.png" in done.output
    finally:
        (tmp_path / "train").rename(searched.data / "train")
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    for said in ("bright, dark, middle", "cover 12 x 12", "red, green, blue", "deviation"):
        assert said in card
    assert {"image_program.pt2", "load.py", "read_pictures.py", "preprocessing.json"} <= {
        file.name for file in (tmp_path / "out").iterdir()
    }


def test_a_broken_file_is_named_and_the_others_are_told(searched, tmp_path):
    broken, good = tmp_path / "broken.png", searched.files[0]
    broken.write_bytes(good.read_bytes()[:50])
    files = [broken, good, tmp_path / "none.png", "x" * 5000]
    done = CliRunner().invoke(app, ["predict", str(searched.run), *map(str, files)])
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 1
    assert str(good) in done.stdout
    assert any(name in done.stdout for name in CLASSES)
    assert "broken.png: not a readable PNG or JPEG image" in done.stderr
    assert "none.png: no such file" in done.stderr
    assert "3 of 4 files have no prediction" in done.stderr


def test_top_tells_so_many_classes_in_falling_order(searched):
    (found,) = predicted(searched.run, searched.files[:1], "--top", "3")["predictions"]
    shares = [each["probability"] for each in found["classes"]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert {each["name"] for each in found["classes"]} == set(CLASSES)
    lines = CliRunner().invoke(
        app, ["predict", str(searched.run), str(searched.files[0]), "--top", "2"]
    )
    assert len(lines.stdout.splitlines()) == 2


def test_folders_and_patterns_stand_for_their_images(searched, tmp_path):
    below = picture_files([str(searched.data / "test")])
    assert len(below) == 6
    assert picture_files([str(searched.data / "test" / "*" / "*.png")]) == [
        file for file in below if file.suffix == ".png"
    ]
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="no images there"):
        picture_files([str(tmp_path)])
    # It is an image, of a format that is not read: named, and not passed over.
    (tmp_path / "a.webp").write_bytes(b"RIFF")
    assert picture_files([str(tmp_path)]) == [tmp_path / "a.webp"]


def test_a_resume_with_other_data_is_refused(searched, tmp_path):
    kept = (searched.run / "preprocessing.json").read_text()
    changed = json.loads(kept)
    changed["input"]["mean"][0] += 3
    (searched.run / "preprocessing.json").write_text(json.dumps(changed))
    try:
        with pytest.raises(UsageError, match="mean and deviation of the data are not what"):
            Study(searched.run / "study.yaml", searched.run).run()
    finally:
        (searched.run / "preprocessing.json").write_text(kept)


def test_a_run_without_preprocessing_says_what_to_do(searched, tmp_path):
    kept = (searched.run / "preprocessing.json").read_text()
    (searched.run / "preprocessing.json").unlink()
    try:
        done = CliRunner().invoke(app, ["predict", str(searched.run), str(searched.files[0])])
        assert isinstance(done.exception, UsageError)
        assert "run the same search again with its data there" in str(done.exception)
        Study(searched.run / "study.yaml", searched.run).run()
        assert (searched.run / "preprocessing.json").read_text() == kept
    finally:
        (searched.run / "preprocessing.json").write_text(kept)
