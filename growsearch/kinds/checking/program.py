"""A network as a `torch.export` program: its bytes, or the reason in one line why there is none."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from cost_models.counting.plain_signature import ExampleInputs, batch_shapes

_PLACE = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_TORCH = str(Path(torch.__file__).parent)
_MAX_LETTERS = 160


class NoProgramError(Exception):
    """torch cannot export a network; the message is one line for people."""


def program_bytes(
    module: nn.Module,
    example: Tensor | ExampleInputs,
    texts: Mapping[str, str] | None = None,
) -> bytes:
    """Return the program of ``module`` in evaluation mode, for a batch of any size.

    Args:
        module: takes tensors with the batch on axis 0.
        example: a batch of inputs, positional or by name; its size is not kept.
        texts: what goes along by name, for ``extra_files`` of `torch.export.load`.

    Raises:
        NoProgramError: with torch's reason, and the line of the network's code that it names.
    """
    batch = torch.export.Dim("batch", min=1)
    buffer = io.BytesIO()
    try:
        with quiet_exporter():
            given = (example,) if isinstance(example, Tensor) else example
            named = dict(given) if isinstance(given, Mapping) else {}
            positional = () if isinstance(given, Mapping) else tuple(given)
            shapes = batch_shapes(module, given, batch)
            program = torch.export.export(module, positional, named, dynamic_shapes=shapes)
            torch.export.save(program, buffer, extra_files=dict(texts or {}))
    except Exception as error:  # the exporter raises errors of many kinds
        reason = in_one_line(error) + _place(error)
        raise NoProgramError(f"torch.export cannot follow the network ({reason})") from error
    return buffer.getvalue()


def in_one_line(error: Exception) -> str:
    """Return an error's kind and the first line that it says, without codes for terminals."""
    lines = [" ".join(line.split()) for line in _CODES.sub("", str(error)).splitlines()]
    first = next((line for line in lines if line), "no reason given")
    return f"{type(error).__name__}: {first[:_MAX_LETTERS]}"


def _place(error: Exception) -> str:
    """Return where in the network's own code it went wrong, as far as that is known."""
    called = traceback.extract_tb(error.__traceback__)
    frames = [(frame.filename, str(frame.lineno), frame.name) for frame in called]
    for file, line, name in reversed([*frames, *_PLACE.findall(str(error))]):
        if not file.startswith((_TORCH, "<")) and file != __file__:
            return f", at {Path(file).name}:{line} in {name}"
    return ""


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep away what the exporter prints, logs and warns of on the way, hundreds of lines."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            # Also of recurrent layers, whose list of weights is refreshed; programs are proven.
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
