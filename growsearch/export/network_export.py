"""How is a chosen network written so that others can run it, and is what was written the same?"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from growsearch.errors import GrowsearchError, UsageError
from growsearch.export.loading import loader_script
from growsearch.export.onnx_file import onnx_program, onnx_runner
from growsearch.export.sparse_weights import (
    plain_bytes,
    read_weights,
    save,
    without_negative_zeros,
)
from growsearch.export.trained import ARCHITECTURE_FILE, WEIGHTS_FILE, Build, with_weights
from growsearch.files import write_bytes

PROGRAM_FILE, ONNX_FILE, LOADER_FILE = "program.pt2", "model.onnx", "load.py"

DrawInputs = Callable[[tuple[int, ...], torch.Generator], Tensor]

# Batches of one and of sizes that were not traced: the program's batch dimension is dynamic.
_BATCHES = (1, 2, 5)
_TRACED_BATCH = 3
_RELATIVE_TOLERANCE, _ABSOLUTE_TOLERANCE = 1e-4, 1e-5
_SEED = 0


class ExportError(GrowsearchError):
    """What was written does not compute what the network computes; nothing was exported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """The files of an export, and the largest difference of the programs' outputs.

    Differences are absolute, over random inputs in batches of several sizes: ``max_difference`` of
    program.pt2, ``onnx_difference`` of model.onnx in ONNX Runtime, None where it was not asked for.
    The weights give the same outputs to the bit, or there is no result. ``weight_bytes`` is the
    size of their file, sparse where that is smaller, and ``plain_bytes`` with every zero written.
    ``output_shape`` is that of one example.
    """

    folder: Path
    architecture: Path
    weights: Path
    program: Path
    max_difference: float
    weight_bytes: int
    plain_bytes: int
    output_shape: tuple[int, ...]
    onnx_difference: float | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """What was written, the network first."""
        onnx = () if self.onnx_difference is None else (self.folder / ONNX_FILE,)
        loader = self.folder / LOADER_FILE
        return (self.architecture, self.weights, self.program, *onnx, loader)


