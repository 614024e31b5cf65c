"""What do masks cost a training step? Masked against dense steps of one network, interleaved.

A masked network computes what the dense one computes; on top come zeroing the masked weights once a
step and, with RigL, a mask update every 100 steps. Both networks take the same batches in turn;
the figures are ratios of process CPU times within one run, since machines are noisy. What the masks
and an update take by themselves is timed as well.

    python benchmarks/sparse_step.py --pairs 60
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from stepping import Stepper

from growsearch.files import write_json
from growsearch.growth import build_full
from growsearch.sparsity import SparseTraining, macs_per_weight, make_updater, sparsify
from growsearch.training import Hook, Recipe, TrainingState
from search_spaces import search_space

RESULTS = Path(__file__).parent / "results" / "sparse_step.json"
INTERVAL = 100
BATCH = 128
SPARSITY = 0.9


class Timed:
    """A stepper that keeps the CPU seconds of each of its steps."""

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper
        self.seconds: list[float] = []

    def step(self, inputs: torch.Tensor, labels: torch.Tensor) -> None:
        start = time.process_time()
        self._stepper.step(inputs, labels)
        self.seconds.append(time.process_time() - start)


class TimedHook(Hook):
    """Passes everything on to a hook and keeps the CPU seconds that it takes in each step."""

    def __init__(self, hook: Hook) -> None:
        self._hook = hook
        self.seconds: list[float] = []

    def on_start(self, state: TrainingState) -> None:
        self._hook.on_start(state)

    def before_update(self, state: TrainingState) -> bool:
        start = time.process_time()
        wanted = self._hook.before_update(state)
        self.seconds.append(time.process_time() - start)
        return wanted

    def after_update(self, state: TrainingState) -> None:
        start = time.process_time()
        self._hook.after_update(state)
        self.seconds[-1] += time.process_time() - start


def steppers(
    updaters: list[str], interval: int, steps: int
) -> tuple[dict[str, Timed], dict[str, TimedHook]]:
    """Return a dense stepper and one for each updater, all of one network, and the hooks."""
    space = search_space("resnet20")
    dense = build_full(space, 0)
    recipe = Recipe(epochs=1, batch_size=BATCH)
    factors = macs_per_weight(dense, space.example_inputs())
    found = {"dense": Timed(Stepper(copy.deepcopy(dense), recipe, steps=steps))}
    hooks = {}
    for name in updaters:
        model = copy.deepcopy(dense)
        masks = sparsify(
            model,
            sparsity=SPARSITY,
            distribution="erk",
            generator=torch.Generator().manual_seed(0),
        )
        hook = SparseTraining(masks, make_updater(name), macs_per_weight=factors, interval=interval)
        hooks[name] = TimedHook(hook)
        found[name] = Timed(Stepper(model, recipe, steps=steps, hooks=(hooks[name],)))
    return found, hooks


def batch(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(BATCH, 3, 32, 32, generator=generator)
    return inputs, torch.randint(0, 10, (BATCH,), generator=generator)


def interleave(timed: dict[str, Timed], rounds: int) -> None:
    """Let all take each batch, in an order that turns, so that none is always first."""
    generator = torch.Generator().manual_seed(0)
    names = list(timed)
    for turn in range(rounds):
        inputs, labels = batch(generator)
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            timed[name].step(inputs, labels)


def paired_ratio(seconds: list[float], base: list[float]) -> dict[str, float]:
    """Return the median of the step-by-step ratios with its quartiles: drifts cancel in a pair."""
    ratios = [mine / dense for mine, dense in zip(seconds, base, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    return {"median": statistics.median(ratios), "low": low, "high": high}


def plain_steps(pairs: int, warm: int) -> dict[str, Any]:
    """Compare steps without a mask update among them."""
    never = 10 * (pairs + warm)
    timed, hooks = steppers(["static", "rigl"], interval=never, steps=never)
    interleave(timed, pairs + warm)
    base = timed["dense"].seconds[warm:]
    noise = paired_ratio(base[1::2], base[: len(base[1::2]) * 2 : 2])
    return {
        "dense_step_s": statistics.median(base),
        "static": paired_ratio(timed["static"].seconds[warm:], base),
        "rigl_between_updates": paired_ratio(timed["rigl"].seconds[warm:], base),
        "dense_against_itself": noise,
        "masks_s": statistics.median(hooks["static"].seconds[warm:]),
    }


def update_steps(updates: int) -> dict[str, float]:
    """Time RigL's updates themselves, then spread what they take over the interval.

    They are too short to be seen in the difference between two steps of a noisy machine. An update
    replaces a step's weight update, which is not taken off: the share is an upper bound.
    """
    timed, hooks = steppers(["static", "rigl"], interval=1, steps=100 * updates)
    interleave(timed, updates + 2)
    extra = [
        rigl - static
        for rigl, static in zip(hooks["rigl"].seconds[2:], hooks["static"].seconds[2:], strict=True)
    ]
    step = statistics.median(timed["dense"].seconds[2:])
    return {
        "update_s": statistics.median(extra),
        "dense_step_s": step,
        "share_at_every_100_steps": statistics.median(extra) / (INTERVAL * step),
    }


def show(figures: dict[str, Any]) -> None:
    table = Table(title=f"ResNet-20, batch {BATCH}, sparsity {SPARSITY}, one thread, CPU time")
    for column in ("step", "against dense", "quartiles"):
        table.add_column(column)
    for name, row in figures["plain"].items():
        if isinstance(row, dict):
            table.add_row(
                name.replace("_", " "),
                f"{row['median']:.3f}x",
                f"{row['low']:.3f} to {row['high']:.3f}",
            )
    share = figures["plain"]["masks_s"] / figures["plain"]["dense_step_s"]
    milliseconds = 1e3 * figures["plain"]["masks_s"]
    table.add_row("zeroing masked weights", f"+{share:.2%}", f"takes {milliseconds:.1f} ms a step")
    update = figures["update"]
    table.add_row(
        "a RigL update every 100 steps",
        f"+{update['share_at_every_100_steps']:.2%}",
        f"one takes {1e3 * update['update_s']:.0f} ms",
    )
    Console(width=100).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=60, help="steps of each network")
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--warm", type=int, default=5, help="steps that do not count")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures = {
        "plain": plain_steps(arguments.pairs, arguments.warm),
        "update": update_steps(arguments.updates),
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "torch": torch.__version__,
            "threads": 1,
        },
        "settings": {"pairs": arguments.pairs, "batch": BATCH, "sparsity": SPARSITY},
    }
    show(figures)
    write_json(RESULTS, figures)


if __name__ == "__main__":
    main()
