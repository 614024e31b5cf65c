"""What do unstructured zeros gain on a processor, really? CSR layers against torch's dense ones.

Every figure is process CPU time on one thread, the candidates taking turns, 20 % quantile. The
layers' table shows the best CSR form, be it slower than dense; the networks' what the device
`cpu-sparse` does, which keeps a layer dense where CSR loses. "Predicted" comes from a model of CSR
time that was fitted on random shapes only, none of which is in the tables.

    OMP_NUM_THREADS=1 python benchmarks/sparse_cpu.py
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from cost_models import SparseExecutor, host_noise, measure_interleaved, realisable_macs, trace
from cost_models.executors.choosing import fastest
from cost_models.executors.csr_time import CsrTimeModel, TimedWork, csr_work, fit_csr_time
from cost_models.executors.sparse import DENSE, csr_kernels
from growsearch.files import write_json
from search_spaces import SEARCH_SPACES

RESULTS = Path(__file__).parent / "results" / "sparse_cpu.json"
SECTIONS = ("fit", "layers", "networks")
SPARSITIES = (0.5, 0.75, 0.9, 0.95)
# spec: torch CSR with 64-bit indices, MLP of four such pairs, speed-up over dense eager float32.
PUBLISHED_MLP = {1: (0.23, 0.45, 0.87, 1.7), 16: (0.7, 1.4, 3.1, 5.6), 128: (0.5, 1.0, 2.2, 3.7)}
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


def timed(case: Case, generator: torch.Generator) -> tuple[dict[str, float], list[TimedWork]]:
    """CPU seconds of every form, and the work of the CSR ones."""
    x = torch.randn(case.shape, generator=generator)
    forms = forms_of(case.layer)
    with torch.inference_mode():
        seconds = fastest({name: _call(form, x) for name, form in forms.items()})
    works = [
        TimedWork(work=csr_work(form, case.shape), seconds=seconds[name])
        for name, form in forms.items()
        if name != DENSE
    ]
    return seconds, works


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
            yield Case("random", zeroed(layer, sparsity, generator), shape, sparsity)


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


def table_cases(generator: torch.Generator) -> Iterator[Case]:
    for inputs, outputs in ((768, 3072), (3072, 768)):
        for batch in (1, 16, 128):
            for sparsity in SPARSITIES:
                layer: nn.Module = zeroed(nn.Linear(inputs, outputs), sparsity, generator)
                yield Case(f"linear {inputs} -> {outputs}", layer, (batch, inputs), sparsity)
    sizes = [(32, each, (1, 16)) for each in CONVOLUTIONS_32]
    sizes += [(224, each, (1,)) for each in CONVOLUTIONS_224]
    for image, (inputs, outputs, kernel, stride, size), batches in sizes:
        for batch in batches:
            for sparsity in SPARSITIES:
                conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
                name = f"{image}: conv {kernel}x{kernel}/{stride} {inputs} -> {outputs} at {size}"
                shape = (batch, inputs, size, size)
                yield Case(name, zeroed(conv, sparsity, generator), shape, sparsity)


def fit(count: int, generator: torch.Generator) -> tuple[CsrTimeModel, dict[str, object]]:
    """Fit on two thirds of the random shapes, drawn at random, and validate on the others."""
    works = [timed(case, generator)[1] for case in random_cases(count, generator)]
    order = torch.randperm(count, generator=generator).tolist()
    fitted = [work for index in order[count // 3 :] for work in works[index]]
    unseen = [work for index in order[: count // 3] for work in works[index]]
    model = fit_csr_time(fitted)
    errors = {}
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


def layer_row(case: Case, model: CsrTimeModel, generator: torch.Generator) -> dict[str, object]:
    seconds, works = timed(case, generator)
    sparse = {name: value for name, value in seconds.items() if name != DENSE}
    best = min(sparse, key=lambda name: sparse[name])
    predicted = {name: model.seconds(each.work) for name, each in zip(sparse, works, strict=True)}
    return {
        "layer": case.name,
        "batch": case.shape[0],
        "sparsity": case.sparsity,
        "dense_s": seconds[DENSE],
        "csr_s": sparse,
        "predicted_csr_s": predicted,
        "best": best,
        "csr_speed_up": seconds[DENSE] / sparse[best],
        "predicted_speed_up": seconds[DENSE] / min(predicted.values()),
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


def network_rows(generator: torch.Generator) -> Iterator[dict[str, object]]:
    for name, network, shape in networks():
        state = {key: value.clone() for key, value in network.state_dict().items()}
        for sparsity in SPARSITIES:
            network.load_state_dict(state)
            zeroed(network.eval(), sparsity, generator)
            inputs = (torch.randn(shape, generator=generator),)
            compiled = SparseExecutor().compile(network, inputs)
            candidates = {"dense": (network, inputs), "sparse": (compiled, inputs)}
            found = measure_interleaved(candidates, budget_s=1.0, max_noise=None)
            work = trace(network, inputs)
            measured = measure_interleaved(
                {"sparse": (network, inputs)}, device="cpu-sparse", budget_s=0.1, max_noise=None
            )["sparse"]
            layers = [choice.chosen for choice in compiled.choices]
            yield {
                "network": name,
                "batch": shape[0],
                "sparsity": sparsity,
                "dense_cpu_s": found["dense"].cpu_time_s,
                "sparse_cpu_s": found["sparse"].cpu_time_s,
                "speed_up": found["dense"].cpu_time_s / found["sparse"].cpu_time_s,
                "wall_speed_up": found["dense"].low_s / found["sparse"].low_s,
                "layers": {form: layers.count(form) for form in sorted(set(layers))},
                "largest_difference": compiled.difference,
                "effective_macs_share": work.effective_macs / work.dense_macs,
                "realisable_macs_share": realisable_macs(work, "cpu-sparse", measured)
                / work.dense_macs,
            }


def show_fit(errors: dict[str, object], console: Console) -> None:
    table = Table(title="model of CSR time: shapes that it was not fitted on")
    for column in ("kernel", "fitted on", "unseen", "MAPE", "within 25 %"):
        table.add_column(column)
    for kernel, row in errors.items():
        assert isinstance(row, dict)
        shares = (f"{row['mape']:.1%}", f"{row['within_25_percent']:.0%}")
        table.add_row(kernel, str(row["fitted_on"]), str(row["unseen"]), *shares)
    console.print(table)


def show_layers(rows: list[dict[str, object]], console: Console) -> None:
    table = Table(title="one layer: speed-up over dense, best CSR form (predicted)")
    for column in ("layer", "batch", "dense ms", *[f"s = {s}" for s in SPARSITIES]):
        table.add_column(column)
    for index in range(0, len(rows), len(SPARSITIES)):
        group = rows[index : index + len(SPARSITIES)]
        cells = [
            f"{row['csr_speed_up']:.2f} ({row['predicted_speed_up']:.2f}) "
            f"{str(row['best']).removeprefix('csr-')}"
            for row in group
        ]
        dense_ms = sum(float(row["dense_s"]) for row in group) / len(group) * 1e3  # type: ignore[arg-type]
        table.add_row(str(group[0]["layer"]), str(group[0]["batch"]), f"{dense_ms:.2f}", *cells)
    console.print(table)


def show_networks(rows: list[dict[str, object]], console: Console) -> None:
    table = Table(title="whole networks as `cpu-sparse` runs them: speed-up over dense (CPU time)")
    for column in ("network", "batch", *[f"s = {s}" for s in SPARSITIES], "torch CSR, published"):
        table.add_column(column)
    for index in range(0, len(rows), len(SPARSITIES)):
        group = rows[index : index + len(SPARSITIES)]
        cells = [
            f"{row['speed_up']:.2f} ({row['realisable_macs_share']:.0%} of MACs)" for row in group
        ]
        batch = group[0]["batch"]
        published = ""
        if str(group[0]["network"]).startswith("MLP"):
            published = " / ".join(str(value) for value in PUBLISHED_MLP[batch])  # type: ignore[index]
        table.add_row(str(group[0]["network"]), str(batch), *cells, published)
    console.print(table)


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


def run_fit(count: int, generator: torch.Generator, console: Console) -> dict[str, object]:
    _, errors = fit(count, generator)
    show_fit(errors, console)
    return {"random_shapes": count, "kernels": errors}


def run_layers(
    kernels: dict[str, dict[str, object]], generator: torch.Generator, console: Console
) -> dict[str, object]:
    model = CsrTimeModel(
        coefficients={name: tuple(row["coefficients_s"]) for name, row in kernels.items()}  # type: ignore[arg-type]
    )
    rows = [layer_row(case, model, generator) for case in table_cases(generator)]
    show_layers(rows, console)
    errors = [
        abs(row["predicted_csr_s"][form] / row["csr_s"][form] - 1)  # type: ignore[index]
        for row in rows
        for form in row["csr_s"]  # type: ignore[attr-defined]
    ]
    mape = sum(errors) / len(errors)
    agree = sum(row["best"] == row["predicted_best"] for row in rows) / len(rows)
    console.print(
        f"the table's {len(errors)} CSR times: MAPE {mape:.1%}; the predicted best form is the "
        f"best one in {agree:.0%}"
    )
    return {"mape": mape, "best_form_predicted": agree, "rows": rows}


def run_networks(generator: torch.Generator, console: Console) -> dict[str, object]:
    rows = list(network_rows(generator))
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
        generator = torch.Generator().manual_seed(arguments.seed)
        used = settings(arguments.seed)
        console.print(f"{section}; machine: {used['machine']}")
        if section == "fit":
            found = run_fit(arguments.random_shapes, generator, console)
        elif section == "layers":
            if "fit" not in results:
                raise SystemExit("section 'layers' needs the fitted model: run section 'fit' first")
            found = run_layers(results["fit"]["kernels"], generator, console)
        else:
            found = run_networks(generator, console)
        results[section] = {"settings": used} | found
        write_json(RESULTS, results)


if __name__ == "__main__":
    main()