def normal_inputs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw inputs of ``shape`` from the standard normal distribution."""
    return torch.randn(*shape, generator=generator)


def token_inputs(vocabulary: int) -> DrawInputs:
    """Return what draws tokens in [0, vocabulary): the inputs of a language model."""

    def draw(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randint(vocabulary, shape, generator=generator)

    return draw


def export_network(
    network: Mapping[str, Any],
    weights: Path,
    folder: Path,
    build: Build,
    draw_inputs: DrawInputs = normal_inputs,
    onnx: bool = False,
) -> ExportResult:
    """Write one network to ``folder``: architecture, weights, program and a script that loads it.

    Everything is first written to a temporary place, read back from there and compared with the
    network on random inputs. Only then it replaces what ``folder`` holds, file by file.

    Args:
        network: plain JSON data with "input_shape", one example's shape without the batch axis.
        weights: a safetensors file with the state of the module that ``build`` returns.
        folder: is made if it is not there.
        build: makes the module, weights free to choose, from what architecture.json holds.
        draw_inputs: draws a batch of random inputs (batch, *input_shape) from a generator.
        onnx: write model.onnx, too.

    Raises:
        UsageError: if the weights are not there, not readable or of another network, or the network
            has no ONNX form.
        ExportError: if a file that was read back computes something else.
        GrowsearchError: if the folder cannot be written.
    """
    shape = _input_shape(network)
    state = without_negative_zeros(read_weights(weights))
    module = with_weights(build, network, state, weights)
    generator = torch.Generator().manual_seed(_SEED)

    def draw(batch: int) -> Tensor:
        return draw_inputs((batch, *shape), generator)

    example = draw(_TRACED_BATCH)
    contents = {
        ARCHITECTURE_FILE: (json.dumps(dict(network), indent=2, allow_nan=False) + "\n").encode(),
        WEIGHTS_FILE: save(module.state_dict()),
        PROGRAM_FILE: _export_program(module, example),
        LOADER_FILE: loader_script(shape, tokens=not example.is_floating_point()).encode(),
    }
    if onnx:
        contents[ONNX_FILE] = onnx_program(module, example)
    with tempfile.TemporaryDirectory(prefix="growsearch-export-") as place:
        staged = Path(place)
        for name, content in contents.items():
            write_bytes(staged / name, content)
        differences = _prove(staged, module, build, draw)
    for name, content in contents.items():
        write_bytes(folder / name, content)
    return ExportResult(
        folder=folder,
        architecture=folder / ARCHITECTURE_FILE,
        weights=folder / WEIGHTS_FILE,
        program=folder / PROGRAM_FILE,
        max_difference=differences[PROGRAM_FILE],
        weight_bytes=len(contents[WEIGHTS_FILE]),
        plain_bytes=plain_bytes(module.state_dict()),
        output_shape=_output_shape(module, example),
        onnx_difference=differences.get(ONNX_FILE),
    )


@torch.no_grad()
def _output_shape(module: nn.Module, example: Tensor) -> tuple[int, ...]:
    return tuple(module(example).shape[1:])


def _input_shape(network: Mapping[str, Any]) -> tuple[int, ...]:
    shape = network.get("input_shape")
    if not isinstance(shape, (list, tuple)) or not all(isinstance(n, int) and n > 0 for n in shape):
        raise UsageError(f"architecture: input_shape = {shape!r} is no list of sizes")
    return tuple(shape)


def _export_program(module: nn.Module, example: Tensor) -> bytes:
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        # Of recurrent layers, whose list of weights is refreshed on the way; the result is proven.
        warnings.filterwarnings("ignore", message=r"The tensor attributes .*_flat_weights")
        program = torch.export.export(module, (example,), dynamic_shapes=({0: batch},))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def _prove(
    folder: Path, module: nn.Module, build: Build, draw: Callable[[int], Tensor]
) -> dict[str, float]:
    """Read everything back, run it, and return the largest difference of each program's outputs."""
    network = json.loads((folder / ARCHITECTURE_FILE).read_text(encoding="utf-8"))
    state = read_weights(folder / WEIGHTS_FILE)
    rebuilt = with_weights(build, network, state, folder / WEIGHTS_FILE)
    # Loading a program runs code that it holds; this one was written by us a moment ago.
    programs: dict[str, Callable[[Tensor], Tensor]] = {
        PROGRAM_FILE: torch.export.load(folder / PROGRAM_FILE).module()
    }
    if (folder / ONNX_FILE).exists():
        programs[ONNX_FILE] = onnx_runner((folder / ONNX_FILE).read_bytes())
    largest = dict.fromkeys(programs, 0.0)
    for batch in _BATCHES:
        inputs = draw(batch)
        with torch.no_grad():
            expected, again = module(inputs), rebuilt(inputs)
            found = {name: program(inputs) for name, program in programs.items()}
        _check_finite(expected)
        if not torch.equal(expected, again):
            raise ExportError(f"{WEIGHTS_FILE} was read back and gives other outputs; not exported")
        for name, outputs in found.items():
            largest[name] = max(largest[name], _difference(name, outputs, expected))
    return largest


def _difference(name: str, outputs: Tensor, expected: Tensor) -> float:
    largest = float((outputs - expected).abs().max())
    if not torch.allclose(outputs, expected, rtol=_RELATIVE_TOLERANCE, atol=_ABSOLUTE_TOLERANCE):
        raise ExportError(
            f"{name} was read back and differs by {largest:.3g} in a batch of {len(expected)}; "
            "not exported"
        )
    return largest


def _check_finite(outputs: Tensor) -> None:
    if not bool(torch.isfinite(outputs).all()):
        raise ExportError("the network gives outputs that are not finite; its training diverged")
