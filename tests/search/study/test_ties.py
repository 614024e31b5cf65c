"""A choice by standard errors is refused where nothing counts examples, before anything trains."""

from typing import Any

import pytest
import torch

from growsearch.datasets import from_tensors, load_dataset
from growsearch.errors import UsageError
from growsearch.kinds import Learning
from growsearch.search.config.file import parse_study
from growsearch.search.study.checks import check_task

SPARSE = {
    "space": "mlp-digits",
    "transform": "none",
    "sparsity": 0.5,
    "distribution": "erk",
    "updater": "static",
    "epochs": 1,
}


def study(ties: str, **objectives: str) -> dict[str, Any]:
    return {
        "name": "ties",
        "dataset": "digits",
        "trials": {"sparse": SPARSE},
        "objectives": objectives or {"accuracy": "maximize", "macs": "minimize"},
        "select": {"ties": ties},
    }


def test_pixels_are_no_examples_that_are_right_or_wrong():
    pixels = torch.arange(60).remainder(2)[:, None, None].expand(60, 8, 8).contiguous()
    learning = Learning(dataset=from_tensors(torch.rand(60, 1, 8, 8), pixels))
    with pytest.raises(UsageError, match=r"select\.ties: cheapest takes labels that are one class"):
        check_task(parse_study(study("cheapest")), learning)
    for ties in ("auto", "highest"):
        check_task(parse_study(study(ties)), learning)
    check_task(parse_study(study("cheapest")), Learning(dataset=load_dataset("digits")))


@pytest.mark.parametrize(
    ("objectives", "problem"),
    [
        ({"accuracy": "maximize"}, "no objective is a cost"),
        ({"accuracy": "maximize", "ece": "minimize"}, "no objective is a cost"),
        ({"macs": "minimize", "accuracy": "maximize"}, "the first objective is macs"),
    ],
)
def test_objectives_without_a_cost_behind_accuracy_have_no_cheapest(objectives, problem):
    with pytest.raises(UsageError, match=problem):
        parse_study(study("cheapest", **objectives))
    parse_study(study("auto", **objectives))
