"""What do unstructured zeros gain on a processor, really? CSR layers against torch's dense ones.

Every figure is process CPU time on one thread, the candidates taking turns, 20 % quantile. The
layers' table shows the best CSR form, be it slower than dense; the networks' what the device
`cpu-sparse` does, which keeps a layer dense where CSR loses. "Predicted" comes from a model of CSR
time that was fitted on random shapes only, none of which is in the tables.

    OMP_NUM_THREADS=1 python benchmarks/sparse_cpu.py

Every timed layer and network is written down at once; the same command goes on after an
interruption.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from csr_time import (
    CsrTimeModel,
    CsrWork,
    TimedWork,
    csr_work,
    fit_csr_time,
)
from rich.console import Console
from sparse_cpu_tables import PUBLISHED_MLP, SPARSITIES, show_fit, show_layers, show_networks
from torch import Tensor, nn

from cost_models import SparseExecutor, host_noise, measure_interleaved, realisable_macs, trace
from cost_models.executors.choosing import fastest
from cost_models.executors.sparse import DENSE, csr_kernels
from growsearch.files import write_json
from search_spaces import SEARCH_SPACES

RESULTS = Path(__file__).parent / "results" / "sparse_cpu.json"
PARTIAL = RESULTS.with_name(".sparse_cpu.partial.json")
SECTIONS = ("fit", "layers", "networks")
# (in, out, kernel, stride, input size), each different one of ResNet-18.
CONVOLUTIONS_224 = [
    (64, 64, 3, 1, 56),
    (64, 128, 3, 2, 56),
    (64, 128, 1, 2, 56),
    (128, 128, 3, 1, 28),
    (128, 256, 3, 2, 28),
    (256, 256, 3, 1, 14),
    (256, 512, 3, 2, 14),
    (512, 512, 3, 1, 7),
]
CONVOLUTIONS_32 = [(i, o, k, s, size * 4 // 7) for i, o, k, s, size in CONVOLUTIONS_224]


Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    name: str
    layer: nn.Module
    shape: tuple[int, ...]
    sparsity: float


def zeroed(module: nn.Module, sparsity: float, generator: torch.Generator) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                mask = torch.rand(parameter.shape, generator=generator) >= sparsity
                parameter *= mask * (1 - sparsity) ** -0.5
    return module


def forms_of(layer: nn.Module) -> dict[str, nn.Module]:
    return {DENSE: layer} | {name: build(layer) for name, build in csr_kernels(layer).items()}


def timed(case: Case, generator: torch.Generator) -> Row:
    """CPU seconds of every form, and the work of the CSR ones."""
    zeroed(case.layer, case.sparsity, generator)
    x = torch.randn(case.shape, generator=generator)
    forms = forms_of(case.layer)
    with torch.inference_mode():
        seconds = fastest({name: _call(form, x) for name, form in forms.items()})
    works = {
        name: dataclasses.asdict(csr_work(form, case.shape))
        for name, form in forms.items()
        if name != DENSE
    }
    return {
        "layer": case.name,
        "batch": case.shape[0],
        "sparsity": case.sparsity,
        "dense_s": seconds[DENSE],
        "csr_s": {name: seconds[name] for name in works},
        "works": works,
    }


def timed_works(row: Row) -> dict[str, TimedWork]:
    return {
        name: TimedWork(work=CsrWork(**work), seconds=row["csr_s"][name])
        for name, work in row["works"].items()
    }


def _call(form: nn.Module, x: Tensor):
    return lambda: form(x)


def random_cases(count: int, generator: torch.Generator) -> Iterator[Case]:
    """Shapes that no table below has, sizes log-uniform, of at most 0.6 G dense MACs."""
    made = 0
    while made < count:
        sparsity = float(0.5 + 0.48 * torch.rand((), generator=generator))
        make = _random_linear if made % 2 else _random_convolution
        layer, shape, macs = make(generator)
        if macs <= 6e8:
            made += 1
            yield Case("random", layer, shape, sparsity)


def _random_linear(generator: torch.Generator) -> tuple[nn.Module, tuple[int, ...], int]:
    inputs, outputs = (_log_uniform(64, 4096, generator) for _ in range(2))
    batch = 1 if _chance(0.25, generator) else _log_uniform(2, 512, generator)
    return nn.Linear(inputs, outputs), (batch, inputs), batch * inputs * outputs


def _random_convolution(generator: torch.Generator) -> tuple[nn.Module, tuple[int, ...], int]:
    inputs, outputs = (_log_uniform(16, 512, generator) for _ in range(2))
    kernel = 1 if _chance(0.25, generator) else 3
    stride = 2 if _chance(0.3, generator) else 1
    size, batch = _log_uniform(4, 60, generator), _log_uniform(1, 32, generator)
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    macs = batch * (size // stride) ** 2 * inputs * outputs * kernel**2
    return layer, (batch, inputs, size, size), macs


def _chance(share: float, generator: torch.Generator) -> bool:
    return bool(torch.rand((), generator=generator) < share)


def _log_uniform(low: int, high: int, generator: torch.Generator) -> int:
    exponent = torch.rand((), generator=generator) * math.log(high / low)
    return round(low * math.exp(float(exponent)))


def table_cases() -> Iterator[Case]:
    for inputs, outputs in ((768, 3072), (3072, 768)):
        for batch in (1, 16, 128):
            for sparsity in SPARSITIES:
                layer = nn.Linear(inputs, outputs)
                yield Case(f"linear {inputs} -> {outputs}", layer, (batch, inputs), sparsity)
    sizes = [(32, each, (1, 16)) for each in CONVOLUTIONS_32]
    sizes += [(224, each, (1,)) for each in CONVOLUTIONS_224]
    for image, (inputs, outputs, kernel, stride, size), batches in sizes:
        for batch in batches:
            for sparsity in SPARSITIES:
                conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
                name = f"{image}: conv {kernel}x{kernel}/{stride} {inputs} -> {outputs} at {size}"
                shape = (batch, inputs, size, size)
                yield Case(name, conv, shape, sparsity)


def fit(
    rows: Sequence[Row], generator: torch.Generator
) -> tuple[CsrTimeModel, dict[str, dict[str, object]]]:
    """Fit on two thirds of the random shapes, drawn at random, and validate on the others."""
    works = [list(timed_works(row).values()) for row in rows]
    order = torch.randperm(len(works), generator=generator).tolist()
    fitted = [work for index in order[len(works) // 3 :] for work in works[index]]
    unseen = [work for index in order[: len(works) // 3] for work in works[index]]
    model = fit_csr_time(fitted)
    errors: dict[str, dict[str, object]] = {}
    for kernel in sorted(model.coefficients):
        own = [each for each in unseen if each.work.kernel == kernel]
        errors[kernel] = {
            "fitted_on": sum(each.work.kernel == kernel for each in fitted),
            "unseen": len(own),
            "mape": model.mape(own),
            "within_25_percent": sum(
                abs(model.seconds(each.work) / each.seconds - 1) <= 0.25 for each in own
            )
            / len(own),
            "coefficients_s": model.coefficients[kernel],
        }
    return model, errors


def with_prediction(row: Row, model: CsrTimeModel) -> Row:
    predicted = {name: model.seconds(each.work) for name, each in timed_works(row).items()}
    best = min(row["csr_s"], key=lambda name: row["csr_s"][name])
    return {key: value for key, value in row.items() if key != "works"} | {
        "predicted_csr_s": predicted,
        "best": best,
        "csr_speed_up": row["dense_s"] / row["csr_s"][best],
        "predicted_speed_up": row["dense_s"] / min(predicted.values()),
        "predicted_best": min(predicted, key=lambda name: predicted[name]),
    }


def networks() -> Iterator[tuple[str, nn.Module, tuple[int, ...]]]:
    def mlp() -> nn.Module:
        pairs = [[nn.Linear(768, 3072), nn.ReLU(), nn.Linear(3072, 768)] for _ in range(4)]
        return nn.Sequential(*[part for pair in pairs for part in pair])

    for batch in (1, 16, 128):
        yield "MLP 4 x (768 -> 3072 -> 768)", mlp(), (batch, 768)
    for name, image, batches in (("resnet18", 32, (1, 16)), ("resnet18-imagenet", 224, (1,))):
        space = SEARCH_SPACES[name]
        for batch in batches:
            yield (
                f"ResNet-18, {image} x {image}",
                space.build(space.largest()),
                (batch, 3, image, image),
            )


def network_cases() -> Iterator[Case]:
    for name, network, shape in networks():
        for sparsity in SPARSITIES:
            yield Case(name, network, shape, sparsity)


def network_row(case: Case, generator: torch.Generator) -> Row:
    network = zeroed(copy.deepcopy(case.layer).eval(), case.sparsity, generator)
    inputs = (torch.randn(case.shape, generator=generator),)
    compiled = SparseExecutor().compile(network, inputs)
    candidates = {"dense": (network, inputs), "sparse": (compiled, inputs)}
    found = measure_interleaved(candidates, budget_s=0.5, max_noise=None)
    work = trace(network, inputs)
    choices = {choice.name: choice.chosen for choice in compiled.choices}
    measured = dataclasses.replace(found["sparse"], device="cpu-sparse", choices=choices)
    layers = list(choices.values())
    return {
        "network": case.name,
        "batch": case.shape[0],
        "sparsity": case.sparsity,
        "dense_cpu_s": found["dense"].cpu_time_s,
        "sparse_cpu_s": found["sparse"].cpu_time_s,
        "speed_up": found["dense"].cpu_time_s / found["sparse"].cpu_time_s,
        "wall_speed_up": found["dense"].low_s / found["sparse"].low_s,
        "layers": {form: layers.count(form) for form in sorted(set(layers))},
        "largest_difference": compiled.difference,
        "effective_macs_share": work.effective_macs / work.dense_macs,
        "realisable_macs_share": realisable_macs(work, "cpu-sparse", measured) / work.dense_macs,
    }


def kept(
    section: str,
    cases: Iterator[Case],
    measure: Callable[[Case, torch.Generator], Row],
    seed: int,
) -> list[Row]:
    """Measure the cases in order, after those that an interrupted run has kept."""
    everything = json.loads(PARTIAL.read_text()) if PARTIAL.exists() else {}
    name = f"{section} {seed}"
    rows = everything.setdefault(name, [])
    for index, case in enumerate(cases):
        if index < len(rows):
            continue
        rows.append(measure(case, torch.Generator().manual_seed(1000 * seed + index)))
        write_json(PARTIAL, everything)
    return list(rows)


def forget(section: str, seed: int) -> None:
    """Let go of what was kept for a section that is finished."""
    left = json.loads(PARTIAL.read_text())
    del left[f"{section} {seed}"]
    if left:
        write_json(PARTIAL, left)
    else:
        PARTIAL.unlink()


def settings(seed: int) -> dict[str, object]:
    noise = host_noise()
    return {
        "threads": 1,
        "seed": seed,
        "torch": torch.__version__,
        "processor": torch.backends.cpu.get_cpu_capability(),
        "machine": noise.verdict,
        "time": "process CPU seconds, 20 % quantile, candidates taking turns",
    }


def run_fit(count: int, seed: int, console: Console) -> Row:
    generator = torch.Generator().manual_seed(seed)
    rows = kept("fit", random_cases(count, generator), timed, seed)
    _, errors = fit(rows, torch.Generator().manual_seed(seed))
    show_fit(errors, console)
    return {"random_shapes": count, "kernels": errors}


def run_layers(kernels: dict[str, Row], seed: int, console: Console) -> Row:
    model = CsrTimeModel(
        coefficients={name: tuple(row["coefficients_s"]) for name, row in kernels.items()}
    )
    rows = [with_prediction(row, model) for row in kept("layers", table_cases(), timed, seed)]
    show_layers(rows, console)
    errors = [
        abs(row["predicted_csr_s"][form] / row["csr_s"][form] - 1)
        for row in rows
        for form in row["csr_s"]
    ]
    mape = sum(errors) / len(errors)
    agree = sum(row["best"] == row["predicted_best"] for row in rows) / len(rows)
    console.print(
        f"the table's {len(errors)} CSR times: MAPE {mape:.1%}; the predicted best form is the "
        f"best one in {agree:.0%}"
    )
    return {"mape": mape, "best_form_predicted": agree, "rows": rows}


def run_networks(seed: int, console: Console) -> Row:
    rows = kept("networks", network_cases(), network_row, seed)
    show_networks(rows, console)
    return {"published_mlp_torch_csr": PUBLISHED_MLP, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--random-shapes", type=int, default=140)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    console = Console(width=150)
    # Sections take minutes: each is written when it is done, beside those of earlier runs.
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for section in arguments.sections:
        used = settings(arguments.seed)
        console.print(f"{section}; machine: {used['machine']}")
        if section == "fit":
            found = run_fit(arguments.random_shapes, arguments.seed, console)
        elif section == "layers":
            if "fit" not in results:
                raise SystemExit("section 'layers' needs the fitted model: run section 'fit' first")
            found = run_layers(results["fit"]["kernels"], arguments.seed, console)
        else:
            found = run_networks(arguments.seed, console)
        results[section] = {"settings": used} | found
        write_json(RESULTS, results)
        forget(section, arguments.seed)


if __name__ == "__main__":
    main()
