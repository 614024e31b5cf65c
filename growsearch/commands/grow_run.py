"""What happens between `growsearch grow` and its last line? Grow, export, sum up."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import save

from growsearch.commands.grow_folder import GrowFolder
from growsearch.commands.grow_progress import GrowProgress, clock
from growsearch.datasets import Dataset, load_dataset
from growsearch.datasets import subset as subset_of
from growsearch.errors import UsageError
from growsearch.export import ExportResult, export_network
from growsearch.files import write_bytes, write_json
from growsearch.growth import Budget, GrowthConfig, GrowthOptions, GrowthResult
from growsearch.growth import grow as grow_network
from growsearch.metrics import accuracy, predict
from growsearch.pareto import format_quantity
from growsearch.training import plain
from growsearch.trial.network import Network
from growsearch.trial.task import machine_lock
from search_spaces import SearchSpace, SearchSpaceError, search_space


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowRun:
    """One network to grow; the same run in the same folder goes on where it stopped.

    ``subset`` is a number of training examples, or None for all.
    """

    space: str
    data: str
    data_dir: Path | None
    subset: int | None
    budget: Budget
    config: GrowthConfig
    seed: int
    threads: int

    def settings(self) -> dict[str, Any]:
        """Return what must stay the same for the run to be the same; where data lies may change."""
        settings: dict[str, Any] = plain(self)
        return {k: v for k, v in settings.items() if k not in ("kind", "data_dir")}

    def prepare(self) -> tuple[SearchSpace, Dataset]:
        """Load the data and fit the space to it.

        Raises:
            UsageError: for an unknown name or missing files.
        """
        try:
            space = search_space(self.space)
        except SearchSpaceError as error:
            raise UsageError(f"--space: {error}") from error
        dataset = load_dataset(self.data, self.data_dir)
        if self.subset is not None:
            sizes = {"validation": len(dataset.validation), "test": len(dataset.test)}
            dataset = subset_of(dataset, train=self.subset, **sizes)
        return space.for_data(dataset.input_shape, dataset.num_classes), dataset

    def run(self, folder: GrowFolder, console: Console, progress: GrowProgress) -> None:
        """Grow, export and sum up; ``folder`` is open and locked by the caller."""
        space, dataset = self.prepare()
        folder.open(self.settings())
        torch.set_num_threads(self.threads)
        if self.budget.device is not None and not folder.checkpoint.exists():
            console.print(
                f"Asking {self.budget.device} how long networks of {self.space} take.", markup=False
            )
        lock = machine_lock()
        options = GrowthOptions(
            hooks=(progress,),
            guard=lock.shared,
            lock=lock,
            checkpoint=folder.checkpoint,
            listener=progress,
        )
        with progress.shown():
            result = grow_network(
                space,
                dataset,
                budget=self.budget,
                config=self.config,
                seed=self.seed,
                options=options,
            )
        network = Network(
            architecture=result.architecture,
            input_shape=dataset.input_shape,
            num_classes=dataset.num_classes,
        )
        exported = _export(result, network, folder)
        test = accuracy(predict(result.model, dataset.test.inputs), dataset.test.labels)
        figures = _figures(result, dataset, test, progress.total_s)
        write_json(folder.result, figures)
        for line in summary(self, result, figures, exported):
            console.print(line, markup=False, soft_wrap=True)


def _export(result: GrowthResult, network: Network, folder: GrowFolder) -> ExportResult:
    state = {name: tensor.contiguous() for name, tensor in result.model.state_dict().items()}
    with tempfile.TemporaryDirectory(prefix="growsearch-grow-") as place:
        weights = Path(place) / "weights.safetensors"
        write_bytes(weights, save(state))
        return export_network(
            network.to_json(),
            weights,
            folder.export,
            lambda data: Network.from_json(data).build(),
        )


def _figures(
    result: GrowthResult, dataset: Dataset, test_accuracy: float, duration_s: float
) -> dict[str, Any]:
    return {
        "architecture": result.architecture.to_json(),
        "accuracy": result.history[-1].accuracy,
        "test_accuracy": test_accuracy,
        "budget_metric": result.budget.metric,
        "budget_unit": result.budget.unit,
        "cost": result.cost,
        "limit": result.limit,
        "parameters": result.parameters,
        "full_parameters": result.full_parameters,
        "macs": result.macs,
        "full_macs": result.full_macs,
        "training_macs": result.training_macs,
        "dense_training_macs": result.dense_training_macs,
        "training_saving": result.training_saving,
        "duration_s": round(duration_s, 3),
        "latency": None if result.latency is None else dataclasses.asdict(result.latency),
        "normalisation": dataclasses.asdict(dataset.normalisation),
    }


def summary(
    run: GrowRun, result: GrowthResult, figures: dict[str, Any], exported: ExportResult
) -> list[str]:
    """Return the end of a run for people, in lines of 80 columns as far as paths allow."""
    metric = result.budget.metric
    program = exported.program
    return [
        "",
        f"Grown: {run.space} on {run.data}, {run.config.recipe.epochs} epochs "
        f"in {clock(figures['duration_s'])}",
        f"  accuracy       {100 * figures['accuracy']:.2f} % validation, "
        f"{100 * figures['test_accuracy']:.2f} % test",
        f"  parameters     {_of(result.parameters, result.full_parameters, 'parameters')}",
        f"  MACs           {_of(result.macs, result.full_macs, 'macs')}",
        f"  budget         {metric} at most {format_quantity(result.limit, metric)}, "
        f"{100 * result.cost / result.limit:.1f} % used",
        f"  training MACs  {result.training_saving:.2f} times fewer than training all of it",
        *_latency_lines(result),
        f"Exported, read back and compared (difference {exported.max_difference:.1g}):",
        f"  {exported.folder}",
        "Load it with torch alone; inputs are normalised as result.json says:",
        f'  torch.export.load("{program}").module()',
    ]


def _latency_lines(result: GrowthResult) -> list[str]:
    """Say what the device itself says of the finished network, and how sure that is."""
    found = result.latency
    if found is None:
        return []
    checked = f"  {found.device:<13}  {format_quantity(found.checked_s, 'latency')} {found.method}"
    if found.method == "analytic":
        return [f"{checked}, for a batch of {found.batch_size}"]
    return [
        f"{checked}, for a batch of {found.batch_size} on one thread",
        f"                 repeats differ by {100 * found.noise:.0f} %, the fit misses by "
        f"{100 * found.fit_error:.1f} %",
    ]


def _of(value: int, full: int, name: str) -> str:
    return (
        f"{format_quantity(value, name)} of {format_quantity(full, name)} "
        f"({100 * value / full:.1f} %)"
    )
