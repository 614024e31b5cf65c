"""Workers of a trial in a study: how many there are, and what they cannot do together."""

from typing import Any

import pytest

from growsearch.search.config.study import StudyConfig


def _study(tiny: dict[str, Any], **sections: dict[str, Any]) -> StudyConfig:
    for name, keys in sections.items():
        tiny[name] = {**tiny.get(name, {}), **keys}
    return StudyConfig.model_validate(tiny)


@pytest.mark.parametrize(
    ("search", "training", "workers"),
    [
        ({}, {}, 1),
        ({"workers_per_trial": 2}, {}, 2),
        ({"gpus_per_trial": 4}, {}, 4),
        ({"gpus_per_trial": 4, "workers_per_trial": 4}, {"device": "cuda"}, 4),
        ({"gpus_per_trial": 1}, {}, 1),
        ({"gpus_per_trial": 0.5}, {}, 1),
    ],
)
def test_a_trial_has_as_many_workers_as_are_asked_for_or_as_it_has_gpus(
    tiny: dict[str, Any], search: dict[str, Any], training: dict[str, Any], workers: int
) -> None:
    assert _study(tiny, search={"backend": "ray", **search}, training=training).workers == workers


@pytest.mark.parametrize(
    ("search", "training", "told"),
    [
        ({"backend": "serial"}, {}, "2 workers .* but backend: serial has one"),
        ({}, {"compile": "on"}, "torch.compile cannot; use training.compile: off"),
        ({"gpus_per_trial": 3}, {}, "workers_per_trial = 2, but gpus_per_trial = 3"),
        ({"gpus_per_trial": 0.5}, {}, "workers_per_trial = 2, but gpus_per_trial = 0.5"),
        ({"gpus_per_trial": 2}, {"device": "cuda:1"}, "device = cuda:1 is one device"),
    ],
)
def test_what_workers_cannot_do_together_is_refused_with_a_remedy(
    tiny: dict[str, Any], search: dict[str, Any], training: dict[str, Any], told: str
) -> None:
    keys = {"backend": "ray", "workers_per_trial": 2, **search}
    with pytest.raises(ValueError, match=told):
        _study(tiny, search=keys, training=training)


def test_norms_that_are_not_synchronised_need_several_workers(tiny: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="sync_batchnorm: false, but one worker"):
        _study(tiny, training={"sync_batchnorm": False})
    keys = {"backend": "ray", "workers_per_trial": 2}
    assert not _study(tiny, search=keys, training={"sync_batchnorm": False}).training.sync_batchnorm


def test_kinds_whose_trials_cannot_be_shared_say_why(tiny: dict[str, Any]) -> None:
    keys = {"backend": "ray", "workers_per_trial": 2}
    budget = {"latency[cpu]": {"low": "50%", "high": "90%"}}
    growth = {"growth": {**tiny["trials"]["growth"], "budget": budget}}
    with pytest.raises(ValueError, match=r"trials.growth.budget: latency\[cpu\] is timed by one"):
        _study({**tiny, "trials": growth}, search=keys)
    drawn = {"source": "digits", "scheme": "omp", "sparsity": 0.5}
    tickets = {"tickets": {"space": "resnet14-bottleneck", **drawn, "epochs": 1}}
    with pytest.raises(ValueError, match=r"trials.tickets: pretraining and drawing are one"):
        _study({**tiny, "trials": tickets}, search=keys)
