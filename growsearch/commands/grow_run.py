"""What happens between `growsearch grow` and its last line? Grow, export, sum up."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from growsearch.commands.export_lines import left_out_lines
from growsearch.commands.grow_card import grown_card
from growsearch.commands.grow_data import GrowData, load_grow_data
from growsearch.commands.grow_folder import GrowFolder
from growsearch.commands.grow_progress import GrowProgress, clock
from growsearch.errors import UsageError
from growsearch.export import ExportResult, export_network, write_card
from growsearch.export.network_export import DrawInputs
from growsearch.files import write_bytes, write_json
from growsearch.growth import Budget, GrowthConfig, GrowthOptions, GrowthResult
from growsearch.growth import grow as grow_network
from growsearch.growth.allowance import NEAR
from growsearch.pareto import format_quantity
from growsearch.training import plain
from growsearch.training.weights_file import weights_bytes
from growsearch.trial.network import Network
from growsearch.trial.task import machine_lock
from search_spaces import SearchSpaceError, search_space


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowRun:
    """One network to grow; the same run in the same folder goes on where it stopped.

    ``subset`` is a number of training examples (tokens of a text), or None for all;
    ``epoch_tokens`` the stretch of a text that makes an epoch.
    """

    space: str
    data: str
    data_dir: Path | None
    subset: int | None
    epoch_tokens: int | None
    budget: Budget
    config: GrowthConfig
    seed: int
    threads: int
    onnx: bool = False

    def settings(self) -> dict[str, Any]:
        """Return what must stay the same for the run to be the same; where data lies may change."""
        settings: dict[str, Any] = plain(self)
        return {k: v for k, v in settings.items() if k not in ("kind", "data_dir", "onnx")}

    def prepare(self) -> GrowData:
        """Load the data and fit the space to it.

        Raises:
            UsageError: for an unknown name or missing files.
        """
        try:
            space = search_space(self.space)
        except SearchSpaceError as error:
            raise UsageError(f"--space: {error}") from error
        return load_grow_data(
            self.data,
            self.data_dir,
            space,
            subset=self.subset,
            epoch_tokens=self.epoch_tokens,
        )

    def run(self, folder: GrowFolder, console: Console, progress: GrowProgress) -> None:
        """Grow, export and sum up; ``folder`` is open and locked by the caller."""
        data = self.prepare()
        for note in data.check_own():
            console.print(f"Note: {note}", markup=False, soft_wrap=True)
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
                data.space,
                data.task,
                budget=self.budget,
                config=self.config,
                seed=self.seed,
                options=options,
            )
        network = Network(
            architecture=result.architecture,
            input_shape=data.space.input_shape,
            num_classes=data.space.num_classes,
        )
        exported = _export(result, network, folder, data.draw_inputs(), self.onnx)
        figures = {
            **_figures(result, progress.total_s),
            **data.test_figures(result.model),
            **data.about_inputs(),
        }
        write_json(folder.result, figures)
        write_card(grown_card(self.settings(), result, figures, network), exported)
        for line in summary(self, result, figures, exported):
            console.print(line, markup=False, soft_wrap=True)


def _export(
    result: GrowthResult,
    network: Network,
    folder: GrowFolder,
    draw_inputs: DrawInputs,
    onnx: bool,
) -> ExportResult:
    with tempfile.TemporaryDirectory(prefix="growsearch-grow-") as place:
        weights = Path(place) / "weights.safetensors"
        write_bytes(weights, weights_bytes(result.model.state_dict()))
        return export_network(
            network.to_json(),
            weights,
            folder.export,
            lambda data: Network.from_json(data).build(),
            draw_inputs,
            onnx=onnx,
        )


def _figures(result: GrowthResult, duration_s: float) -> dict[str, Any]:
    return {
        "architecture": result.architecture.to_json(),
        "accuracy": result.history[-1].accuracy,
        "perplexity": result.history[-1].perplexity,
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
    }


def summary(
    run: GrowRun, result: GrowthResult, figures: dict[str, Any], exported: ExportResult
) -> list[str]:
    """Return the end of a run for people, in lines of 80 columns as far as paths allow."""
    metric = result.budget.metric
    return [
        "",
        f"Grown: {run.space} on {run.data}, {run.config.total_epochs} epochs "
        f"in {clock(figures['duration_s'])}",
        _quality_line(figures),
        f"  parameters     {_of(result.parameters, result.full_parameters, 'parameters')}",
        f"  MACs           {_of(result.macs, result.full_macs, 'macs')}",
        f"  budget         {metric} at most {format_quantity(result.limit, metric)}, "
        f"{100 * result.cost / result.limit:.1f} % used",
        *_granularity_lines(result, run.config.width_multiple),
        f"  training MACs  {result.training_saving:.2f} times fewer than training all of it",
        *_latency_lines(result),
        *_export_lines(exported),
        f"Load it with {'growsearch' if exported.program is None else 'torch alone'}; "
        + (
            "inputs are normalised as result.json says:"
            if "normalisation" in figures
            else "result.json has the words by number:"
        ),
        f'  growsearch.export.load_network("{exported.folder}")'
        if exported.program is None
        else f'  torch.export.load("{exported.program}").module()',
    ]


def _export_lines(exported: ExportResult) -> list[str]:
    difference = exported.max_difference
    proven = "" if difference is None else f" (difference {difference:.1g})"
    return [
        f"Exported, read back and compared{proven}:",
        f"  {exported.folder}",
        *left_out_lines(exported),
    ]


def _granularity_lines(result: GrowthResult, multiple: int) -> list[str]:
    """Say why so much of a count is left over; a latency also has noise to keep clear of."""
    if result.budget.metric == "latency" or result.cost >= NEAR * result.limit:
        return []
    if multiple > 1:
        return [f"                 widths move in blocks of {multiple}: not one more block fits"]
    return [
        "                 the nearest that was found in whole channels: one more is over the",
        "                 budget, and no exchange of one for another comes nearer",
    ]


def _quality_line(figures: dict[str, Any]) -> str:
    if figures["perplexity"] is not None:
        return (
            f"  perplexity     {figures['perplexity']:.2f} validation, "
            f"{figures['test_perplexity']:.2f} test"
        )
    return (
        f"  accuracy       {100 * figures['accuracy']:.2f} % validation, "
        f"{100 * figures['test_accuracy']:.2f} % test"
    )


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
