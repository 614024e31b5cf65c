"""What does our training loop cost beside a bare PyTorch loop of the same network, data and steps?

Both train in one process, step by step in turn on the same batches, so that a noisy machine
disturbs both; the figures are medians of the ratios of single steps, in seconds of the process's
CPU and by the clock. A network of 20 weights shows what the loop itself takes a step. The bare loop
has what any loop has: batches by index, a learning rate a step, the loss as a number. Then the
start-up of a trial: a process that has just begun trains a step, and says what each part took.

    python benchmarks/loop_overhead.py --steps 60
    python benchmarks/loop_overhead.py --quick
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "loop_overhead.json"
AIM = 1.03
WARM = 3


def case(name: str, quick: bool) -> tuple[Any, Any, int]:
    """Return a network, its data and the size of a batch."""
    import torch

    from growsearch.datasets import Dataset, Split
    from growsearch.growth import build_full
    from search_spaces import search_space
    from search_spaces.families.gpt import GPTSpace

    generator = torch.Generator().manual_seed(0)
    if name == "linear":
        inputs = torch.rand(512, 4, generator=generator)
        part = Split(inputs=inputs, labels=torch.arange(512) % 4)
        data = Dataset(name=name, train=part, validation=part, test=part, num_classes=4)
        return torch.nn.Linear(4, 4), data, 8
    if name == "gpt-10m":
        space = GPTSpace(
            name="gpt-10m",
            description="10 M weights",
            blocks=6,
            heads=6,
            head_size=64,
            input_shape=(32 if quick else 128,),
            num_classes=1000,
        )
        size = 2 if quick else 8
        inputs = torch.randint(1000, (4 * size, *space.input_shape), generator=generator)
        labels = (inputs + 1) % 1000
    else:
        shape = {"resnet20": (3, 32, 32), "mobilenetv2-96px": (3, 96, 96)}[name]
        size = {"resnet20": 128, "mobilenetv2-96px": 32}[name] // (8 if quick else 1)
        plain = {"resnet20": "resnet20", "mobilenetv2-96px": "mobilenetv2-imagenet"}[name]
        space = search_space(plain).for_data(shape, 10)
        inputs = torch.rand(4 * size, *shape, generator=generator)
        labels = torch.randint(10, (4 * size,), generator=generator)
    part = Split(inputs=inputs, labels=labels)
    few = Split(inputs=inputs[:4], labels=labels[:4])
    data = Dataset(name=name, train=part, validation=few, test=few, num_classes=space.num_classes)
    return build_full(space, 0), data, size


class BareLoop:
    """What a person writes: a network, an optimizer, a schedule."""

    def __init__(self, model: Any, recipe: Any, steps: int) -> None:
        import torch

        from growsearch.training import parameter_groups

        self._model = model.train()
        self._optimizer = torch.optim.SGD(
            parameter_groups(model, recipe.weight_decay), lr=0.1, momentum=0.9, nesterov=True
        )
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, steps)
        self.losses: list[float] = []

    def step(self, inputs: Any, labels: Any) -> None:
        from torch.nn import functional as F

        self._optimizer.zero_grad(set_to_none=True)
        logits = self._model(inputs)
        loss = F.cross_entropy(logits.flatten(0, -2), labels.flatten())
        loss.backward()
        self._optimizer.step()
        self._schedule.step()
        self.losses.append(float(loss.detach()))


def compared(name: str, steps: int, threads: int, quick: bool) -> dict[str, Any]:
    """Return the seconds of both loops' steps, taken in turn."""
    import torch

    from growsearch.training import Recipe, task_of, train

    torch.set_num_threads(threads)
    model, data, size = case(name, quick)
    inner = task_of(data)
    epochs = -(-(steps + WARM) // inner.steps_per_epoch(size))
    recipe = Recipe(epochs=epochs, batch_size=size, warmup_epochs=0)
    bare = BareLoop(copy.deepcopy(model), recipe, (steps + WARM) * 2)
    ours, theirs = [], []

    class InTurn:
        """Our loop's task: between two of its batches the bare loop takes a step."""

        def __getattr__(self, key: str) -> Any:
            return getattr(inner, key)

        def batches(self, batch_size: int, generator: Any) -> Iterator[Any]:
            batches = inner.batches(batch_size, generator)
            split = data.train
            order = torch.arange(len(split))
            for place in range(inner.steps_per_epoch(batch_size)):
                chosen = order[place * batch_size : (place + 1) * batch_size]
                first = len(ours) % 2

                def bare_step(chosen: Any = chosen) -> None:
                    start = now()
                    bare.step(split.inputs[chosen], split.labels[chosen])
                    theirs.append(since(start))

                if first:
                    bare_step()
                start = now()
                yield next(batches)
                ours.append(since(start))
                if not first:
                    bare_step()

        def evaluate(self, _: Any) -> Any:
            from growsearch.training import Scores

            return Scores(accuracy=0.0)

    train(model, InTurn(), recipe, seed=0, forward_macs=1)
    pairs = list(zip(ours, theirs, strict=True))[WARM:]
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "batch": size,
        "steps": len(pairs),
        "ours_s": statistics.median(mine[0] for mine, _ in pairs),
        "bare_s": statistics.median(other[0] for _, other in pairs),
        "cpu_ratio": _quartiles([mine[0] / other[0] for mine, other in pairs]),
        "clock_ratio": _quartiles([mine[1] / other[1] for mine, other in pairs]),
    }


