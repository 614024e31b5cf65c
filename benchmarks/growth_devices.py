"""Does a network that is grown for one device differ from one that is grown for another?

The same space, data, seeds and share of latency, once on this processor and once on a wafer. What
grew for the processor is then timed once more, beside the full configuration: its share of the
full network's time is held against its budget.

    python benchmarks/growth_devices.py --seeds 2
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from growsearch.datasets import Dataset, load_dataset
from growsearch.files import write_json
from growsearch.growth import Budget, GrowthConfig, GrowthResult, grow
from growsearch.growth.latency.clock import DeviceClock
from growsearch.metrics import accuracy, predict
from growsearch.training import Recipe
from search_spaces import Architecture, SearchSpace, search_space

RESULTS = Path(__file__).parent / "results" / "growth_devices.json"
_READING_S = 2.0


@dataclass(frozen=True)
class Setting:
    space: SearchSpace
    dataset: Dataset
    share: float
    batch_size: int
    epochs: int

    def grown(self, device: str, seed: int) -> GrowthResult:
        budget = Budget(latency=self.share, device=device, batch_size=self.batch_size)
        config = GrowthConfig(recipe=Recipe(epochs=self.epochs, batch_size=64, learning_rate=0.1))
        return grow(self.space, self.dataset, budget=budget, config=config, seed=seed)

    def share_on(self, device: str, architecture: Architecture) -> float:
        """Return the time of ``architecture`` as a share of the full configuration's."""
        clock = DeviceClock(space=self.space, device=device, batch_size=self.batch_size)
        one, full = clock.read([architecture, self.space.largest()], _READING_S)
        return one.seconds / full.seconds


def row(setting: Setting, device: str, devices: list[str], seed: int) -> dict[str, object]:
    result = setting.grown(device, seed)
    latency = result.latency
    assert latency is not None
    test = setting.dataset.test
    return {
        "grown_for": device,
        "seed": seed,
        "widths": dict(result.architecture.choices),
        "limit_s": result.limit,
        "predicted_s": latency.predicted_s,
        "checked_s": latency.checked_s,
        "noise": latency.noise,
        "fit_error": latency.fit_error,
        # Of the budget; timed afterwards, apart from the run, on every device.
        "used": {d: setting.share_on(d, result.architecture) / setting.share for d in devices},
        "parameters_share": result.parameters / result.full_parameters,
        "macs_share": result.macs / result.full_macs,
        "test_accuracy": accuracy(predict(result.model, test.inputs), test.labels),
        "training_macs_saving": result.training_saving,
    }


def show(rows: list[dict[str, object]], devices: list[str], title: str) -> None:
    table = Table(title=title)
    columns = ["grown for", "seed", "widths", "predicted/checked"]
    for column in (*columns, *(f"{d}: used of budget" for d in devices), "MACs", "accuracy"):
        table.add_column(column)
    for line in rows:
        widths, used = line["widths"], line["used"]
        assert isinstance(widths, dict)
        assert isinstance(used, dict)
        table.add_row(
            str(line["grown_for"]),
            str(line["seed"]),
            "-".join(map(str, widths.values())),
            f"{line['predicted_s'] / line['checked_s']:.3f}",  # type: ignore[operator]
            *(f"{used[d]:.1%}" for d in devices),
            f"{line['macs_share']:.1%}",
            f"{line['test_accuracy']:.2%}",
        )
    Console(width=150).print(table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="resnet-digits")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--devices", nargs="+", default=["cpu", "wafer-cs2"])
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--batch-size", type=int, default=64, help="examples at once on the device")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    torch.set_num_threads(1)
    dataset = load_dataset(arguments.data, arguments.data_dir)
    setting = Setting(
        space=search_space(arguments.space).for_data(dataset.input_shape, dataset.num_classes),
        dataset=dataset,
        share=arguments.share,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
    )
    settings = {k: v for k, v in vars(arguments).items() if k not in ("data_dir", "out")}
    rows = []
    for seed in range(arguments.seeds):
        for device in arguments.devices:
            rows.append(row(setting, device, arguments.devices, seed))
            write_json(arguments.out, {"settings": {**settings, "threads": 1}, "rows": rows})
    title = f"{arguments.space}, {arguments.share:.0%} of each device's latency, batch "
    show(rows, arguments.devices, f"{title}{arguments.batch_size}")


if __name__ == "__main__":
    main()
