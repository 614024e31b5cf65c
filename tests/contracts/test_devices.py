"""What trains, trains on any device: as on the CPU, with nothing left behind there."""

import importlib

import pytest
import torch
from device_checks import CHECKS, KIND_CANDIDATES, differences
from standin import NAME, plugged_in

from growsearch.kinds import KINDS

# The fused cells that accelerators have for recurrent layers, and attention, round in another order
# than on the CPU: they are equal to these shares of the largest value of a tensor.
_ROUNDED = {"lstm": 1e-4, "gru": 1e-4, "rnn": 1e-4, "MobileViT": 1e-2}


_DISTRIBUTIONS = "growsearch.sparsity.distributions"


@pytest.fixture(scope="module", autouse=True)
def _standin():
    torch.set_num_threads(1)
    with plugged_in(), pytest.MonkeyPatch.context() as patch:
        # On the way to a sparsity, of a hundred rounds a few are enough here.
        for method in ("force", "synflow"):
            patch.setattr(importlib.import_module(f"{_DISTRIBUTIONS}.{method}"), "_STEPS", 6)
        yield


@pytest.mark.parametrize("name", CHECKS)
def test_a_run_on_another_device_is_that_of_the_cpu(name):
    expected, found = CHECKS[name]("cpu"), CHECKS[name](NAME)
    tolerance = next((_ROUNDED[part] for part in _ROUNDED if part in name), 0.0)
    assert not list(differences(expected, found, tolerance))


def test_every_kind_of_trial_is_checked():
    assert set(KIND_CANDIDATES) == set(KINDS)
