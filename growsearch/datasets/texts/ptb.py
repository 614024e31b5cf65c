"""Penn Treebank, word level, 10,000 words (Marcus et al. 1993; files of Mikolov et al. 2010)."""

from __future__ import annotations

from pathlib import Path

from growsearch.datasets.reading.boundary import shown
from growsearch.datasets.reading.official import Download, Layout, Official
from growsearch.datasets.texts.tokens import TokenDataset, encode, read_lines
from growsearch.errors import UsageError

_DOWNLOADS = (
    Download(file="ptb.train.txt", md5="f26c4b92c5fdc7b3f8c7cdcb991d8420"),
    Download(file="ptb.valid.txt", md5="aa0affc06ff7c36e977d7cd49e3839bf"),
    Download(file="ptb.test.txt", md5="8b80168b89c18661a38ef683c0dc3721"),
)
OFFICIAL = Official(
    name="ptb",
    address="http://www.fit.vutbr.cz/~imikolov/rnnlm/simple-examples.tgz",
    layouts=(
        Layout(folder="ptb", downloads=_DOWNLOADS),
        Layout(folder="simple-examples/data", downloads=_DOWNLOADS),
    ),
    unpack=False,
)


def load(data_dir: Path | None) -> TokenDataset:
    """Return 929,589 training, 73,760 validation and 82,430 test tokens, <eos> included.

    The vocabulary is in the order of first appearance in the training text.

    Raises:
        UsageError: if files are missing or empty, or have words that the training text lacks.
    """
    folder, layout = OFFICIAL.locate(data_dir)
    paths = OFFICIAL.require(folder, [download.file for download in layout.downloads])
    parts = [read_lines(path) for path in paths]
    vocabulary = tuple(dict.fromkeys(word for line in parts[0] for word in line))
    if len(vocabulary) == 1:
        raise UsageError(f"{shown(paths[0])}: no words; unpack the official archive again")
    numbers = {word: number for number, word in enumerate(vocabulary)}
    train, validation, test = (
        encode(lines, numbers, path) for lines, path in zip(parts, paths, strict=True)
    )
    return TokenDataset(
        name="ptb", train=train, validation=validation, test=test, vocabulary=vocabulary
    )
