"""Repeats of a run: networks of its front, trained again with other seeds, in a ledger apart.

They lie in ``repeats`` inside the run's folder, laid out as a run of their own, so that nothing
which reads the search's ledger takes them for networks of the search.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from growsearch.files import folder_inside
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.record import Trial

REPEATS = "repeats"
LEDGER = "trials.jsonl"


def repeat_seed(study_seed: int, number: int) -> int:
    """Return the study's seed of its repeat ``number``, from 1 on, in [0, 2^31).

    It is drawn and not counted up: seed 1 of a study is no repeat of seed 0.

    Example:
        >>> from growsearch.trial.repeats import repeat_seed
        >>> repeat_seed(0, 1) == repeat_seed(0, 1), repeat_seed(0, 1) == repeat_seed(1, 1)
        (True, False)
    """
    text = f"repeat {number} of seed {study_seed}"
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % 2**31


def read_repeats(run: Path, trials: tuple[Trial, ...]) -> Mapping[str, tuple[Trial, ...]]:
    """Return the repeats of a run's trials by the trials' ids, in the order they ended.

    One belongs to the trial of the same candidate.

    Raises:
        UsageError: for a ledger that cannot be read.
        MachineError: if the folder is a link.
    """
    ledger = folder_inside(run, REPEATS) / LEDGER
    found: dict[str, list[Trial]] = {}
    for repeat in read_ledger(ledger).trials:
        found.setdefault(_key(repeat.config), []).append(repeat)
    if not found:
        return {}
    own = {trial.id: found.get(_key(trial.config), []) for trial in trials}
    return {name: tuple(repeats) for name, repeats in own.items() if repeats}


def _key(config: Mapping[str, Any]) -> str:
    return json.dumps(config, sort_keys=True)
