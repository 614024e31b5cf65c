"""What does a GPU bring, and does all that trains on it do what it does on the CPU?

One script of nine minutes at most, in one process and without Ray: the checks of devices against
the CPU, images a second by precision, layout and compiler, growth against dense training, and
profiles of `cuda` and `cuda-2:4`. It writes JSON after each part; what there was no time or device
for is "not measured".

    python benchmarks/on_gpu.py --device cuda
    python benchmarks/on_gpu.py --device cpu --quick --out /tmp/on_gpu.json
    python benchmarks/on_gpu.py --device standin --quick --out /tmp/on_gpu.json
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests" / "accelerator")]

import torch  # noqa: E402
from device_checks import CHECKS, differences  # noqa: E402

from growsearch.datasets import Dataset, Split  # noqa: E402
from growsearch.errors import GrowsearchError  # noqa: E402
from growsearch.files import write_json  # noqa: E402
from growsearch.growth import Budget, GrowthConfig, build_full, grow  # noqa: E402
from growsearch.training import EpochRecord, Recipe, TrainingOptions, train  # noqa: E402
from growsearch.training.devices import training_device  # noqa: E402
from search_spaces import search_space  # noqa: E402

RESULTS = HERE / "results" / "on_gpu.json"
LIMIT_S = 9 * 60.0
# Of the largest value of a tensor, after a few steps of float32 in another order.
TOLERANCE = 2e-2
NOT_MEASURED = "not measured"
# The share of the time that each part may take before the next one begins.
SHARES = {"checks": 0.35, "throughput": 0.65, "growth": 0.8, "profiles": 1.0}


class Clock:
    """The time that is left for a part."""

    def __init__(self, limit_s: float) -> None:
        self._start, self._limit_s = time.monotonic(), limit_s

    def is_over(self, part: str) -> bool:
        return time.monotonic() - self._start > SHARES[part] * self._limit_s


def checks(device: str, clock: Clock, quick: bool) -> dict[str, Any]:
    """Make every check on the CPU and on the device; return what differs."""
    differing: dict[str, Any] = {}
    left, done = [], 0
    for name, check in list(CHECKS.items())[:: 8 if quick else 1]:
        if clock.is_over("checks"):
            left.append(name)
            continue
        try:
            found = list(differences(check("cpu"), check(device), TOLERANCE))
        except Exception:
            found = traceback.format_exc().strip().splitlines()[-4:]
        done += 1
        if found:
            differing[name] = found[:4]
            print(f"{name}: {found[:2]}", flush=True)
    equal = done - len(differing)
    print(f"checks: {equal} of {done} as on the CPU, {len(left)} not made", flush=True)
    return {"made": done, "equal": equal, "differing": differing, "not_made": left}


def _images(shape: tuple[int, ...], count: int, classes: int = 10) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(count, *shape, generator=generator)
    labels = torch.arange(count) % classes
    whole = Split(inputs=inputs, labels=labels)
    few = Split(inputs=inputs[:64], labels=labels[:64])
    return Dataset(name="noise", train=whole, validation=few, test=few, num_classes=classes)


class Epochs:
    """Notes when each epoch ended, once the device has done all of it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.ends: list[float] = []

    def __call__(self, _: EpochRecord) -> None:
        if self._device.type != "cpu":
            torch.get_device_module(self._device.type).synchronize()
        self.ends.append(time.perf_counter())

    @property
    def seconds(self) -> list[float]:
        """Of every epoch but the first, which warms up and compiles."""
        return [b - a for a, b in zip(self.ends[:-1], self.ends[1:], strict=True)]


def throughput(device: str, clock: Clock, quick: bool) -> list[dict[str, Any]]:
    """Return images a second in training, by network, precision, layout and compiler."""
    cases = (
        [("resnet-digits", (1, 8, 8), 16)]
        if quick
        else [("resnet20", (3, 32, 32), 512), ("resnet50-imagenet", (3, 224, 224), 128)]
    )
    settings: list[dict[str, Any]] = [
        {"precision": "float32"},
        {"precision": "bfloat16"},
        {"precision": "bfloat16", "channels_last": True},
        {"precision": "bfloat16", "channels_last": True, "compile": True},
        {"precision": "float16", "channels_last": True},
    ]
    if device == "standin":
        # It has no kernels for autocast, nor torch.compile.
        settings = [{"precision": "float32"}, {"precision": "float32", "channels_last": True}]
    elif quick:
        settings = [each for each in settings if "compile" not in each]
    rows = []
    for name, shape, batch in cases:
        data = _images(shape, (4 if quick else 16) * batch)
        space = search_space(name).for_data(shape, 10)
        for chosen in settings:
            row: dict[str, Any] = {"network": name, "batch": batch, **chosen}
            row["images_a_second"] = (
                NOT_MEASURED
                if clock.is_over("throughput")
                else _speed(build_full(space, 0), data, batch, device, chosen)
            )
            rows.append(row)
            print(row, flush=True)
    return rows


