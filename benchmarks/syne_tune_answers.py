"""Syne Tune's multi-objective methods, asked and told over standard input and output.

Runs under an interpreter that has Syne Tune, which is no dependency of this project; see
`syne_tune_sampler.py`. Lines of JSON: the first one in names the method, the seed, the options of
every decision and the objectives, all minimised. Then {"ask": number} is answered by the decisions
and the CPU seconds so far, and {"tell": number, "values": {...}} is not answered.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from typing import Any

from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice
from syne_tune.optimizer.schedulers.ask_tell_scheduler import AskTellScheduler
from syne_tune.optimizer.schedulers.multiobjective import MultiObjectiveRegularizedEvolution
from syne_tune.optimizer.schedulers.multiobjective.multiobjective_priority import (
    LinearScalarizationPriority,
)
from syne_tune.optimizer.schedulers.single_fidelity_scheduler import SingleFidelityScheduler


def scheduler_of(
    method: str, space: dict[str, Any], objectives: list[str], seed: int
) -> SingleFidelityScheduler:
    """Build a method: Syne Tune's own settings, or a population as small as NSGA-II's.

    "linear" ranks by the mean of the objectives instead of by domination.
    """
    settings: dict[str, Any] = {} if method == "mo-rea" else {"population_size": 20}
    if method == "mo-rea, linear":
        settings["multiobjective_priority"] = LinearScalarizationPriority()
    searcher = MultiObjectiveRegularizedEvolution(space, random_seed=seed, **settings)
    return SingleFidelityScheduler(space, objectives, searcher=searcher, random_seed=seed)


def main() -> None:
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    # What the library prints must not get between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    first = json.loads(sys.stdin.readline())
    space = {name: choice(options) for name, options in first["options"].items()}
    scheduler = AskTellScheduler(
        scheduler_of(first["method"], space, first["objectives"], first["seed"])
    )
    start = time.process_time()
    asked: dict[int, Trial] = {}
    for line in sys.stdin:
        message = json.loads(line)
        if "ask" in message:
            trial = asked[message["ask"]] = scheduler.ask()
            answer = {"config": trial.config, "cpu_s": time.process_time() - start}
            print(json.dumps(answer), file=answers, flush=True)
        else:
            scheduler.tell(asked.pop(message["tell"]), message["values"])


if __name__ == "__main__":
    main()
