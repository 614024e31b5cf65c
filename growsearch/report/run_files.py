"""Files of a run that are damaged, missing or of no trial: the search's, repeats, finishes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from growsearch.errors import GrowsearchError, UsageError
from growsearch.files import folder_inside
from growsearch.reading import read_json, reading
from growsearch.report.live.starts import read_starts
from growsearch.report.resolved_study import read_resolved_study
from growsearch.report.run_data import LEDGER_FILE, STUDY_FILE, Run, read_history, read_run
from growsearch.shown_text import shown
from growsearch.trial.judged_examples import read_judged
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.record import Trial
from growsearch.trial.repeats import REPEATS
from growsearch.trial.trial_folder import FINISHED, TRIALS, is_trial_id, trial_folder

ARCHITECTURE, WEIGHTS = "architecture.json", "weights.safetensors"
# So many findings of one place are told; the rest is counted.
_MOST = 20
_AGAIN = "restore it, or remove the trial's line of the ledger: the same command trains it again"
_UNKNOWN = "nothing reads it; remove it, or restore the ledger that it belongs to"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFinding:
    """What is said of one place: ``sound``, or a ``problem``, or else odd and harmless.

    ``name`` is the place's path inside the run.
    """

    name: str
    found: str
    remedy: str = ""
    problem: bool = False

    @property
    def sound(self) -> bool:
        """Is there nothing to do?"""
        return not self.remedy


def check_files(folder: Path) -> list[FileFinding]:
    """Return a finding for each ledger of a run with its counts, and one for each file amiss.

    Nothing is written. Weights are read as far as their header, which says whether all is there.

    Args:
        folder: the run's.

    Raises:
        UsageError: if there is no run.
    """
    if not folder.is_dir():
        raise UsageError(f"{shown(str(folder))} is not a folder; give the folder of a run")
    read_resolved_study(folder / STUDY_FILE)
    trials, found = _ledger(folder, folder, "the search")
    repeats = _inside(folder, REPEATS, found)
    if repeats is not None:
        again, more = _ledger(folder, repeats, "repeats of the front")
        found += [*more, *_limited(REPEATS, list(_repeats_of_nothing(trials, again)))]
    finishes = _inside(folder, FINISHED, found)
    if finishes is not None:
        found += _finishes(folder, finishes, trials)
    return found


def _inside(folder: Path, name: str, found: list[FileFinding]) -> Path | None:
    """Return a folder of the run, if it is there; one that leads elsewhere is a problem."""
    if not os.path.lexists(folder / name):
        return None
    try:
        place = folder_inside(folder, name)
    except GrowsearchError as error:
        found.append(_problem(name, str(error), "remove the link"))
        return None
    if place.is_dir():
        return place
    found.append(_problem(name, "is no folder", _UNKNOWN))
    return None


def _ledger(top: Path, folder: Path, what: str) -> tuple[tuple[Trial, ...], list[FileFinding]]:
    """Return the trials of one ledger, and what is said of it and of its trials' files."""
    name = _name(top, folder / LEDGER_FILE)
    try:
        ledger, starts = read_ledger(folder / LEDGER_FILE), read_starts(folder)
        folder_inside(folder, TRIALS)
    except GrowsearchError as error:
        return (), [_problem(name, shown(str(error)), "see the message")]
    trials = ledger.trials
    finished = [trial for trial in trials if trial.finished]
    failed = sum(trial.failed for trial in trials)
    begun = len(set(starts) - {trial.id for trial in trials})
    counts = f"{len(trials)} trainings of {what}, {len(finished)} finished, {failed} failed"
    counts += f", {begun} begun and waiting" if begun else ""
    amiss = [each for trial in finished for each in _amiss(top, folder, trial)]
    odd = list(_of_no_trial(top, folder, {trial.id for trial in trials}, set(starts)))
    notes = [
        FileFinding(name=name, found=shown(note), remedy="nothing: it is run again if it is needed")
        for note in ledger.notes
    ]
    head = FileFinding(name=name, found=f"{counts}, {len(amiss)} files amiss")
    return trials, [head, *notes, *_limited(name, amiss), *_limited(name, odd)]


