"""Export of a run's trial: the network by id, proven equal, with its model card."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from growsearch.export import (
    ExportResult,
    Predictor,
    export_network,
    load_network,
    load_predictor,
    write_card,
)
from growsearch.files import folder_inside
from growsearch.kinds import Network
from growsearch.pareto import Point
from growsearch.report import Run, read_run
from growsearch.report.choice.study_choice import network_of
from growsearch.search.study.run_preprocessing import (
    preprocessing_of_run,
    preprocessing_of_trial,
)
from growsearch.search.study.trial_card import trial_card
from growsearch.trial.record import Trial
from growsearch.trial.trial_folder import trial_folder
from search_spaces.code_origin import FOUND_HERE, CodeNames


def export_trial(
    run: Path,
    which: str | Point | Trial,
    folder: Path | None = None,
    *,
    onnx: bool = False,
    names: CodeNames = FOUND_HERE,
) -> ExportResult:
    """Write the network of a finished trial to ``folder``, by default RUN/export/ID.

    Args:
        run: the run's folder.
        which: a trial or a point of its front, or an id or its unique beginning.
        folder: is made if it is not there.
        onnx: write model.onnx, too.
        names: decides which own code the run may name; by default what this process has found
            before.

    Raises:
        UsageError: if there is no such trial, it has no network, or names code that may not be
            imported.
        GrowsearchError: if what was written is not equal, or cannot be written.
    """
    found = read_run(run)
    trial = find_trial(found, which)
    assert trial.network is not None
    network = Network.from_json(trial.network, names)
    result = export_network(
        network,
        trial_folder(run, trial.id) / "weights.safetensors",
        folder or folder_inside(run, "export", trial.id),
        onnx=onnx,
        preprocessing=preprocessing_of_trial(found, trial, network),
    )
    card = trial_card(found, trial, result, words=network.reads_words)
    write_card(card, result)
    return result


def find_trial(run: Run, which: str | Point | Trial) -> Trial:
    """Return the finished trial that is meant; see `growsearch.report.trial_of`.

    Raises:
        UsageError: if there is none, or several ids begin like this.
    """
    return network_of(run, which if isinstance(which, str) else which.id)


def trial_predictor(
    run: Path, trial: Trial, names: CodeNames = FOUND_HERE, device: str = "cpu"
) -> Predictor:
    """Return the trained network of a finished trial behind its run's preprocessing.

    Raises:
        UsageError: if its files are missing or of another network, its inputs are no image files,
            or it names code that may not be imported.
    """
    about = preprocessing_of_run(run)
    return load_predictor(trial_folder(run, trial.id), names, preprocessing=about, device=device)


def load_trial(run: Path, which: str | Point | Trial) -> nn.Module:
    """Return the trained network of a finished trial, zeros in place, in evaluation mode.

    Raises:
        UsageError: if there is no such trial, or its files are missing or of another network.
    """
    return load_network(trial_folder(run, find_trial(read_run(run), which).id))
