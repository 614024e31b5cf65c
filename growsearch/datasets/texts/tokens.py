"""Token data sets: one long sequence a split, and its vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from growsearch.datasets.reading.boundary import reading, shown
from growsearch.datasets.reading.memory import check_memory_for
from growsearch.datasets.reading.regular_file import read_regular
from growsearch.errors import UsageError

# A word of five letters is a string of 54 bytes, a place in a list and a number.
_BYTES_A_LETTER = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDataset:
    """Token numbers (T,) int64 of three splits; number n is the word ``vocabulary[n]``."""

    name: str
    train: Tensor
    validation: Tensor
    test: Tensor
    vocabulary: tuple[str, ...]


class TokenLoader(Protocol):
    """Reads one text data set."""

    def __call__(self, data_dir: Path | None) -> TokenDataset:
        """Return the data set."""
        ...


def windows(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Cut ``tokens`` (T,) into windows for a transformer.

    Returns:
        Inputs (N, length) and, for each of their tokens, the one that follows (N, length). Windows
        do not overlap; what is left over at the end is dropped.

    Raises:
        UsageError: if there are not enough tokens for one window.
    """
    _check(tokens, length)
    count = (len(tokens) - 1) // length
    inputs, targets = tokens[: count * length], tokens[1 : count * length + 1]
    return inputs.view(count, length), targets.view(count, length)


def streams(tokens: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Cut ``tokens`` (T,) into ``count`` long streams for a recurrent network.

    Returns:
        Inputs (steps, count), each column a continuous text, and the tokens that follow them
        (steps, count). What is left over at the end is dropped.

    Raises:
        UsageError: if there are not enough tokens for one step.
    """
    _check(tokens, count)
    inputs, targets = windows(tokens, (len(tokens) - 1) // count)
    return inputs.T.contiguous(), targets.T.contiguous()


def _check(tokens: Tensor, needed: int) -> None:
    if not 1 <= needed < len(tokens):
        raise UsageError(f"{needed} tokens asked for; valid: 1 to {len(tokens) - 1}")


def read_lines(path: Path) -> list[list[str]]:
    """Return the words of every line of a text file, each closed with <eos>.

    Raises:
        UsageError: if the file is empty, not UTF-8 text or larger than memory allows.
    """
    with reading(path, "not UTF-8 text", "save it as UTF-8, or unpack the official archive again"):
        content = read_regular(path)
        check_memory_for(path, f"{len(content):,} bytes of text", _BYTES_A_LETTER * len(content))
        # With or without the mark that Windows puts before a text, and with any system's line ends.
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    # Only line breaks end a line: other marks that Unicode counts as breaks are part of a text.
    lines = [[*line.split(), "<eos>"] for line in text.removesuffix("\n").split("\n") if text]
    if not lines:
        raise UsageError(f"{shown(path)}: empty; unpack the official archive again")
    return lines


def encode(lines: Sequence[Sequence[str]], numbers: dict[str, int], path: Path) -> Tensor:
    """Return the tokens of ``lines`` one after another (T,).

    Raises:
        UsageError: for a word that ``numbers`` does not have; ``path`` is for the message.
    """
    try:
        return torch.tensor([numbers[word] for line in lines for word in line], dtype=torch.long)
    except KeyError as error:
        raise UsageError(
            f"{shown(path)}: the word {shown(error)} is not in the training text; the files do not "
            "belong together"
        ) from error
