"""Network export: architecture, weights, program and loader, each read back and proven equal."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
from growsearch.export.onnx_file import check_onnx, onnx_program, onnx_runner
from growsearch.export.sparse_weights import (
    plain_bytes,
    read_weights,
    save,
    without_negative_zeros,
)
from growsearch.files import write_bytes
from growsearch.kinds import Network
from growsearch.kinds.checking.program import NoProgramError, in_one_line, program_bytes

PROGRAM_FILE, ONNX_FILE, LOADER_FILE = "program.pt2", "model.onnx", "load.py"

_Draw = Callable[[int], Tensor]

# Batches of one and of sizes that were not traced: the program's batch dimension is dynamic.
_BATCHES = (1, 2, 5)
_TRACED_BATCH = 3
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5
_SEED = 0


class ExportError(GrowsearchError):
    """What was written does not compute what the network computes; nothing was exported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """The files of an export, and the largest difference of the programs' outputs.

    The weights give the same outputs to the bit, or there is no result. A program that cannot be
    made, or computes something else, is not written: ``left_out`` has the reason by file name.
    Differences are absolute, over random inputs in batches of several sizes: ``max_difference`` of
    program.pt2, ``onnx_difference`` of model.onnx in ONNX Runtime, None where it is not there.
    ``weight_bytes`` is the size of the weights' file, sparse where that is smaller, and
    ``plain_bytes`` with every zero written. ``output_shape`` is that of one example.
    """

    folder: Path
    architecture: Path
    weights: Path
    program: Path | None
    max_difference: float | None
    weight_bytes: int
    plain_bytes: int
    output_shape: tuple[int, ...]
    onnx_difference: float | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """What was written, the network first."""
        program = () if self.program is None else (self.program,)
        onnx = () if self.onnx_difference is None else (self.folder / ONNX_FILE,)
        return (self.architecture, self.weights, *program, *onnx, self.folder / LOADER_FILE)


def export_network(
    network: Network, weights: Path, folder: Path, *, onnx: bool = False, classes: bool = True
) -> ExportResult:
    """Write one network to ``folder``: architecture, weights, program and a script that loads it.

    Everything is first written to a temporary place, read back from there and compared with the
    network on random inputs. Only then it replaces what ``folder`` holds, file by file. Where there
    is no program, all else is written, and the script builds the network with growsearch.

    Args:
        network: what the weights are of; random inputs are words where it reads words.
        weights: a safetensors file with the state of the module that ``network`` builds.
        folder: is made if it is not there.
        onnx: write model.onnx, too.
        classes: whether outputs are logits of classes, of which load.py shows the highest.

    Raises:
        UsageError: if the weights are not there, not readable or of another network, or a package
            that ``onnx`` needs is missing.
        ExportError: if the weights that were read back give other outputs, or outputs are not
            finite.
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
    shapes = None if network.own_code else network.shapes()
    state = without_negative_zeros(read_weights(weights, shapes))
    module = load_weights(network.build(), state, weights)
    draw = _drawing(network)
    example = draw(_TRACED_BATCH)
    made = _programs(module, example, onnx)
    written = json.dumps(network.to_json(), indent=2, allow_nan=False)
    contents = {
        ARCHITECTURE_FILE: f"{written}\n".encode(),
        WEIGHTS_FILE: save(module.state_dict()),
        **{name: content for name, content in made.items() if isinstance(content, bytes)},
    }
    with tempfile.TemporaryDirectory(prefix="growsearch-export-") as place:
        staged = Path(place)
        for name, content in contents.items():
            write_bytes(staged / name, content)
        differences = _prove(staged, module, draw)
    refused = {name: why for name, why in {**made, **differences}.items() if isinstance(why, str)}
    tokens = not example.is_floating_point()
    program = PROGRAM_FILE not in refused
    loader = loader_script(shape, tokens=tokens, program=program, classes=classes)
    contents[LOADER_FILE] = loader.encode()
    _replace(folder, contents, refused)
    return ExportResult(
        folder=folder,
        architecture=folder / ARCHITECTURE_FILE,
        weights=folder / WEIGHTS_FILE,
        program=None if PROGRAM_FILE in refused else folder / PROGRAM_FILE,
        max_difference=_number(differences.get(PROGRAM_FILE)),
        weight_bytes=len(contents[WEIGHTS_FILE]),
        plain_bytes=plain_bytes(module.state_dict()),
        output_shape=tuple(_outputs(module, example).shape[1:]),
        onnx_difference=_number(differences.get(ONNX_FILE)),
        left_out=refused,
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


def _programs(module: nn.Module, example: Tensor, onnx: bool) -> dict[str, bytes | str]:
    """Return each program's file, or why there is none."""
    made: dict[str, bytes | str] = {}
    try:
        made[PROGRAM_FILE] = program_bytes(module, example)
    except NoProgramError as error:
        made[PROGRAM_FILE] = str(error)
    if onnx:
        check_onnx()
        try:
            if isinstance(made[PROGRAM_FILE], str):
                raise NoProgramError(f"torch.onnx starts from what {PROGRAM_FILE} would hold")
            made[ONNX_FILE] = onnx_program(module, example)
        except NoProgramError as error:
            made[ONNX_FILE] = str(error)
    return made


