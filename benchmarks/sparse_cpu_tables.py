"""How are the results of `sparse_cpu.py` shown? One table a section, a column a sparsity."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

Row = dict[str, Any]
SPARSITIES = (0.5, 0.75, 0.9, 0.95)
# spec: torch CSR with 64-bit indices, MLP of four such pairs, speed-up over dense eager float32.
PUBLISHED_MLP = {1: (0.23, 0.45, 0.87, 1.7), 16: (0.7, 1.4, 3.1, 5.6), 128: (0.5, 1.0, 2.2, 3.7)}


def show_fit(errors: dict[str, object], console: Console) -> None:
    table = Table(title="model of CSR time: shapes that it was not fitted on")
    for column in ("kernel", "fitted on", "unseen", "MAPE", "within 25 %"):
        table.add_column(column)
    for kernel, row in errors.items():
        assert isinstance(row, dict)
        shares = (f"{row['mape']:.1%}", f"{row['within_25_percent']:.0%}")
        table.add_row(kernel, str(row["fitted_on"]), str(row["unseen"]), *shares)
    console.print(table)


def show_layers(rows: list[Row], console: Console) -> None:
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


def show_networks(rows: list[Row], console: Console) -> None:
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
