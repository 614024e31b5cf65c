"""Network export: architecture, weights, program and loader, each read back and proven equal."""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from growsearch.errors import GrowsearchError
from growsearch.export.loading import (
    ARCHITECTURE_FILE,
    WEIGHTS_FILE,
    load_network,
    load_weights,
    loader_script,
)
from growsearch.export.onnx_file import onnx_program, onnx_runner
from growsearch.export.sparse_weights import (
    plain_bytes,
    read_weights,
    save,
    without_negative_zeros,
)
from growsearch.files import write_bytes
from growsearch.kinds import Network

PROGRAM_FILE, ONNX_FILE, LOADER_FILE = "program.pt2", "model.onnx", "load.py"

_Draw = Callable[[int], Tensor]

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


def export_network(
    network: Network, weights: Path, folder: Path, *, onnx: bool = False
) -> ExportResult:
    """Write one network to ``folder``: architecture, weights, program and a script that loads it.

    Everything is first written to a temporary place, read back from there and compared with the
    network on random inputs. Only then it replaces what ``folder`` holds, file by file.

    Args:
        network: what the weights are of; random inputs are words where it reads words.
        weights: a safetensors file with the state of the module that ``network`` builds.
        folder: is made if it is not there.
        onnx: write model.onnx, too.

    Raises:
        UsageError: if the weights are not there, not readable or of another network, or the network
            has no ONNX form.
        ExportError: if a file that was read back computes something else.
        GrowsearchError: if the folder cannot be written.

    Example:
        >>> from pathlib import Path
        >>> import safetensors.torch
        >>> from growsearch.export import export_network
        >>> from growsearch.kinds import Network
        >>> from search_spaces import search_space
        >>> full = search_space("mlp-digits").largest()
        >>> network = Network(architecture=full, input_shape=(1, 8, 8), num_classes=10)
        >>> _ = safetensors.torch.save_file(network.build().state_dict(), "weights.safetensors")
        >>> result = export_network(network, Path("weights.safetensors"), Path("export"))
        >>> [file.name for file in result.files], result.output_shape
        (['architecture.json', 'weights.safetensors', 'program.pt2', 'load.py'], (10,))
    """
    shape = network.input_shape
    state = without_negative_zeros(read_weights(weights))
    module = load_weights(network.build(), state, weights)
    draw = _drawing(network)
    example = draw(_TRACED_BATCH)
    written = json.dumps(network.to_json(), indent=2, allow_nan=False)
    contents = {
        ARCHITECTURE_FILE: f"{written}\n".encode(),
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
        differences = _prove(staged, module, draw)
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


def _drawing(network: Network) -> _Draw:
    """Return what draws a batch of random inputs: words, or from the normal distribution."""
    generator = torch.Generator().manual_seed(_SEED)
    words, shape = network.reads_words, network.input_shape

    def draw(batch: int) -> Tensor:
        if words:
            return torch.randint(network.num_classes, (batch, *shape), generator=generator)
        return torch.randn(batch, *shape, generator=generator)

    return draw


@torch.no_grad()
def _output_shape(module: nn.Module, example: Tensor) -> tuple[int, ...]:
    return tuple(module(example).shape[1:])


def _export_program(module: nn.Module, example: Tensor) -> bytes:
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        # Of recurrent layers, whose list of weights is refreshed on the way; the result is proven.
        warnings.filterwarnings("ignore", message=r"The tensor attributes .*_flat_weights")
        program = torch.export.export(module, (example,), dynamic_shapes=({0: batch},))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def _prove(folder: Path, module: nn.Module, draw: _Draw) -> dict[str, float]:
    """Read everything back, run it, and return the largest difference of each program's outputs."""
    rebuilt = load_network(folder)
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
