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

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from growsearch.errors import GrowsearchError, UsageError
from growsearch.files import write_bytes

ARCHITECTURE_FILE, WEIGHTS_FILE, PROGRAM_FILE = (
    "architecture.json",
    "weights.safetensors",
    "program.pt2",
)

Build = Callable[[Mapping[str, Any]], nn.Module]
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
    """The three files of an export, and the largest difference of the program's outputs.

    ``max_difference`` is absolute, over random inputs in batches of several sizes. The weights give
    the same outputs to the bit, or there is no result.
    """

    folder: Path
    architecture: Path
    weights: Path
    program: Path
    max_difference: float


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
) -> ExportResult:
    """Write architecture.json, weights.safetensors and program.pt2 of one network to ``folder``.

    Everything is first written to a temporary place, read back from there and compared with the
    network on random inputs. Only then it replaces what ``folder`` holds, file by file.

    Args:
        network: plain JSON data with "input_shape", one example's shape without the batch axis.
        weights: a safetensors file with the state of the module that ``build`` returns.
        folder: is made if it is not there.
        build: makes the module, weights free to choose, from what architecture.json holds.
        draw_inputs: draws a batch of random inputs (batch, *input_shape) from a generator.

    Raises:
        UsageError: if the weights are not there, not readable or of another network.
        ExportError: if a file that was read back computes something else.
        GrowsearchError: if the folder cannot be written.
    """
    shape = _input_shape(network)
    state = _read_weights(weights)
    module = _load(build(network), state, weights)
    generator = torch.Generator().manual_seed(_SEED)

    def draw(batch: int) -> Tensor:
        return draw_inputs((batch, *shape), generator)

    contents = {
        ARCHITECTURE_FILE: (json.dumps(dict(network), indent=2, allow_nan=False) + "\n").encode(),
        WEIGHTS_FILE: safetensors.torch.save(_plain_state(module)),
        PROGRAM_FILE: _export_program(module, draw(_TRACED_BATCH)),
    }
    with tempfile.TemporaryDirectory(prefix="growsearch-export-") as place:
        staged = Path(place)
        for name, content in contents.items():
            write_bytes(staged / name, content)
        difference = _prove(staged, module, build, draw)
    for name, content in contents.items():
        write_bytes(folder / name, content)
    return ExportResult(
        folder=folder,
        architecture=folder / ARCHITECTURE_FILE,
        weights=folder / WEIGHTS_FILE,
        program=folder / PROGRAM_FILE,
        max_difference=difference,
    )


def load_trained(folder: Path, build: Build) -> nn.Module:
    """Return the network that a trial left in ``folder``, in evaluation mode.

    Args:
        folder: holds architecture.json and weights.safetensors.
        build: makes the module, weights free to choose, from what architecture.json holds.

    Raises:
        UsageError: if a file is missing, not readable, or of another network.
    """
    path, weights = folder / ARCHITECTURE_FILE, folder / WEIGHTS_FILE
    try:
        network = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path} is missing; run the trial again to get its network") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); run the trial again") from error
    if not isinstance(network, dict):
        raise UsageError(f"{path} holds no network; run the trial again")
    return _load(build(network), _read_weights(weights), weights)


def _input_shape(network: Mapping[str, Any]) -> tuple[int, ...]:
    shape = network.get("input_shape")
    if not isinstance(shape, (list, tuple)) or not all(isinstance(n, int) and n > 0 for n in shape):
        raise UsageError(f"architecture: input_shape = {shape!r} is no list of sizes")
    return tuple(shape)


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UsageError(f"{path} is missing; run the trial again to get its weights")
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} cannot be read ({error}); run the trial again") from error


def _load(module: nn.Module, state: Mapping[str, Tensor], source: Path) -> nn.Module:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        first = " ".join(str(error).split())[:300]
        raise UsageError(f"{source} holds the weights of another network: {first}") from error
    return module.eval()


def _plain_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the state with each tensor in its own memory, as safetensors asks for."""
    return {
        name: tensor.detach().clone().contiguous() for name, tensor in module.state_dict().items()
    }


def _export_program(module: nn.Module, example: Tensor) -> bytes:
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        # Of recurrent layers, whose list of weights is refreshed on the way; the result is proven.
        warnings.filterwarnings("ignore", message=r"The tensor attributes .*_flat_weights")
        program = torch.export.export(module, (example,), dynamic_shapes=({0: batch},))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def _prove(folder: Path, module: nn.Module, build: Build, draw: Callable[[int], Tensor]) -> float:
    """Read everything back, run it, and return the program's largest difference."""
    network = json.loads((folder / ARCHITECTURE_FILE).read_text(encoding="utf-8"))
    state = safetensors.torch.load_file(folder / WEIGHTS_FILE)
    rebuilt = _load(build(network), state, folder / WEIGHTS_FILE)
    # Loading a program runs code that it holds; this one was written by us a moment ago.
    program = torch.export.load(folder / PROGRAM_FILE).module()
    largest = 0.0
    for batch in _BATCHES:
        inputs = draw(batch)
        with torch.no_grad():
            expected, again, traced = module(inputs), rebuilt(inputs), program(inputs)
        _check_finite(expected)
        if not torch.equal(expected, again):
            raise ExportError(f"{WEIGHTS_FILE} was read back and gives other outputs; not exported")
        if not torch.allclose(traced, expected, rtol=_RELATIVE_TOLERANCE, atol=_ABSOLUTE_TOLERANCE):
            raise ExportError(
                f"{PROGRAM_FILE} was read back and differs by "
                f"{float((traced - expected).abs().max()):.3g} in a batch of {batch}; not exported"
            )
        largest = max(largest, float((traced - expected).abs().max()))
    return largest


def _check_finite(outputs: Tensor) -> None:
    if not bool(torch.isfinite(outputs).all()):
        raise ExportError("the network gives outputs that are not finite; its training diverged")
