"""Network export: architecture, weights, programs and loader, each read back and proven equal."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from growsearch.datasets.preprocessing import PREPROCESSING_FILE, Preprocessing
from growsearch.export.image_entry import ImageEntry
from growsearch.export.loader import LOADER_FILE, READER_FILE, loader_script, reader_script
from growsearch.export.loading import ARCHITECTURE_FILE, WEIGHTS_FILE, load_weights
from growsearch.export.onnx_file import check_onnx, onnx_program, with_texts
from growsearch.export.proving import (
    BATCHES,
    IMAGE_ONNX_FILE,
    IMAGE_PROGRAM_FILE,
    ONNX_FILE,
    PROGRAM_FILE,
    prove,
    random_images,
)
from growsearch.export.proving import outputs_of as _outputs
from growsearch.export.sparse_weights import (
    plain_bytes,
    read_weights,
    save,
    without_negative_zeros,
)
from growsearch.files import write_bytes
from growsearch.kinds import Network
from growsearch.kinds.checking.program import NoProgramError, program_bytes

_Draw = Callable[[int], Tensor]

_TRACED_BATCH = 3
_SEED = 0
# In the order in which people are told of them.
_FILES = (
    ARCHITECTURE_FILE,
    WEIGHTS_FILE,
    PREPROCESSING_FILE,
    PROGRAM_FILE,
    IMAGE_PROGRAM_FILE,
    ONNX_FILE,
    IMAGE_ONNX_FILE,
    LOADER_FILE,
    READER_FILE,
)
_NOTHING_SAID = Preprocessing(raw_because="who exported it did not say what its inputs were")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """The files of an export, and the largest difference of the programs' outputs.

    The weights give the same outputs to the bit, or there is no result. A program that cannot be
    made, or computes something else, is not written: ``left_out`` has the reason by file name.
    Differences are absolute, over random inputs in batches of several sizes: ``max_difference`` of
    program.pt2, ``onnx_difference`` of model.onnx in ONNX Runtime, ``image_difference`` and
    ``image_onnx_difference`` of those that take images; None where it is not there.
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
    image_difference: float | None = None
    image_onnx_difference: float | None = None
    preprocessing: Preprocessing = _NOTHING_SAID
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def differences(self) -> dict[str, float]:
        """The differences of the programs that are there, by file name."""
        found = {
            PROGRAM_FILE: self.max_difference,
            IMAGE_PROGRAM_FILE: self.image_difference,
            ONNX_FILE: self.onnx_difference,
            IMAGE_ONNX_FILE: self.image_onnx_difference,
        }
        return {name: value for name, value in found.items() if value is not None}

    @property
    def image_program(self) -> Path | None:
        """The program that takes images, where there is one."""
        return None if self.image_difference is None else self.folder / IMAGE_PROGRAM_FILE

    @property
    def reads_files(self) -> bool:
        """Does load.py take image files?"""
        images = self.preprocessing.images
        return self.image_program is not None and images is not None and images.of_files

    @property
    def files(self) -> tuple[Path, ...]:
        """What was written, the network first."""
        written = {ARCHITECTURE_FILE, WEIGHTS_FILE, PREPROCESSING_FILE, LOADER_FILE}
        written |= {*self.differences, *([READER_FILE] if self.reads_files else [])}
        return tuple(self.folder / name for name in _FILES if name in written)


