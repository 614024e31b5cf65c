"""The first hour, word for word: a wheel in an empty environment, five commands, files that run.

It installs packages, and so runs where GROWSEARCH_JOURNEY is set; two environments with
torch and one with ONNX Runtime alone take some gigabytes. What each command took and said is in
journey.log of its folder, GROWSEARCH_JOURNEY_DIR or a temporary one.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[2]
CLASSES = ("circle", "square", "triangle")
NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()

        def block(i, o):
            return nn.Sequential(
                nn.Conv2d(i, o, 3, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU()
            )

        self.body = nn.Sequential(block(3, 16), block(16, 32), block(32, 64), block(64, 64))
        self.head = nn.Linear(64, num_classes)

    def forward(self, x):
        return self.head(self.body(x).amax((2, 3)))
"""
# Accuracy of an exported program on a folder, with nothing of ours.
JUDGE = """
import json, subprocess, sys
from pathlib import Path
folder, images = Path(sys.argv[1]), sorted(Path(sys.argv[2]).glob("*/*.png"))
told = subprocess.run(
    [sys.executable, folder / "load.py", *images], capture_output=True, text=True, check=True
).stdout.splitlines()
right = sum(image.parent.name in line.split(image.name)[1] for image, line in zip(images, told))
print(json.dumps({"right": right, "of": len(images)}))
"""

# The same of the ONNX graph: pixels in, probabilities out, where neither torch nor ours is.
JUDGE_ONNX = """
import importlib.util, json, sys
from pathlib import Path
import numpy as np
import onnxruntime
folder, images = Path(sys.argv[1]), sorted(Path(sys.argv[2]).glob("*/*.png"))
assert importlib.util.find_spec("torch") is None
assert importlib.util.find_spec("growsearch") is None
sys.path.insert(0, str(folder))
from read_pictures import read_at
about = json.loads((folder / "preprocessing.json").read_text())
session = onnxruntime.InferenceSession(str(folder / "image_model.onnx"))
name, right = session.get_inputs()[0].name, 0
for image in images:
    with open(image, "rb") as file:
        seen = read_at(file, about["input"]["height"], about["input"]["width"]).image
    pixels = np.asarray(seen.convert("RGB"), dtype=np.uint8)[None]
    shares = session.run(None, {name: pixels})[0][0]
    assert abs(shares.sum() - 1) < 1e-5
    right += about["classes"][int(shares.argmax())] == image.parent.name
print(json.dumps({"right": right, "of": len(images)}))
"""

pytestmark = pytest.mark.skipif(
    not os.environ.get("GROWSEARCH_JOURNEY"),
    reason="installs packages into environments of its own: set GROWSEARCH_JOURNEY=1",
)


def draw(folder: Path, each: int, seed: int) -> None:
    """Draw shapes of random size, place and colour on strokes, in images of several sizes."""
    rng = random.Random(seed)

    def colour() -> tuple[int, int, int]:
        return rng.randint(0, 255), rng.randint(0, 255), rng.randint(0, 255)

    for shape in CLASSES:
        (folder / shape).mkdir(parents=True)
        for number in range(each):
            width, height = rng.randint(60, 100), rng.randint(60, 100)
            image = Image.new("RGB", (width, height), colour())
            pen = ImageDraw.Draw(image)
            for _ in range(3):
                ends = [rng.randint(0, 60) for _ in range(4)]
                pen.line(ends, fill=colour())
            r = rng.randint(14, 24)
            x, y = rng.randint(r, width - r), rng.randint(r, height - r)
            if shape == "circle":
                pen.ellipse((x - r, y - r, x + r, y + r), fill=colour())
            elif shape == "square":
                pen.rectangle((x - r, y - r, x + r, y + r), fill=colour())
            else:
                pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=colour())
            image.save(folder / shape / f"{number}.png")


class Journey:
    """Runs commands in an environment, and writes down how long they took and what they said."""

    def __init__(self, place: Path) -> None:
        self.place, self.log = place, place / "journey.log"

    def __call__(self, *command: object, cwd: Path | None = None) -> str:
        before = time.monotonic()
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd or self.place,
            capture_output=True,
            text=True,
            check=False,
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
        )
        took = time.monotonic() - before
        words = " ".join(str(part) for part in command)
        with self.log.open("a") as log:
            log.write(
                f"$ {words}\n{done.stdout}{done.stderr}# {took:.1f} s, rc {done.returncode}\n\n"
            )
        assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    def environment(self, name: str, *packages: object) -> Path:
        pip = self.place / name / "bin" / "pip"
        if not pip.exists():
            self(sys.executable, "-m", "venv", self.place / name)
        if packages:
            self(pip, "install", "--quiet", *packages)
        return self.place / name / "bin"


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    given = os.environ.get("GROWSEARCH_JOURNEY_DIR")
    place = Path(given) if given else tmp_path_factory.mktemp("journey")
    place.mkdir(parents=True, exist_ok=True)
    return Journey(place)


def test_from_images_and_a_network_to_a_file_that_runs(journey):
    place = journey.place
    journey(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", place / "w", ROOT)
    (wheel,) = (place / "w").glob("*.whl")
    home = journey.environment("home", "torch==2.13.0", f"{wheel}[onnx]")
    # Of an earlier journey in this folder only the packages are kept.
    journey(home / "pip", "install", "--quiet", "--no-deps", "--force-reinstall", wheel)
    work = place / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for split, each, seed in (("train", 300, 1), ("val", 60, 2), ("test", 60, 3)):
        draw(work / "images" / split, each, seed)
    (work / "my_net.py").write_text(NET)
    command = home / "growsearch"

    told = journey(
        *(command, "init", "--yes", "--data", "images", "--network", "my_net:Net"),
        *("--max", "parameters=500k", "--max", "latency[cpu]=50 ms", "--time", "3 min"),
        cwd=work,
    )
    assert "growsearch search study.yaml" in told
    told = journey(command, "search", "study.yaml", cwd=work)
    assert "Choice" in told
    run = work / "runs" / "my_net"
    validation = sorted((work / "images" / "val").glob("*/*.png"))
    lines = journey(command, "predict", run, "--code", ".", "--json", *validation, cwd=work)
    predicted = json.loads(lines)
    told = journey(command, "select", run, "--code", ".", cwd=work)
    accuracy = float(re.search(r"Accuracy +([\d.]+) %", told)[1])
    right = sum(
        Path(each["file"]).parent.name == each["class"] for each in predicted["predictions"]
    )
    assert abs(100 * right / len(validation) - accuracy) < 0.01
    told = journey(command, "finish", run, "--code", ".", "--seeds", 2, "--epochs", 12, cwd=work)
    assert "over 2 seeds" in told
    journey(command, "export", run, "--code", ".", "--out", place / "out", "--onnx", cwd=work)
    for name in ("image_program.pt2", "image_model.onnx", "preprocessing.json", "MODEL_CARD.md"):
        assert (place / "out" / name).exists(), name

    alone = journey.environment("alone", "torch==2.13.0", "pillow")
    (place / "judge.py").write_text(JUDGE)
    found = json.loads(
        journey(alone / "python", place / "judge.py", place / "out", work / "images" / "val")
    )
    assert found == {"right": right, "of": len(validation)}

    runtime = journey.environment("runtime", "onnxruntime", "numpy", "pillow")
    (place / "judge_onnx.py").write_text(JUDGE_ONNX)
    found = json.loads(
        journey(runtime / "python", place / "judge_onnx.py", place / "out", work / "images" / "val")
    )
    assert found == {"right": right, "of": len(validation)}
