"""How does a search run without Ray? One trial after the other, in this process."""

from __future__ import annotations

from growsearch.search.recorder import Recorder
from growsearch.search.sampler import make_sampler
from growsearch.search.study_config import StudyConfig
from growsearch.search.suggest import suggest_candidate
from growsearch.search.telling import create_study, enqueue_unfinished, tell, warm_start
from growsearch.trial.attempts import Run, run_to_its_end
from growsearch.trial.run import Report
from growsearch.trial.task import TrialTask
from growsearch.trial.time_limit import interrupted_after

# A small space can run dry: then the sampler repeats itself, and the search ends.
SUGGESTIONS_A_TRIAL = 5


def run_serial(
    config: StudyConfig, task: TrialTask, recorder: Recorder, report: Report, run: Run
) -> None:
    """Run trials until the ledger holds as many as the study asks for."""
    study = create_study(config, make_sampler(config.search.sampler, config.search.seed))
    warm_start(study, recorder.trials.values(), recorder.starts, config)
    enqueue_unfinished(study, recorder.unfinished())
    wanted = config.search.trials
    for _ in range(SUGGESTIONS_A_TRIAL * wanted):
        if len(recorder.trials) >= wanted:
            return
        asked = study.ask()
        candidate = suggest_candidate(asked, config.trials)
        trial = recorder.known(candidate)
        if trial is None:
            recorder.begin(candidate, asked.params)
            with interrupted_after(task.time_limit_s):
                trial = run_to_its_end(
                    candidate, task, study_seed=config.search.seed, report=report, run=run
                )
            trial = recorder.finish(trial)
        tell(study, asked, trial, config)
