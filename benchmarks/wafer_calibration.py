"""How well does the analytic wafer model give back what was published? No wafer was measured.

python benchmarks/wafer_calibration.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cost_models import (
    DEVICES,
    TransformerShape,
    estimate,
    training_macs,
    transformer_workload,
)
from cost_models.analytic.wafer import (
    NOTE,
    REFERENCE,
    REFERENCE_ASSUMPTION,
    REFERENCE_BATCH,
    WaferCostModel,
    fit_wafer,
    relative_time,
)
from cost_models.cost import CalibrationPoint
from growsearch.files import write_json

RESULTS = Path(__file__).parent / "results" / "wafer_calibration.json"
PAPER = "arXiv 2303.11525v4, section 6 and appendix E"
PUBLISHED = {0.5: 1.30, 0.75: 1.39, 0.9: 2.82}
PUBLISHED_WITHOUT_SPARSITY = 10.6
GPT3_XL = TransformerShape(layers=24, width=2048, hidden=8192, sequence=2048, vocabulary=50257)
# Other decoders of about 20 billion parameters: does the answer hang on the assumed sizes?
OTHER_SIZES = {
    "deeper and narrower": (63, 5120),
    "wider and shallower": (25, 8192),
    "in between": (32, 7168),
}

Row = dict[str, object]


def row(claim: str, published: float, found: float, bound: float) -> Row:
    """`bound` is the largest relative deviation that the claim allows."""
    deviation = found / published - 1
    return {
        "claim": claim,
        "method": "analytic",
        "published": published,
        "model": found,
        "deviation": deviation,
        "bound": bound,
        "holds": abs(deviation) <= bound,
    }


def wide(shape: TransformerShape, sparsity: float):
    return transformer_workload(shape.widened(sparsity), sparsity=sparsity)


def sparse_wide_rows(device: str) -> list[Row]:
    times = {
        s: estimate(wide(REFERENCE, s), device, REFERENCE_BATCH, "training").latency_s
        for s in (0.0, *PUBLISHED)
    }
    rows = [
        row(
            f"{device}: GPT-3 20B Sparse Wide at s = {s}, time against dense",
            published,
            found,
            0.05,
        )
        for s, published in PUBLISHED.items()
        for found in [times[s] / times[0.0]]
    ]
    blind = WaferCostModel(skips_zeros=False)
    dense, sparse = (
        blind.estimate(
            wide(REFERENCE, s), DEVICES[device], batch_size=REFERENCE_BATCH, phase="training"
        ).latency_s
        for s in (0.0, 0.9)
    )
    claim = f"{device}: the same at s = 0.9 without sparsity support"
    return [*rows, row(claim, PUBLISHED_WITHOUT_SPARSITY, sparse / dense, 0.10)]


def held_out(shape: TransformerShape = REFERENCE) -> float:
    """Relative time at s = 0.75, S(s) fitted on 0.5 and 0.9 only, all for networks of `shape`."""
    points = tuple(CalibrationPoint(sparsity=s, relative_time=PUBLISHED[s]) for s in (0.5, 0.9))
    return relative_time(0.75, fit_wafer(points, shape).speed_up, shape)


def gpt3_xl_rows() -> list[Row]:
    dense = transformer_workload(GPT3_XL)
    at = {s: transformer_workload(GPT3_XL, sparsity=s) for s in (0.75, 0.838)}
    saved = 1 - training_macs(at[0.75]) / training_macs(dense)
    flops = training_macs(dense) / training_macs(at[0.838])
    parameters = dense.parameters / at[0.838].nonzero_parameters
    return [
        row("GPT-3 XL at 75 %: share of training FLOPs saved (no fit)", 0.60, saved, 0.02),
        row("GPT-3 XL at 83.8 %: times fewer FLOPs (no fit)", 3.0, flops, 0.02),
        row("GPT-3 XL at 83.8 %: times fewer parameters (no fit)", 4.3, parameters, 0.02),
    ]


def sizes_rows() -> list[Row]:
    """What the model gives when GPT-3 20B is taken to have other sizes."""
    shapes = {"assumed": REFERENCE} | {
        name: TransformerShape(
            layers=layers,
            width=width,
            hidden=4 * width,
            sequence=REFERENCE.sequence,
            vocabulary=REFERENCE.vocabulary,
        )
        for name, (layers, width) in OTHER_SIZES.items()
    }
    points = tuple(
        CalibrationPoint(sparsity=s, relative_time=published) for s, published in PUBLISHED.items()
    )
    rows: list[Row] = []
    for name, shape in shapes.items():
        fit = fit_wafer(points, shape)
        rows.append(
            {
                "sizes": name,
                "layers": shape.layers,
                "width": shape.width,
                "parameters": transformer_workload(shape).parameters,
                "relative_times": [relative_time(s, fit.speed_up, shape) for s in PUBLISHED],
                "held_out_75": held_out(shape),
                "penalty": fit.speed_up.penalty,
                "maximum": fit.speed_up.maximum,
            }
        )
    return rows


def absolute_row(device: str) -> Row:
    """Absolute figures, which nothing public confirms."""
    cost = estimate(wide(REFERENCE, 0.0), device, REFERENCE_BATCH, "training")
    flops = 2 * (cost.dense_macs or 0)
    return {
        "device": device,
        "method": "analytic",
        "note": NOTE,
        "step_s": cost.latency_s,
        "sequences_per_s": REFERENCE_BATCH / cost.latency_s,
        "flops_per_s": flops / cost.latency_s,
        "assumptions": [
            f"{name}: {constant.source}"
            for name, constant in DEVICES[device].constants.items()
            if "assumption" in constant.source
        ],
    }


def show(rows: list[Row], console: Console) -> None:
    table = Table(title="wafer model against published figures: every figure is analytic")
    for column in ("claim", "published", "model", "deviation", "bound", "holds"):
        table.add_column(column)
    for each in rows:
        table.add_row(
            str(each["claim"]),
            f"{each['published']:g}",
            f"{each['model']:.3f}",
            f"{each['deviation']:+.1%}",
            f"{each['bound']:.0%}",
            "yes" if each["holds"] else "NO",
        )
    console.print(table)


def show_sizes(rows: list[Row], console: Console) -> None:
    table = Table(title="the same with other sizes of a 20-billion network (analytic)")
    columns = ("sizes", "layers x width", "parameters", "s = .5 / .75 / .9", ".75 held out")
    for column in columns:
        table.add_column(column)
    for each in rows:
        times = each["relative_times"]
        assert isinstance(times, list)
        table.add_row(
            str(each["sizes"]),
            f"{each['layers']} x {each['width']}",
            f"{float(str(each['parameters'])) / 1e9:.1f} G",
            " / ".join(f"{value:.3f}" for value in times),
            f"{each['held_out_75']:.3f}",
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    console = Console(width=130)
    rows = sparse_wide_rows("wafer-cs2")
    rows.append(
        row("wafer-cs2: s = 0.75, fitted on 0.5 and 0.9 alone", PUBLISHED[0.75], held_out(), 0.10)
    )
    rows += gpt3_xl_rows()
    sizes, absolute = sizes_rows(), [absolute_row(name) for name in ("wafer-cs2", "wafer-cs3")]
    show(rows, console)
    show_sizes(sizes, console)
    console.print(f"Assumed: {REFERENCE_ASSUMPTION}")
    for each in absolute:
        console.print(
            f"{each['device']}: {each['note']}; a dense step would take {each['step_s']:.3g} s "
            f"({each['sequences_per_s']:.3g} sequences/s), which no public figure confirms"
        )
    write_json(
        RESULTS,
        {
            "note": NOTE,
            "source": PAPER,
            "assumption": REFERENCE_ASSUMPTION,
            "claims": rows,
            "other_sizes": sizes,
            "absolute": absolute,
        },
    )
    if not all(each["holds"] for each in rows):
        raise SystemExit("a published figure is not met within its bound")


if __name__ == "__main__":
    main()
