"""Which cells has NAS-Bench-201, how good and how fast are they, and what describes them?

A cell has four nodes and an operation on each of its six edges (Dong and Yang, arXiv 2001.00326).
The network is a stem, three stages of five cells with 16, 32 and 64 channels on 32, 16 and 8 pixels
a side, a residual block with stride 2 between stages, and a linear classifier.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tabular.table import ResultTable

from growsearch.errors import UsageError

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
# Source and target node, in the order of the benchmark's architecture strings.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
# The ways from the first node to the last, as places in EDGES.
PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))

_CELLS_A_STAGE = 5
# Channels and pixels a side.
_STAGES = ((16, 32), (32, 16), (64, 8))
_CLASSES = 10
_SHORT = "validation_accuracy_12_epochs"
_KERNEL = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


def edge_name(edge: tuple[int, int]) -> str:
    """Return the name of a decision: "0->1"."""
    return f"{edge[0]}->{edge[1]}"


def architecture_string(operations: Sequence[str]) -> str:
    """Return the benchmark's own name of a cell, such as |nor_conv_3x3~0|+|...|."""
    nodes = []
    for node in (1, 2, 3):
        parts = [
            f"{operation}~{source}"
            for (source, target), operation in zip(EDGES, operations, strict=True)
            if target == node
        ]
        nodes.append("|" + "|".join(parts) + "|")
    return "+".join(nodes)


def operations_of(text: str) -> tuple[str, ...]:
    """Read an architecture string.

    Raises:
        UsageError: if it is none of this benchmark.
    """
    found = tuple(
        part.partition("~")[0] for node in text.split("+") for part in node.strip("|").split("|")
    )
    known = len(found) == len(EDGES) and set(found) <= set(OPERATIONS)
    if not known or architecture_string(found) != text:
        raise UsageError(f"{text!r} is no NAS-Bench-201 cell, such as {architecture_string(_ANY)}")
    return found


_ANY = ("nor_conv_3x3",) * len(EDGES)