def export_network(
    network: Network,
    weights: Path,
    folder: Path,
    *,
    onnx: bool = False,
    preprocessing: Preprocessing | None = None,
    classes: Sequence[str] | None = None,
) -> ExportResult:
    """Write one network to ``folder``: architecture, weights, programs and a script that runs them.

    Everything is first written to a temporary place, read back from there and compared with the
    network on random inputs. Only then it replaces what ``folder`` holds, file by file. Where there
    is no program, all else is written, and the script builds the network with growsearch.

    Args:
        network: what the weights are of; random inputs are words where it reads words.
        weights: a safetensors file with the state of the module that ``network`` builds.
        folder: is made if it is not there.
        onnx: write model.onnx, too.
        preprocessing: what the network reads and gives. With images there are programs that take
            their pixels (N, H, W, C) and give probabilities of classes and labels. By default the
            inputs are raw, and the outputs of an unknown kind.
        classes: the names of classes, for outputs that are theirs, in the place of those that
            ``preprocessing`` has.

    Raises:
        UsageError: if the weights are not there, not readable or of another network, the
            preprocessing is of another one, or a package that ``onnx`` needs is missing.
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
        >>> result.output_shape
        (10,)
        >>> [file.name for file in result.files][1:]
        ['weights.safetensors', 'preprocessing.json', 'program.pt2', 'load.py']
    """
    about = _described(network, preprocessing, classes)
    shapes = None if network.own_code else network.shapes()
    state = without_negative_zeros(read_weights(weights, shapes))
    module = load_weights(network.build(), state, weights)
    draw = _drawing(network)
    example = draw(_TRACED_BATCH)
    made = _programs(module, example, about, onnx=onnx)
    contents = {
        ARCHITECTURE_FILE: _json(network.to_json()),
        WEIGHTS_FILE: save(module.state_dict()),
        PREPROCESSING_FILE: _json(about.to_json()),
        READER_FILE: reader_script().encode(),
        **{name: content for name, content in made.items() if isinstance(content, bytes)},
    }
    with tempfile.TemporaryDirectory(prefix="growsearch-export-") as place:
        staged = Path(place)
        for name, content in contents.items():
            write_bytes(staged / name, content)
        differences = prove(staged, module, [draw(batch) for batch in BATCHES], about)
    refused = {name: why for name, why in {**made, **differences}.items() if isinstance(why, str)}
    result = ExportResult(
        folder=folder,
        architecture=folder / ARCHITECTURE_FILE,
        weights=folder / WEIGHTS_FILE,
        program=None if PROGRAM_FILE in refused else folder / PROGRAM_FILE,
        max_difference=_number(differences.get(PROGRAM_FILE)),
        weight_bytes=len(contents[WEIGHTS_FILE]),
        plain_bytes=plain_bytes(module.state_dict()),
        output_shape=tuple(_outputs(module, example).shape[1:]),
        onnx_difference=_number(differences.get(ONNX_FILE)),
        image_difference=_number(differences.get(IMAGE_PROGRAM_FILE)),
        image_onnx_difference=_number(differences.get(IMAGE_ONNX_FILE)),
        preprocessing=about,
        left_out=refused,
    )
    contents[LOADER_FILE] = loader_script(
        network.input_shape,
        about,
        tokens=not example.is_floating_point(),
        program=PROGRAM_FILE not in refused,
        images=PROGRAM_FILE not in refused and result.reads_files,
    ).encode()
    _replace(result, contents)
    return result


def _described(
    network: Network, preprocessing: Preprocessing | None, classes: Sequence[str] | None
) -> Preprocessing:
    """Return what is known of inputs and outputs, which has to fit the network."""
    about = preprocessing or _NOTHING_SAID
    if classes is not None:
        outputs = "classes" if preprocessing is None else about.outputs
        about = dataclasses.replace(about, classes=tuple(classes), outputs=outputs)
    about.check_fits(network.input_shape, network.num_classes)
    return about


def _json(data: object) -> bytes:
    return f"{json.dumps(data, indent=2, allow_nan=False)}\n".encode()


def _drawing(network: Network) -> _Draw:
    """Return what draws a batch of random inputs: words, or from the normal distribution."""
    generator = torch.Generator().manual_seed(_SEED)
    words, shape = network.reads_words, network.input_shape

    def draw(batch: int) -> Tensor:
        if words:
            return torch.randint(network.num_classes, (batch, *shape), generator=generator)
        return torch.randn(batch, *shape, generator=generator)

    return draw


def _programs(
    module: nn.Module, example: Tensor, about: Preprocessing, *, onnx: bool
) -> dict[str, bytes | str]:
    """Return each program's file, or why there is none."""
    if onnx:
        check_onnx()
    makes: dict[str, Callable[[], bytes]] = {PROGRAM_FILE: lambda: program_bytes(module, example)}
    if onnx:
        makes[ONNX_FILE] = lambda: onnx_program(module, example)
    if about.images is not None:
        entry = ImageEntry(module, about.images, about.outputs).eval()
        pixels = random_images(about.images, _TRACED_BATCH)
        # They go along, so that a program by itself says what it reads and gives.
        texts = {PREPROCESSING_FILE: json.dumps(about.to_json(), allow_nan=False)}
        makes[IMAGE_PROGRAM_FILE] = lambda: program_bytes(entry, pixels, texts)
        if onnx:
            makes[IMAGE_ONNX_FILE] = lambda: with_texts(onnx_program(entry, pixels), texts)
    made: dict[str, bytes | str] = {}
    for name, make in makes.items():
        if isinstance(made.get(PROGRAM_FILE), str):
            start = "torch.onnx starts" if name.endswith(".onnx") else "it starts"
            made[name] = f"{start} from what {PROGRAM_FILE} would hold"
            continue
        try:
            made[name] = make()
        except NoProgramError as error:
            made[name] = str(error)
    return made


def _number(found: float | str | None) -> float | None:
    return None if isinstance(found, str) else found


def _replace(result: ExportResult, contents: Mapping[str, bytes]) -> None:
    """Write the result's files; those of an earlier export that it has not are removed."""
    written = {file.name for file in result.files}
    for name, content in contents.items():
        if name in written:
            write_bytes(result.folder / name, content)
    for name in {*_FILES} - written:
        (result.folder / name).unlink(missing_ok=True)
