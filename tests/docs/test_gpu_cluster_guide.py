"""The study of the guide to GPU clusters is one, and its numbers fit the cluster that it is for."""

import re
from pathlib import Path

import pytest
import yaml

from growsearch.search.config.file import parse_study

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "gpu-cluster.md"
NODES, GPUS, CORES = 4, 8, 64


def study():
    (block,) = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return yaml.safe_load(block)


def test_the_study_is_one():
    config = parse_study(study())
    assert config.trials.max_epochs == 60
    assert config.training.device == "cuda"
    assert config.search.time_limit == 12 * 3600
    assert config.data.image_size == (224, 224)
    assert config.data.validation == pytest.approx(0.05)
    assert config.augmentation is not None


def test_its_trials_fill_the_gpus_and_no_more_than_the_cores():
    written = study()
    search = written["search"]
    assert search["parallel"] * search["gpus_per_trial"] == NODES * GPUS
    assert search["cpus_per_trial"] * GPUS <= CORES
    assert written["data"]["workers"] < search["cpus_per_trial"]
    assert f"{NODES} nodes of {GPUS} GPUs and {CORES}\ncores" in GUIDE.read_text()


def test_its_rungs_are_those_that_it_tells():
    written = study()
    first, eta = (written["search"]["stop_early"][key] for key in ("first", "eta"))
    rungs = [first * eta**power for power in range(9) if first * eta**power < 60]
    assert rungs == [6, 18, 54]
    assert "after 6, 18 and 54 epochs" in GUIDE.read_text()