def now() -> tuple[float, float]:
    """Return the seconds of the process's CPU, and the clock's."""
    return time.process_time(), time.perf_counter()


def since(start: tuple[float, float]) -> tuple[float, float]:
    """Return how many of both have passed."""
    cpu, clock = now()
    return cpu - start[0], clock - start[1]


def _quartiles(values: Sequence[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": middle, "low": low, "high": high}


def startup() -> dict[str, float]:
    """Return the seconds from the start of a process to a trial's first step, part by part."""
    run = subprocess.run(
        [sys.executable, __file__, "--started-at", str(time.time())],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(run.stdout.strip().splitlines()[-1])
    return found


def trial(started: float) -> None:
    """Train one trial of one epoch and print when what was over."""
    marks: dict[str, float] = {"interpreter": time.time()}
    import torch

    marks["import torch"] = time.time()
    from growsearch.kinds import DataChoice, candidate_from_json, kind_of
    from growsearch.trial import run as running
    from growsearch.trial.task import TrialTask

    marks["import growsearch"] = time.time()
    candidate = candidate_from_json(
        {
            "kind": "sparse",
            "space": "resnet-digits",
            "transform": "none",
            "sparsity": 0.5,
            "distribution": "erk",
            "updater": "static",
            "epochs": 1,
            "batch_size": 64,
            "learning_rate": 0.05,
        }
    )
    kind_of(candidate)
    marks["import the kind"] = time.time()
    torch.set_num_threads(1)
    whole = DataChoice.load

    def loaded(choice: DataChoice) -> Any:
        found = whole(choice)
        marks["load the data"] = time.time()
        return found

    DataChoice.load = loaded  # type: ignore[method-assign]

    def step(done: int, _: int) -> None:
        if done == 1:
            marks["build, mask, first step"] = time.time()

    with tempfile.TemporaryDirectory() as folder:
        task = TrialTask(data=DataChoice(name="digits"), devices=(), folder=Path(folder))
        listener = running.Listener(lambda _: None, lambda _: None, step)
        running.run_trial(candidate, task, number=0, study_seed=0, report=listener)
        marks["train one epoch, score, write"] = time.time()
    spent, before = {}, started
    for name, at in marks.items():
        spent[name], before = at - before, at
    first = sum(s for name, s in spent.items() if not name.startswith("train one"))
    print(json.dumps({**spent, "to the first step": first}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few steps of small batches: a trial")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--started-at", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.started_at is not None:
        trial(arguments.started_at)
        return
    steps = 8 if arguments.quick else arguments.steps
    rows = []
    for name in ("linear", "resnet20", "mobilenetv2-96px", "gpt-10m"):
        for threads in arguments.threads:
            found = compared(name, steps, threads, arguments.quick)
            rows.append({"network": name, "threads": threads, **found})
            ratio, clock = found["cpu_ratio"], found["clock_ratio"]["median"]
            print(
                f"{name}, {threads} threads: {ratio['median']:.3f} ({ratio['low']:.3f} to "
                f"{ratio['high']:.3f}) of {found['bare_s'] * 1e3:.2f} ms CPU, clock {clock:.3f}"
            )
    starts = [startup() for _ in range(1 if arguments.quick else arguments.starts)]
    parts = {name: statistics.median(start[name] for start in starts) for name in starts[0]}
    for name, seconds in parts.items():
        print(f"start-up, {name}: {seconds:.2f} s")
    from growsearch.files import write_json

    content = {
        "machine": platform.processor() or platform.machine(),
        "quick": arguments.quick,
        "aim": AIM,
        "rows": rows,
        "startup_s": parts,
    }
    write_json(arguments.out, content)


if __name__ == "__main__":
    main()
