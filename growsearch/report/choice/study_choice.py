"""Choice of a run: which network its study's ``select`` asks for; page, commands and Python agree.

All of them ask `study_choice`, or `choose` where a person asks for something else.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from growsearch.errors import UsageError
from growsearch.pareto import Front, Selection, Wishes
from growsearch.report.run_data import Run, once_a_run, point_of
from growsearch.shown_text import shown
from growsearch.trial.record import Trial

_MOST_LISTED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen of a run's front, and by which wishes.

    ``chosen`` is None where nothing meets the wishes; ``nearest`` then misses them least.
    """

    run: Run
    wishes: Wishes
    front: Front
    selection: Selection
    chosen: Trial | None
    nearest: Trial | None


@once_a_run
def study_choice(run: Run) -> Choice:
    """Return what the study's own ``select`` chooses of its run.

    Raises:
        UsageError: if no finished trial meets the study's constraints, or a bound is on a value
            that the trials do not have.
    """
    return choose(run, run.wishes)


def choose(run: Run, wishes: Wishes) -> Choice:
    """Return what ``wishes`` choose of a run.

    Raises:
        UsageError: as `growsearch.pareto.select` does.
    """
    front = choosable(run)
    selection = front.choose(wishes)
    chosen, nearest = selection.chosen, selection.nearest
    return Choice(
        run=run,
        wishes=wishes,
        front=front,
        selection=selection,
        chosen=None if chosen is None else run.trial(chosen.id),
        nearest=None if nearest is None else run.trial(nearest.id),
    )


def choosable(run: Run) -> Front:
    """Return what a choice is made among: of a finished network's seeds the first alone.

    They are judged by the test examples, which would choose between them.
    """
    front = run.front()
    if run.study.get("whole") is not True or not run.finished:
        return front
    first = min(run.finished, key=lambda trial: trial.number)
    return dataclasses.replace(
        Front.of([point_of(first)], front.directions), wishes=front.wishes, examples=front.examples
    )


def trial_of(run: Run, text: str) -> str:
    """Return the id of the trial that ``text`` is the beginning of, or all of it.

    Raises:
        UsageError: if no id of the run begins so, or several do; the message lists what fits.
    """
    ids = [trial.id for trial in run.trials]
    found = [text] if text in ids else [name for name in ids if text and name.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"trial {shown(text)!r} begins {len(found)} ids: {_listed(found)}; write more of it"
        )
    finished = [trial.id for trial in run.finished]
    raise UsageError(
        f"trial {shown(text)!r} is not in this run; finished ones: {_listed(finished) or 'none'}"
    )


def network_of(run: Run, text: str) -> Trial:
    """Return the finished trial that ``text`` begins; see `trial_of`.

    Raises:
        UsageError: also for a trial that has no network to take.
    """
    trial = run.trial(trial_of(run, text))
    if not trial.finished or trial.network is None:
        raise UsageError(
            f"trial {trial.id} was {trial.status} and has no network; take a finished one"
        )
    return trial


def _listed(ids: list[str]) -> str:
    return ", ".join(ids[:_MOST_LISTED]) + (", ..." if len(ids) > _MOST_LISTED else "")