def _number(found: float | str | None) -> float | None:
    return None if isinstance(found, str) else found


def _replace(folder: Path, contents: Mapping[str, bytes], refused: Mapping[str, str]) -> None:
    """Write the files; one of an earlier export in the place of a refused one is removed."""
    for name, content in contents.items():
        if name not in refused:
            write_bytes(folder / name, content)
    for name in refused:
        (folder / name).unlink(missing_ok=True)


def _prove(folder: Path, module: nn.Module, draw: _Draw) -> dict[str, float | str]:
    """Read everything back and run it.

    Returns:
        The largest difference of each program's outputs, or why it is of no use.

    Raises:
        ExportError: if the weights give other outputs.
    """
    rebuilt = load_network(folder)
    batches = [draw(batch) for batch in _BATCHES]
    expected = [_outputs(module, inputs) for inputs in batches]
    for inputs, outputs in zip(batches, expected, strict=True):
        _check_finite(outputs)
        if not torch.equal(outputs, _outputs(rebuilt, inputs)):
            raise ExportError(f"{WEIGHTS_FILE} was read back and gives other outputs; not exported")
    return {
        name: _compared(folder / name, run, batches, expected)
        for name, run in _RUNNERS.items()
        if (folder / name).exists()
    }


def _outputs(run: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Run without gradients; networks that draw random numbers draw the same ones every time."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return run(inputs)


def _compared(
    file: Path,
    runner: Callable[[Path], Callable[[Tensor], Tensor]],
    batches: Sequence[Tensor],
    expected: Sequence[Tensor],
) -> float | str:
    largest = 0.0
    try:
        run = runner(file)
        for inputs, wanted in zip(batches, expected, strict=True):
            found = _outputs(run, inputs)
            difference = float((found - wanted).abs().max())
            if not torch.allclose(found, wanted, rtol=_RELATIVE, atol=_ABSOLUTE):
                return (
                    f"it was read back and differs by {difference:.3g} in a batch of {len(wanted)}"
                )
            largest = max(largest, difference)
    except Exception as error:  # a program that was written a moment ago may fail in any way
        return f"it was read back and does not run ({in_one_line(error)})"
    return largest


def _program_runner(file: Path) -> Callable[[Tensor], Tensor]:
    # Loading a program runs code that it holds; this one was written by us a moment ago.
    found: Callable[[Tensor], Tensor] = torch.export.load(file).module()
    return found


def _onnx_file_runner(file: Path) -> Callable[[Tensor], Tensor]:
    found: Callable[[Tensor], Tensor] = onnx_runner(file.read_bytes())
    return found


_RUNNERS = {PROGRAM_FILE: _program_runner, ONNX_FILE: _onnx_file_runner}


def _check_finite(outputs: Tensor) -> None:
    if not bool(torch.isfinite(outputs).all()):
        raise ExportError("the network gives outputs that are not finite; its training diverged")
