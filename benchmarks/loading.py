"""How fast are streamed images read, and does memory stay flat? Against a plain DataLoader.

A folder of JPEG files is made in a temporary place. In every round both sides read the same files
in the same order, one after the other, and take turns at being first: ours as a trial reads them,
the plain one as most scripts do (Pillow opens, converts, resizes to cover and cuts out the middle;
then a normalised float32 tensor, collated by torch's DataLoader). Seconds are wall-clock, with the
start of the workers. Then one epoch of a set that is five times what may be held in memory is read,
and the resident memory of this process and its workers is looked at as it goes; a page that
several of them share counts once.

    python benchmarks/loading.py --images 20000
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from growsearch.datasets import DataKeys, Loading, Normalisation, load_dataset, loaded_by
from growsearch.datasets.folder_layout import layout_of
from growsearch.datasets.reading.memory import memory_bytes
from growsearch.files import write_json

RESULTS = Path(__file__).parent / "results"
# Different pictures; more files have the content of one of them.
PICTURES = 200
CLASSES = 10
TIMES_THE_LIMIT = 5
LOOKS = 40
_KIB = 1024


def write_images(folder: Path, count: int, side: int) -> int:
    """Write ``count`` JPEG files into class folders; return their bytes."""
    random, contents = np.random.RandomState(0), []
    place = folder / "picture.jpg"
    for _ in range(min(PICTURES, count)):
        # Soft shapes with a little noise, of a photograph's size in bytes.
        coarse = Image.fromarray(random.randint(0, 256, (14, 14, 3), dtype=np.uint8))
        soft = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=float)
        noisy = soft + random.normal(0, 8, soft.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(place, quality=85)
        contents.append(place.read_bytes())
    place.unlink()
    for number in range(count):
        target = folder / f"class{number % CLASSES}"
        target.mkdir(exist_ok=True)
        (target / f"{number:06}.jpg").write_bytes(contents[number % len(contents)])
    return sum(len(contents[number % len(contents)]) for number in range(count))


class PlainImages(Dataset[tuple[Tensor, int]]):
    """What a script would write to read class folders with Pillow."""

    def __init__(self, files: list[tuple[str, int]], side: int, scale: Normalisation) -> None:
        """Take (path, class) of every file, and the mean and deviation of pixels."""
        self.files, self.side = files, side
        self.mean = torch.tensor(scale.mean).view(3, 1, 1) / 255
        self.deviation = torch.tensor(scale.deviation).view(3, 1, 1) / 255

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.files)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        """Return a normalised image (3, side, side) and its class."""
        path, label = self.files[place]
        with Image.open(path) as file:
            image = file.convert("RGB")
        if image.size != (self.side, self.side):
            scale = self.side / min(image.size)
            sides = round(image.width * scale), round(image.height * scale)
            image = image.resize(sides, Image.Resampling.BILINEAR)
            left, top = (image.width - self.side) // 2, (image.height - self.side) // 2
            image = image.crop((left, top, left + self.side, top + self.side))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        return pixels.float().div_(255).sub_(self.mean).div_(self.deviation), label


def seconds(batches: Iterator[Any]) -> tuple[float, int]:
    """Return how long reading takes, and how many images were read."""
    start, read = time.perf_counter(), 0
    for inputs, _ in batches:
        read += len(inputs)
    return time.perf_counter() - start, read


def resident_mib(process: int | None = None) -> float:
    """Return the resident memory of this process and its children."""
    own = process or os.getpid()
    children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    found = 0
    for each in (own, *children):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:  # A worker that has just ended.
            continue
        found += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return found / _KIB


def rates(
    ours: Callable[[Tensor], Iterator[Any]],
    plain: Callable[[Tensor], Iterator[Any]],
    parts: list[Tensor],
) -> list[dict[str, float]]:
    """Return images a second of both sides, one round for each part of the data."""
    rounds = []
    for number, part in enumerate(parts):
        sides = {"ours": ours, "plain": plain}
        order = list(sides) if number % 2 else list(reversed(sides))
        found = {}
        for name in order:
            taken, read = seconds(sides[name](part))
            assert read == len(part)
            found[name] = read / taken
        rounds.append(found)
    return rounds


def memory(data: Any, batch: int) -> dict[str, Any]:
    """Return the resident memory while one epoch is read."""
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    looks, count = [resident_mib()], -(-len(order) // batch)
    for number, _ in enumerate(data.train.batches(batch, order)):
        if number % max(1, count // LOOKS) == 0:
            looks.append(resident_mib())
    half = len(looks) // 2
    return {
        "before_mib": looks[0],
        "looks_mib": looks[1:],
        "first_half_most_mib": max(looks[1 : half + 1]),
        "second_half_most_mib": max(looks[half + 1 :]),
    }


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make the folder, and take both measures."""
    size = write_images(folder, arguments.images, arguments.file_side)
    needed = 15 * arguments.images * arguments.side**2
    keys = DataKeys(
        image_size=(arguments.side, arguments.side),
        layout="classes",
        memory=needed / TIMES_THE_LIMIT / memory_bytes(),
    )
    data = loaded_by(
        load_dataset("image-folder", folder, keys=keys), Loading(workers=arguments.workers)
    )
    assert data.train.streamed
    layout = layout_of(folder, keys)
    labels = layout.train.labels.tolist()
    files = list(zip(map(str, layout.train.paths), labels, strict=True))
    images = PlainImages(files, arguments.side, data.normalisation)

    def plain(order: Tensor) -> Iterator[Any]:
        loader = DataLoader(
            images,
            batch_size=arguments.batch,
            sampler=order.tolist(),
            num_workers=arguments.workers,
        )
        return iter(loader)

    def ours(order: Tensor) -> Iterator[Any]:
        return data.train.batches(arguments.batch, order)

    first, second = next(ours(torch.arange(8))), next(plain(torch.arange(8)))
    same = float((first[0] - second[0]).abs().max())
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(1))
    parts = list(torch.tensor_split(order, arguments.rounds))
    return {
        "bytes_a_file": size / arguments.images,
        "largest_difference": same,
        "rounds": rates(ours, plain, parts),
        "memory": {
            "limit_mib": needed / TIMES_THE_LIMIT / _KIB**2,
            "whole_mib": needed / _KIB**2,
            **memory(data, arguments.batch),
        },
    }


