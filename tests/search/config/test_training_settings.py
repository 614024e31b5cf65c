"""The training section of a study: what may be written, and what comes of it."""

import pytest
from standin import NAME, plugged_in

from growsearch.errors import UsageError
from growsearch.search.config.file import parse_study

STUDY = {
    "name": "tiny",
    "dataset": "digits",
    "trials": {
        "sparse": {
            "space": "mlp-digits",
            "transform": "none",
            "sparsity": 0.5,
            "distribution": "uniform",
            "updater": "static",
            "epochs": 1,
        }
    },
    "objectives": {"accuracy": "maximize"},
}


def parsed(search=None, **training):
    return parse_study({**STUDY, "training": training, "search": search or {}})


def test_a_study_without_the_section_trains_as_ever_where_there_is_no_accelerator():
    config = parse_study(STUDY)
    assert config.threads == 1
    assert config.to_plain()["training"] == {
        "device": "auto",
        "channels_last": "auto",
        "compile": "off",
        "threads": 1,
        "sync_batchnorm": True,
    }


def test_threads_follow_the_cores_of_a_trial_unless_they_are_written():
    assert parsed({"cpus_per_trial": 3}).threads == 3
    assert parsed({"cpus_per_trial": 3}, threads="auto").to_plain()["training"]["threads"] == 3
    assert parsed({"cpus_per_trial": 3}, threads=2).threads == 2


@pytest.mark.parametrize(("written", "compiles"), [("on", True), ("off", False), (True, True)])
def test_compile_is_on_or_off(written, compiles):
    assert parsed(compile=written).training.computing.compile is compiles


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"device": "gpu"}, r"training\.device.*unknown 'gpu'; here there are: cpu"),
        ({"device": "meta"}, r"training\.device.*unknown 'meta'"),
        ({"precision": "half"}, r"training\.precision = 'half': .*'float32', 'bfloat16' or"),
        ({"channels_last": "yes"}, r"training\.channels_last = 'yes': .*'auto', True or False"),
        ({"compile": "maybe"}, r"training\.compile.*off.*on"),
        ({"threads": 0}, r"training\.threads = 0: auto, or a whole number from 1 to 4,096"),
        ({"threads": True}, r"training\.threads = True: auto, or a whole number"),
        ({"device": "cuda"}, r"Ray hides GPUs from trials that ask for none"),
    ],
)
def test_a_mistake_names_the_key_and_what_is_valid(training, message):
    with pytest.raises(UsageError, match=message):
        parsed(**training)


def test_a_trial_on_cuda_has_a_gpu_of_its_own_or_runs_serially():
    assert parsed({"gpus_per_trial": 1}, device="cuda").training.device == "cuda"
    assert parsed({"backend": "serial"}, device="cuda").training.device == "cuda"


def test_a_backend_that_is_registered_may_be_named():
    with plugged_in():
        assert parsed(device=NAME).training.computing.device == NAME
