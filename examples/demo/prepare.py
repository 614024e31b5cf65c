"""Your images and your trained network, for the demonstration: python prepare.py FOLDER

Handwritten digits of scikit-learn, turned, scaled, shifted and half hidden among strokes of others,
as PNG files in a folder a class. Digits of the three splits are different ones. Then a network is
trained on them, as you have trained yours. What is there already is kept.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from net import Net
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from growsearch.datasets import load_dataset

SIDE, COUNTS, EPOCHS = 20, {"train": 3000, "val": 1000, "test": 1000}, 8


def placed(digit, rng, scale, alpha):
    """Return a digit on an empty canvas: turned, scaled and shifted."""
    side = round(8 * scale)
    small = Image.fromarray((digit * 255 / 16).astype(np.uint8)).resize((side, side), 2)
    small = small.rotate(rng.uniform(-35, 35), resample=2)
    canvas = Image.new("L", (SIDE, SIDE))
    canvas.paste(small, tuple(int(x) for x in rng.integers(-1, SIDE - side + 2, 2)))
    return alpha * np.asarray(canvas, dtype=float)


def picture(digits, which, rng):
    """Return one image (20, 20, 3): a digit, pieces of others over it, colours and noise."""
    shown = placed(digits[which], rng, rng.uniform(1.3, 2.0), 1.0)
    for _ in range(3):
        piece = digits[rng.integers(len(digits))].copy()
        piece[:, 4:] = 0
        shown = np.maximum(shown, placed(piece, rng, rng.uniform(0.8, 1.2), 0.8))
    shown = shown / 255 + rng.normal(0, 0.12, shown.shape)
    front, back = rng.uniform(0.5, 1, 3), rng.uniform(0, 0.5, 3)
    mixed = shown[..., None] * front + (1 - shown[..., None]) * back
    return Image.fromarray((255 * mixed.clip(0, 1)).astype(np.uint8))


def draw(folder):
    raw = load_digits()
    rest, test = train_test_split(
        np.arange(1797), test_size=350, stratify=raw.target, random_state=0
    )
    fit, val = train_test_split(rest, test_size=350, stratify=raw.target[rest], random_state=0)
    for part, places in (("train", fit), ("val", val), ("test", test)):
        rng = np.random.default_rng(len(part))
        digits, labels = raw.images[places], raw.target[places]
        for number in range(COUNTS[part]):
            which = rng.integers(len(digits))
            place = folder / part / str(labels[which])
            place.mkdir(parents=True, exist_ok=True)
            picture(digits, which, rng).save(place / f"{number}.png")


def trained(data):
    """Return your network, trained as one does it with torch."""
    torch.manual_seed(0)
    model, steps = Net(10), EPOCHS * len(data.train) // 64
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.1, total_steps=steps + EPOCHS
    )
    for _ in range(EPOCHS):
        for images, labels in data.train.batches(64, torch.randperm(len(data.train))):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        right = (model.eval()(data.validation.inputs).argmax(1) == data.validation.labels).float()
    print(f"It has {right.mean():.1%} of the validation images right.", flush=True)
    return model


def main(folder):
    images, weights = folder / "images", folder / "net.safetensors"
    if not images.exists():
        print(f"Drawing {sum(COUNTS.values()):,} images into {images} ...", flush=True)
        draw(folder / "drawing")
        (folder / "drawing").rename(images)
    if not weights.exists():
        print("Training your network ...", flush=True)
        save_file(trained(load_dataset("image-folder", images)).state_dict(), weights)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
