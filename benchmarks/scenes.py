"""Images with a class a pixel from two data sets: Fashion-MNIST's pieces on CIFAR-10's images.

A scene is a CIFAR-10 image at twice its size with two pieces of clothing at one and a half times
theirs, each tinted in a colour of its own, at random places. Its mask has a class a kind of
clothing, 0 for the ground, and 255 (no class) where a piece is darker than a quarter: its edges.

    python benchmarks/scenes.py --data-dir DATA --out SCENES
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from growsearch.datasets import Dataset, Split, load_dataset

# T-shirt, trouser, sandal, bag; in masks 1 to 4.
KINDS = (0, 1, 5, 8)
SIZE, PIECE, PIECES = 64, 42, 2
COUNTS = {"train": 400, "val": 200}
VOID = 255
_EDGE = 0.25
_Grey = np.ndarray


def write_scenes(out: Path, data_dir: Path, seed: int = 0) -> None:
    """Write the layout of `mask-folder`: scenes of training images in train/, of test in val/."""
    clothes, grounds = load_dataset("fashion-mnist", data_dir), load_dataset("cifar10", data_dir)
    for number, (part, count) in enumerate(COUNTS.items()):
        random = np.random.RandomState(2 * seed + number)
        split = "train" if part == "train" else "test"
        pieces, labels = _pieces(clothes, getattr(clothes, split))
        ground = _pixels(grounds, getattr(grounds, split))
        for folder in ("images", "masks"):
            (out / part / folder).mkdir(parents=True)
        for scene in range(count):
            image = ground[random.randint(len(ground))].repeat(2, axis=0).repeat(2, axis=1)
            mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
            for _ in range(PIECES):
                chosen = random.randint(len(pieces))
                _lay(image, mask, pieces[chosen], KINDS.index(labels[chosen]) + 1, random)
            Image.fromarray(image.astype(np.uint8)).save(out / part / "images" / f"{scene}.png")
            Image.fromarray(mask).save(out / part / "masks" / f"{scene}.png")


def _lay(
    image: _Grey, mask: _Grey, piece: _Grey, label: int, random: np.random.RandomState
) -> None:
    top, left = random.randint(SIZE - PIECE + 1, size=2)
    place = (slice(top, top + PIECE), slice(left, left + PIECE))
    tint = random.uniform(0.4, 1.0, size=3)
    seen = (piece > 0)[..., None]
    image[place] = np.where(seen, piece[..., None] * tint, image[place])
    mask[place] = np.where(piece > 255 * _EDGE, label, np.where(piece > 0, VOID, mask[place]))


def _pieces(data: Dataset, split: Split) -> tuple[_Grey, _Grey]:
    wanted = np.isin(split.labels.numpy(), KINDS)
    images = _pixels(data, split)[wanted][..., 0]
    large = [
        np.asarray(Image.fromarray(image.astype(np.uint8)).resize((PIECE, PIECE)))
        for image in images
    ]
    return np.stack(large), split.labels.numpy()[wanted]


def _pixels(data: Dataset, split: Split) -> _Grey:
    """Return images (N, H, W, C) from 0 to 255."""
    pixels = 255 * data.normalisation.to_pixels(split.inputs)
    return pixels.round().clamp(0, 255).permute(0, 2, 3, 1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="Fashion-MNIST and CIFAR-10")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    chosen = parser.parse_args()
    write_scenes(chosen.out, chosen.data_dir)


if __name__ == "__main__":
    main()