def live_paths(operations: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the operations along each way from input to output that no "none" blocks."""
    ways = [tuple(operations[edge] for edge in path) for path in PATHS]
    return [way for way in ways if "none" not in way]


def live_operations(operations: Sequence[str]) -> Counter[str]:
    """Count the operations that some live path uses."""
    live = {edge for path in PATHS if all(operations[e] != "none" for e in path) for edge in path}
    return Counter(operations[edge] for edge in live)


def macs_and_parameters(counts: Mapping[str, int]) -> tuple[int, int]:
    """Count the network whose cells have so many operations of each kind.

    MACs of convolutions and the classifier for one image; parameters with those of BatchNorm.
    """
    macs, parameters = _fixed_parts()
    for name, kernel in _KERNEL.items():
        for channels, side in _STAGES:
            weights = channels * channels * kernel * kernel
            cells = _CELLS_A_STAGE * counts.get(name, 0)
            macs += cells * weights * side * side
            parameters += cells * (weights + 2 * channels)
    return macs, parameters


def _fixed_parts() -> tuple[int, int]:
    """Count the stem, the two residual blocks, the last BatchNorm and the classifier."""
    (first, side), (last, _) = _STAGES[0], _STAGES[-1]
    stem = 3 * first * 9
    macs, parameters = stem * side * side, stem + 2 * first
    for (inside, _), (outside, pixels) in itertools.pairwise(_STAGES):
        blocks = 9 * inside * outside + 9 * outside * outside
        shortcut = inside * outside
        macs += (blocks + shortcut) * pixels * pixels
        parameters += blocks + shortcut + 4 * outside
    return macs + last * _CLASSES, parameters + 2 * last + last * _CLASSES + _CLASSES


def describe_cell(operations: Sequence[str]) -> list[float]:
    """Return what a cell's live part looks like.

    Counts of the four operations, live paths by length (1, 2 and 3 edges), most convolutions on a
    path, the natural logarithms of the live network's MACs and parameters, how much of a signal
    comes through (see `_path_gains`), and what the output adds up (see `_output_terms`).
    """
    counts = live_operations(operations)
    paths = live_paths(operations)
    lengths = Counter(len(path) for path in paths)
    depth = max((sum(step in _KERNEL for step in path) for path in paths), default=0)
    macs, parameters = macs_and_parameters(counts)
    return [
        *(float(counts[name]) for name in OPERATIONS[1:]),
        *(float(lengths[length]) for length in (1, 2, 3)),
        float(depth),
        float(np.log(macs)),
        float(np.log(parameters)),
        *_path_gains(paths),
        *_output_terms(operations),
    ]


# What an operation passes on, compared with a skip connection: once by the size of its kernel,
# once by the side of it. Pooling blurs.
_GAINS = (
    {"skip_connect": 1.0, "nor_conv_1x1": 1.0, "nor_conv_3x3": 9.0, "avg_pool_3x3": 0.3},
    {"skip_connect": 1.0, "nor_conv_1x1": 1.5, "nor_conv_3x3": 3.0, "avg_pool_3x3": 0.7},
)
# The gain of a cell that nothing passes.
_NO_GAIN = 0.01


def _path_gains(paths: Sequence[Sequence[str]]) -> list[float]:
    """Return the logarithm of the sum over paths of the product of gains, for each of `_GAINS`."""
    return [
        math.log(_NO_GAIN + sum(math.prod(gains[step] for step in path) for path in paths))
        for gains in _GAINS
    ]


@dataclass(frozen=True, slots=True)
class _Node:
    """What a node adds up, with skip connections seen through.

    ``inputs`` counts how often the cell's input is in the sum as it is; ``ends`` counts the other
    terms by their last operation. ``depth`` and ``reach`` are means over the terms: convolutions
    and 3 x 3 convolutions on the way; ``weight`` is that of all terms.
    """

    inputs: float = 0.0
    ends: Mapping[str, int] = dataclasses.field(default_factory=dict)
    widest: int = 0
    depth: float = 0.0
    reach: float = 0.0
    weight: float = 0.0


# Pooled terms vary less than those that BatchNorm sets to variance 1: in means, and in the sum.
_POOLED_WEIGHT, _POOLED_VARIANCE = 0.5, 0.3
_OUTPUT_TERMS = 9


def _output_terms(operations: Sequence[str]) -> list[float]:
    """Return what reaches the output, term by term; zeros for a dead cell.

    Most 3 x 3 convolutions on a path; how often the input is in the sum, and whether; terms that
    end in a 1 x 1 convolution, a 3 x 3 one and in pooling; convolutions and 3 x 3 convolutions of
    the mean term; the input's share of the sum's variance. BatchNorm ends every convolution, so
    that it counts as one term of variance 1, whatever it reads.
    """
    nodes: list[_Node | None] = [_Node(inputs=1.0, weight=1.0)]
    for node in (1, 2, 3):
        terms = [
            _after(operation, nodes[source])
            for (source, target), operation in zip(EDGES, operations, strict=True)
            if target == node and operation != "none"
        ]
        nodes.append(_added_up([term for term in terms if term is not None]))
    output = nodes[-1]
    if output is None:
        return [0.0] * _OUTPUT_TERMS
    ends = [float(output.ends.get(name, 0)) for name in (*_KERNEL, "avg_pool_3x3")]
    variance = output.inputs**2 + ends[0] + ends[1] + _POOLED_VARIANCE * ends[2]
    share = output.inputs**2 / variance
    passed = float(output.inputs > 0)
    means = (output.depth, output.reach)
    return [float(output.widest), output.inputs, passed, *ends, *means, share]


def _after(operation: str, node: _Node | None) -> _Node | None:
    """Return the term that an operation makes of a node; None for a dead one."""
    if node is None or operation == "skip_connect":
        return node
    if operation == "avg_pool_3x3":
        # Pooling sees farther, too.
        return dataclasses.replace(
            node, inputs=0.0, ends={operation: 1}, reach=node.reach + 1, weight=_POOLED_WEIGHT
        )
    wide = int(operation == "nor_conv_3x3")
    return _Node(
        ends={operation: 1},
        widest=node.widest + wide,
        depth=node.depth + 1,
        reach=node.reach + wide,
        weight=1.0,
    )


def _added_up(terms: Sequence[_Node]) -> _Node | None:
    """Return the sum of terms; None if there is none."""
    if not terms:
        return None
    weight = sum(term.weight for term in terms)
    ends: Counter[str] = Counter()
    for term in terms:
        ends.update(term.ends)
    return _Node(
        inputs=sum(term.inputs for term in terms),
        ends=ends,
        widest=max(term.widest for term in terms),
        depth=sum(term.weight * term.depth for term in terms) / weight,
        reach=sum(term.weight * term.reach for term in terms) / weight,
        weight=weight,
    )


def load_nasbench201(data_dir: Path, error_column: str = "test_accuracy_200_epochs") -> ResultTable:
    """Read ``cifar10.npz``: errors in per cent, latencies in milliseconds, MACs and parameters.

    Columns: "error" (100 minus ``error_column``), "error[12 epochs]" (on the validation half, of
    the benchmark's own runs of 12 epochs), "latency[DEVICE]" for each device in the file, "macs"
    and "parameters" of the live network.

    Raises:
        UsageError: if the file is not there, or is not this benchmark.
    """
    path = data_dir / "cifar10.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}; give its folder with --data-dir") from error
    missing = {"architectures", "operations", "devices", "latency_ms", _SHORT, error_column}
    missing -= set(arrays)
    if missing or tuple(arrays["operations"]) != OPERATIONS:
        raise UsageError(f"{path}: not the NAS-Bench-201 table; it lacks {', '.join(missing)}")
    order = _row_order(arrays["architectures"])
    cells = [tuple(OPERATIONS[place] for place in row) for row in arrays["architectures"][order]]
    counted = np.array([macs_and_parameters(live_operations(cell)) for cell in cells], float)
    columns = {"error": 100.0 - arrays[error_column].astype(np.float64)[order]}
    columns["error[12 epochs]"] = 100.0 - arrays[_SHORT].astype(np.float64)[order]
    for name, values in zip(arrays["devices"], arrays["latency_ms"], strict=True):
        columns[f"latency[{name}]"] = values.astype(np.float64)[order]
    columns |= {"macs": counted[:, 0], "parameters": counted[:, 1]}
    return ResultTable(
        options={edge_name(edge): OPERATIONS for edge in EDGES},
        columns=columns,
        descriptors=np.array([describe_cell(cell) for cell in cells]),
    )


def _row_order(architectures: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Return the order in which the last edge's operation changes fastest."""
    return np.lexsort(architectures.T[::-1])