def main() -> None:
    """Measure, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=224, help="pixels at which they are read")
    parser.add_argument("--file-side", type=int, default=224, help="pixels of the files")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS / "loading.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments, Path(folder))
    ratios = [each["ours"] / each["plain"] for each in found["rounds"]]
    found["ratio"] = statistics.median(ratios)
    for name in ("ours", "plain"):
        found[f"{name}_images_a_second"] = statistics.median(r[name] for r in found["rounds"])
    found["settings"] = {k: v for k, v in vars(arguments).items() if k != "out"}
    found["load_average"] = os.getloadavg()
    table = Table(title=f"{arguments.images:,} JPEG at {arguments.side} px")
    for column in ("measure", "value"):
        table.add_column(column)
    table.add_row("ours, images a second", f"{found['ours_images_a_second']:.0f}")
    table.add_row("plain DataLoader, images a second", f"{found['plain_images_a_second']:.0f}")
    table.add_row("ratio (median of rounds)", f"{found['ratio']:.2f}")
    table.add_row("ratios", f"{min(ratios):.2f} to {max(ratios):.2f}")
    resident = found["memory"]
    table.add_row("limit, MiB", f"{resident['limit_mib']:.0f} of {resident['whole_mib']:.0f}")
    halves = f"{resident['first_half_most_mib']:.0f}, {resident['second_half_most_mib']:.0f}"
    table.add_row("most resident in either half of the epoch, MiB", halves)
    Console().print(table)
    write_json(arguments.out, found)


if __name__ == "__main__":
    main()
