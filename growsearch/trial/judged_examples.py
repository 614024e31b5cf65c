"""Judged examples of a trial: which validation examples its network is right about, a bit each.

They lie in the trial's folder as validation.json, plain data: a run is read without trust.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from growsearch.errors import UsageError
from growsearch.files import write_json
from growsearch.reading import read_json
from growsearch.shown_text import shown
from growsearch.trial.record import Trial
from growsearch.trial.trial_folder import trial_folder

_LOG = logging.getLogger(__name__)

JUDGED_FILE = "validation.json"
FORMAT = 1
# Of more examples nobody asks whether two networks differ by chance; the file stays below 3 MiB.
MAX_EXAMPLES = 2**24
_MAX_BYTES = 3 * 2**20
_REMEDY = "remove it to go without"
# Looking for a file in each of ten thousand folders takes a report's time.
_ASKED = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedExamples:
    """Which examples a network is right about: ``right`` is bool (N,), in the split's order."""

    right: NDArray[np.bool_]

    @property
    def examples(self) -> int:
        """How many there are."""
        return len(self.right)

    @property
    def accuracy(self) -> float:
        """The share of them that are right."""
        return int(self.right.sum()) / len(self.right)


def write_judged(folder: Path, right: NDArray[np.bool_]) -> None:
    """Write ``right`` (N,) into a trial's folder, which must be there; nothing of too many."""
    if not 0 < len(right) <= MAX_EXAMPLES:
        return
    packed = base64.b64encode(np.packbits(right).tobytes()).decode("ascii")
    content = {"format": FORMAT, "split": "validation", "examples": len(right), "right": packed}
    write_json(folder / JUDGED_FILE, content, make_folder=False)


def read_judged(run: Path, trial: Trial) -> JudgedExamples | None:
    """Return what a trial was right about; None where its folder does not say.

    Raises:
        UsageError: for a file that cannot be read, or is of another network than the ledger's line.
    """
    folder = trial_folder(run, trial.id)
    # Most files are there or none is: an exception for each would take a report's time.
    if not os.path.lexists(folder / JUDGED_FILE):
        return None
    path = folder / JUDGED_FILE
    data: Any = read_json(path, _REMEDY, most_bytes=_MAX_BYTES)
    problem, right = _unpacked(data)
    if right is None:
        raise UsageError(f"{shown(str(path))}: {problem}; {_REMEDY}")
    found = JudgedExamples(right=right)
    if abs(found.accuracy - trial.metrics.get("accuracy", -1.0)) > 1e-9:
        raise UsageError(
            f"{shown(str(path))}: {found.accuracy:.4f} of its examples are right, and the ledger "
            f"says accuracy = {trial.metrics.get('accuracy')}: it is of another network; {_REMEDY}"
        )
    return found


def judged_if_readable(run: Path, trial: Trial) -> JudgedExamples | None:
    """Return what a trial was right about; a file that is damaged counts as none, and is told.

    It serves ties and comparisons alone: a search, its front and its report go without.
    """
    try:
        return read_judged(run, trial)
    except UsageError as error:
        _LOG.warning("%s", error)
        return None


def _unpacked(data: Any) -> tuple[str, NDArray[np.bool_] | None]:
    """Return the bits of a file's content, or why there are none."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        return f"is no file of format {FORMAT}", None
    examples, text = data.get("examples"), data.get("right")
    if type(examples) is not int or not 0 < examples <= MAX_EXAMPLES:
        return f"examples is no whole number from 1 to {MAX_EXAMPLES:,}", None
    if not isinstance(text, str):
        return "right is no text", None
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return "right is no base64", None
    if len(packed) != -(-examples // 8):
        return f"right has {len(packed)} bytes, and {examples} examples take another number", None
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8))
    if bits[examples:].any():
        return "right has bits behind its last example", None
    return "", bits[:examples].astype(np.bool_)


def examples_of(run: Path, trials: Iterable[Trial]) -> int | None:
    """Return how many validation examples a run's accuracies are of; None where no trial says.

    All trials of a run are judged on the same, so that one that says it is enough. Of a run that
    began before trials said so the last ones may: some of them are asked.
    """
    judged = [trial for trial in trials if trial.finished and "accuracy" in trial.metrics]
    for trial in judged[: -_ASKED - 1 : -1]:
        found = judged_if_readable(run, trial)
        if found is not None:
            return found.examples
    return None