def _speed(
    model: torch.nn.Module, data: Dataset, batch: int, device: str, chosen: Mapping[str, Any]
) -> Any:
    noted = Epochs(training_device(device))
    recipe = Recipe(epochs=4, batch_size=batch, learning_rate=0.01)
    options = TrainingOptions(device=device, on_epoch=noted, **chosen)
    try:
        train(model, data, recipe, seed=0, forward_macs=1, options=options)
    except Exception as error:
        return f"{NOT_MEASURED}: {type(error).__name__}: {str(error)[:200]}"
    return len(data.train) / statistics.median(noted.seconds)


def growth(device: str, clock: Clock, quick: bool) -> dict[str, Any]:
    """Time growth to 40 % of the MACs against training the full network, the same epochs."""
    if clock.is_over("growth"):
        return {"seconds": NOT_MEASURED}
    name, shape, batch = "resnet56", (3, 32, 32), 512
    if quick:
        name, shape, batch = "resnet-digits", (1, 8, 8), 16
    data = _images(shape, (4 if quick else 24) * batch)
    space = search_space(name).for_data(shape, 10)
    recipe = Recipe(epochs=4 if quick else 10, batch_size=batch, learning_rate=0.01)
    dense, grown = Epochs(training_device(device)), Epochs(training_device(device))
    options = TrainingOptions(device=device, on_epoch=dense)
    train(build_full(space, 0), data, recipe, seed=0, forward_macs=1, options=options)
    result = grow(
        space,
        data,
        budget=Budget(macs=0.4),
        config=GrowthConfig(recipe=recipe),
        options=dataclasses.replace(options, on_epoch=grown),
    )
    found = {
        "network": name,
        "dense_s": sum(dense.seconds),
        "grown_s": sum(grown.seconds),
        "time_ratio": sum(dense.seconds) / sum(grown.seconds),
        "macs_ratio": result.dense_training_macs / result.training_macs,
        "epochs_s": grown.seconds,
    }
    print({key: value for key, value in found.items() if key != "epochs_s"}, flush=True)
    return found


def profiles(device: str, clock: Clock, out: Path, quick: bool) -> dict[str, Any]:
    """Profile the GPU dense and with 2:4 sparsity, as `growsearch profile` does."""
    from typer.testing import CliRunner

    from cost_models import unavailable
    from growsearch.cli import app

    wanted = ("cuda", "cuda-2:4") if device.startswith("cuda") else ("cpu",) if quick else ()
    found: dict[str, Any] = dict.fromkeys(("cuda", "cuda-2:4"), NOT_MEASURED)
    for name in wanted:
        missing = unavailable(name)
        if missing is not None or clock.is_over("profiles"):
            found[name] = f"{NOT_MEASURED}: {missing or 'no time was left'}"
            continue
        file = out.with_name(f"{out.stem}_{name.replace(':', '-')}_profile.json")
        done = CliRunner().invoke(app, ["profile", *_profile(name, file, quick)])
        found[name] = {
            "exit_code": done.exit_code,
            "file": file.name,
            "said": done.output.strip().splitlines()[-6:],
        }
        print(name, found[name]["exit_code"], flush=True)
    return found


def _profile(device: str, file: Path, quick: bool) -> list[str]:
    """Return the options of a profile that takes a minute on a GPU."""
    counts = {"operators": 150, "networks": 6, "validate": 10, "minutes": 0.8}
    if quick:
        counts = {"operators": 40, "networks": 3, "validate": 5, "minutes": 0.2}
    space = "mlp-digits" if quick else "resnet20"
    options = {"space": space, "device": device, "out": file, **counts}
    return [part for key, value in options.items() for part in (f"--{key}", str(value))]


def about(device: str) -> dict[str, Any]:
    where = training_device(device)
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else where.type
    return {"device": str(where), "name": name, "torch": torch.__version__}


def plugged(device: str) -> contextlib.AbstractContextManager[Any]:
    if device != "standin":
        return contextlib.nullcontext()
    from standin import plugged_in

    return plugged_in()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="an eighth of it, of small networks")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all of it")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    # Checks compare float32 with the CPU's.
    torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(min(8, torch.get_num_threads()))
    device, quick, out = arguments.device, arguments.quick, arguments.out
    clock = Clock(arguments.limit)
    with plugged(device):
        content: dict[str, Any] = {**about(device), "quick": quick, "limit_s": arguments.limit}
        parts: dict[str, Callable[[], Any]] = {
            "checks": lambda: checks(device, clock, quick),
            "throughput": lambda: throughput(device, clock, quick),
            "growth": lambda: growth(device, clock, quick),
            "profiles": lambda: profiles(device, clock, out, quick),
        }
        for name, part in parts.items():
            began = time.monotonic()
            try:
                content[name] = part()
            except (GrowsearchError, RuntimeError) as error:
                content[name] = f"{NOT_MEASURED}: {type(error).__name__}: {str(error)[:300]}"
                print(name, content[name], flush=True)
            content[f"{name}_took_s"] = round(time.monotonic() - began, 1)
            write_json(out, content)


if __name__ == "__main__":
    main()