def _amiss(top: Path, folder: Path, trial: Trial) -> Iterator[FileFinding]:
    """Yield the files of a finished trial that are missing or cannot be read."""
    if trial.network is None:
        return
    place = folder / TRIALS / trial.id
    checks: dict[str, Callable[[], object]] = {
        ARCHITECTURE: lambda: _check_network(place / ARCHITECTURE, trial),
        WEIGHTS: lambda: _check_weights(place / WEIGHTS),
        "history.csv": lambda: read_history(_bare(folder), trial),
        "validation.json": lambda: read_judged(folder, trial),
    }
    try:
        trial_folder(folder, trial.id)
    except GrowsearchError as error:
        yield _problem(_name(top, place), shown(str(error)), _AGAIN)
        return
    for file, check in checks.items():
        try:
            check()
        except GrowsearchError as error:
            yield _problem(_name(top, place / file), shown(str(error)), _AGAIN)


def _check_network(path: Path, trial: Trial) -> None:
    data = read_json(path, "restore it")
    if json.dumps(data, sort_keys=True) != json.dumps(trial.network, sort_keys=True):
        raise UsageError(f"{shown(str(path))}: it is of another network than the ledger's line")


def _check_weights(path: Path) -> None:
    with reading(path, "restore it"):
        # A pipe would be waited for.
        if not path.is_file():
            raise ValueError("it is missing, or no file")
        with safe_open(path, framework="numpy") as file:
            file.keys()


def _bare(folder: Path) -> Run:
    """Return the folder as a run whose files are asked for alone."""
    return Run(folder=folder, study={}, trials=())


def _of_no_trial(
    top: Path, folder: Path, known: set[str], begun: set[str]
) -> Iterator[FileFinding]:
    """Yield what lies among the trials' folders and has no line in the ledger."""
    try:
        places = sorted((folder / TRIALS).iterdir())
    except OSError:
        return
    for place in places:
        if place.name in known:
            continue
        name = shown(_name(top, place))
        if not is_trial_id(place.name) or place.name not in begun:
            yield FileFinding(name=name, found="no ledger knows it", remedy=_UNKNOWN)
        elif (place / ARCHITECTURE).is_file():
            lost = "it has a network and no line in the ledger"
            yield FileFinding(name=name, found=lost, remedy="the same command takes it up again")


def _repeats_of_nothing(
    trials: tuple[Trial, ...], repeats: tuple[Trial, ...]
) -> Iterator[FileFinding]:
    own = {json.dumps(trial.config, sort_keys=True) for trial in trials}
    for each in repeats:
        if json.dumps(each.config, sort_keys=True) not in own:
            yield FileFinding(
                name=f"{REPEATS}/{TRIALS}/{each.id}",
                found="it repeats no trial of this run",
                remedy=_UNKNOWN,
            )


def _finishes(top: Path, folder: Path, trials: tuple[Trial, ...]) -> list[FileFinding]:
    found: list[FileFinding] = []
    for each in sorted(folder.iterdir()):
        name = shown(_name(top, each))
        if each.is_symlink() or not each.is_dir() or not os.path.lexists(each / STUDY_FILE):
            found.append(FileFinding(name=name, found="it is no run", remedy=_UNKNOWN))
            continue
        if not any(each.name.startswith(f"{trial.id}-") for trial in trials):
            why = "it finishes no trial of this run"
            found.append(FileFinding(name=name, found=why, remedy=_UNKNOWN))
        try:
            read_run(each)
        except GrowsearchError as error:
            found.append(_problem(name, shown(str(error)), "see the message"))
            continue
        found += _ledger(top, each, "a choice")[1]
    return found


def _limited(name: str, found: list[FileFinding]) -> list[FileFinding]:
    """Return the first findings of a place, and how many more there are."""
    if len(found) <= _MOST:
        return found
    rest = len(found) - _MOST
    problem = any(each.problem for each in found[_MOST:])
    more = FileFinding(name=name, found=f"{rest} more", remedy="as those above", problem=problem)
    return [*found[:_MOST], more]


def _problem(name: str, found: str, remedy: str) -> FileFinding:
    return FileFinding(name=shown(name), found=found, remedy=remedy, problem=True)


def _name(top: Path, path: Path) -> str:
    return str(path.relative_to(top))
