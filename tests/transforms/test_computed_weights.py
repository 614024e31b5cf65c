"""Networks that compute some of their weights: what is said of them is what a trace says."""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from cost_models import trace
from growsearch.errors import UsageError
from growsearch.sparsity import Timetable
from growsearch.transforms import TRANSFORMS, SparseSettings, sparse_plan, transform

NAMES = ("wide", "parallel", "factorized")
X = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Hyper(nn.Module):
    """Makes a matrix of a vector, by a layer that no input reaches."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.sizes, self.code = (inputs, outputs), nn.Parameter(torch.randn(4))
        self.make = nn.Linear(4, inputs * outputs)

    def forward(self, x):
        return x @ self.make(self.code).view(self.sizes)


def network(*inner: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    first = (nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten())
    between = [each for layer in inner for each in (layer, nn.ReLU())]
    return nn.Sequential(*first, *between, nn.Linear(20, 3))


def rows_pruned() -> nn.Sequential:
    module = network(nn.Linear(216, 20))
    prune.ln_structured(module[0], "weight", 0.5, 2, 0)
    return module


def bias_pruned() -> nn.Sequential:
    module = network(nn.Linear(216, 20))
    prune.random_unstructured(module[0], "bias", 0.5)
    return module


def both() -> nn.Sequential:
    return network(nn.Linear(216, 20), Hyper(20, 20))


def effective(module: nn.Module) -> int:
    return sum(layer.effective_macs for layer in trace(module.eval(), (X[:1],)).layers)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        *((make, f"sparse_{name}") for make in (rows_pruned, bias_pruned) for name in NAMES),
        (both, "sparse_parallel"),
        (both, "sparse_factorized"),
    ],
)
def test_a_report_says_what_a_trace_of_its_result_says(make, name) -> None:
    module = make()
    before = effective(module)
    done = transform(module, name, sparsity=0.75, example_inputs=(X[:1],))
    assert done.match.macs == effective(done.module)
    assert done.match.within_tolerance
    assert done.match.target_macs == before
    assert done.module.train()(X).shape == (4, 3)


def test_of_pruned_rows_half_the_first_layer_is_in_neither_count() -> None:
    # 36 positions of 6 x 9 weights, of which half the filters are 0; 216 x 20 and 20 x 3.
    done = transform(rows_pruned(), "sparse_parallel", sparsity=0.5, example_inputs=(X[:1],))
    assert done.match.target_macs == 36 * 27 + 4320 + 60
    assert done.match.macs == done.match.target_macs


def test_a_plan_that_gets_sparser_counts_them_the_same_way() -> None:
    settings = SparseSettings(sparsity=0.75, transform="sparse_parallel", updater="granet")
    plan = sparse_plan(
        rows_pruned(),
        settings,
        (X[:1],),
        timetable=Timetable(steps=40, interval=10),
        generator=torch.Generator().manual_seed(0),
    )
    assert plan.match.target_macs == 40 * (36 * 27 + 4320 + 60)
    assert plan.match.relative_error == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", ["sparse_parallel", "sparse_factorized", "sparse_doped"])
def test_a_layer_that_runs_on_parameters_alone_stays_and_is_told(name) -> None:
    done = transform(both(), name, sparsity=0.75, example_inputs=(X[:1],))
    assert isinstance(done.module[5].make, nn.Linear)
    assert "does not depend on the inputs" in done.kept["5.make"]
    done.module.train()(X).sum().backward()
    with pytest.raises(UsageError, match="its layer runs on one row"):
        transform(network(Hyper(216, 20)), name, sparsity=0.75, example_inputs=(X[:1],))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_of_stored_weights_the_report_is_as_it_was(name) -> None:
    module = network(nn.Linear(216, 20))
    with torch.no_grad():
        module[0].weight[0] = 0.0  # training fills it again: it is counted
    done = transform(module, name, sparsity=0.75, example_inputs=(X[:1],))
    assert done.match.target_macs == 36 * 54 + 4320 + 60
