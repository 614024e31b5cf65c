"""Importances: values by hand, and what holds for every one in the registry."""

import pytest
import torch
from torch import nn

from growsearch.datasets import Dataset, from_tensors
from growsearch.growth import Budget, build_full
from growsearch.growth.budget.structures import Structures
from growsearch.pruning import IMPORTANCES, PruneConfig, prune_costs
from growsearch.pruning.importance.importance import Judged, PruneTask
from growsearch.training import InitialWeights, Recipe, task_of
from search_spaces import ChannelGroup, Member, SearchSpace

ONE, TWO = torch.tensor([[1.0]]), torch.tensor([[2.0]])


def judged(
    module: nn.Module, groups: tuple[ChannelGroup, ...], data: Dataset, count: int
) -> Judged:
    structures = Structures.of(groups)
    task = task_of(data)
    # Classes take turns, whatever order the data came in.
    places = [(data.train.labels == label).nonzero().flatten() for label in (0, 1)]
    least = min(count, *map(len, places))
    batch = data.train.at(torch.stack([p[:least] for p in places], dim=1).flatten()[:count])
    return Judged(
        module=module,
        structures=structures,
        groups=groups,
        units=(),
        live=torch.ones(structures.total, dtype=torch.bool),
        task=task,
        batches=[(batch.inputs, batch.labels)],
    )


@pytest.fixture
def tiny() -> tuple[nn.Module, tuple[ChannelGroup, ...]]:
    """Two hidden channels h = relu(a x), outputs W h; weights are known."""
    net = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    net[0].weight.data = torch.tensor([[3.0], [4.0]])
    net[2].weight.data = torch.tensor([[1.0, 0.0], [0.0, 0.5]])
    members = (Member(tensor="0.weight", axis=0), Member(tensor="2.weight", axis=1))
    return net, (ChannelGroup(name="h", size=2, members=members),)


def _data(*inputs: float) -> Dataset:
    values = torch.tensor(inputs).unsqueeze(1).repeat(20, 1)
    return from_tensors(values, torch.tensor([0, 1] * (len(values) // 2)), num_classes=2)


def _scores(name: str, given: Judged) -> torch.Tensor:
    task = PruneTask(
        projection=None,
        recipe=Recipe(epochs=1),
        epochs=1,
        steps_per_epoch=1,
        generator=torch.Generator(),
    )
    return IMPORTANCES[name](task).scores(given)


def test_group_l2_has_the_weights_on_either_side(tiny) -> None:
    net, groups = tiny
    norms = torch.tensor([10.0, 16.25], dtype=torch.float64).sqrt()
    found = _scores("group-l2", judged(net, groups, _data(1.0, 1.0), 2))
    assert torch.allclose(found, norms / norms.mean())


def test_taylor_is_the_squared_sum_of_gradient_times_weight(tiny) -> None:
    net, groups = tiny
    data = _data(1.0, 1.0)
    given = judged(net, groups, data, 1)
    inputs, label = given.batches[0]
    # Outputs are (3, 2); dL/dz = softmax - onehot. Either side gives W_h h dL/dz: twice in all.
    slope = torch.softmax(net(inputs), dim=1)[0] - nn.functional.one_hot(label[0], 2)
    sums = 2 * torch.stack([3 * slope[0], 2 * slope[1]]).double()
    assert torch.allclose(_scores("taylor", given), sums.square(), rtol=1e-5)


def test_fisher_counts_what_cancels_between_examples(tiny) -> None:
    net, groups = tiny
    net[2].weight.data = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    data = _data(1.0, 1.0)
    given = judged(net, groups, data, 2)
    # Outputs are equal: one label pulls up what the other pulls down.
    assert _scores("taylor", given)[0] == pytest.approx(0, abs=1e-10)
    net[2].weight.data = torch.tensor([[1.0, 0.0], [0.0, 0.5]])
    single = [_scores("taylor", judged(net, groups, data, 1))[0]]
    assert _scores("fisher", judged(net, groups, data, 1))[0] == pytest.approx(float(single[0]))
    mean = _scores("fisher", judged(net, groups, data, 2))[0]
    assert mean > _scores("taylor", judged(net, groups, data, 2))[0]


def test_batchnorm_is_the_scale_and_groups_without_one_have_the_mean_scale() -> None:
    net = nn.Sequential(nn.Linear(1, 2), nn.BatchNorm1d(2), nn.Linear(2, 3), nn.Linear(3, 2))
    net[1].weight.data = torch.tensor([-3.0, 1.0])
    names = ("0.weight", 0), ("0.bias", 0), ("1.weight", 0), ("1.bias", 0), ("2.weight", 1)
    first = tuple(Member(tensor=name, axis=axis) for name, axis in names)
    second = (Member(tensor="2.weight", axis=0), Member(tensor="3.weight", axis=1))
    groups = (
        ChannelGroup(name="a", size=2, members=first),
        ChannelGroup(name="b", size=3, members=second),
    )
    found = _scores("batchnorm", judged(net, groups, _data(1.0, 1.0), 2))
    assert found[:2].tolist() == [3.0, 1.0]
    assert float(found[2:].mean()) == pytest.approx(2.0)


@pytest.mark.parametrize("name", IMPORTANCES)
def test_every_importance_ranks_what_lives_and_leaves_the_network_as_it_is(
    name: str, space: SearchSpace, digits: Dataset, init: InitialWeights
) -> None:
    module = build_full(space, 0, init)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    config = PruneConfig(importance=name)
    costs = prune_costs(space, module, Budget(macs=0.5), config)
    task = PruneTask(
        projection=costs.projection,
        recipe=config.recipe,
        epochs=3,
        steps_per_epoch=4,
        generator=torch.Generator().manual_seed(0),
    )
    given = judged(module, costs.growing.groups, digits, 32)
    ranked = IMPORTANCES[name](task)
    found = ranked.scores(given)
    assert found.shape == (costs.structures.total,)
    assert bool((found >= 0).all())
    assert bool(torch.isfinite(found).all())
    assert torch.equal(found, ranked.scores(given))
    after = module.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert len(set(found[:256].tolist())) > 1 or name == "gates"
