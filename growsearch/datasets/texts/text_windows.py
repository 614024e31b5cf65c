"""Windows of a text: examples that a study can train on, each read alone."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from growsearch.datasets.dataset import Dataset, Split
from growsearch.datasets.texts import ptb
from growsearch.datasets.texts.tokens import TokenDataset, windows

# As Zaremba et al. 2014 unroll their networks.
WINDOW_WORDS = 35


def text_windows(text: TokenDataset, length: int) -> Dataset:
    """Return windows (N, length) of ``text`` as inputs, and the words that follow as labels.

    Raises:
        UsageError: if a part of the text is shorter than a window and a word.
    """

    def part(words: Tensor) -> Split:
        inputs, labels = windows(words, length)
        return Split(inputs=inputs, labels=labels)

    return Dataset(
        name=text.name,
        train=part(text.train),
        validation=part(text.validation),
        test=part(text.test),
        num_classes=len(text.vocabulary),
    )


def load_ptb(data_dir: Path | None) -> Dataset:
    """Return Penn Treebank in windows of 35 words; errors are those of `ptb.load`."""
    return text_windows(ptb.load(data_dir), WINDOW_WORDS)
