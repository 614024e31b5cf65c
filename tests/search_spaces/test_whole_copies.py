"""Copies of networks that hold results, and networks whose parts cannot be changed."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import prune, weight_norm

from growsearch.datasets import from_tensors
from growsearch.errors import UsageError
from growsearch.growth import Budget
from growsearch.kinds.checking.network_checks import check_network
from growsearch.pruning import PruneConfig
from growsearch.pruning import prune as prune_network
from growsearch.sparsity import sparsify
from growsearch.training import Recipe
from growsearch.transforms import TRANSFORMS, transform
from search_spaces import SearchSpaceError
from search_spaces.own_networks.whole_networks import copied, in_the_way
from search_spaces.trace_groups import trace_groups
from search_spaces.trace_units import trace_units

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


class Remembering(nn.Module):
    """Keeps what its layers put out, alone and in a list."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.middle, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.seen, self.all_seen = None, []

    def forward(self, x):
        self.seen = torch.relu(self.first(x))
        y = torch.relu(self.middle(self.seen))
        self.all_seen = [self.seen, y]
        return self.last(y)


def hooked(how):
    torch.manual_seed(0)
    module = nn.Sequential(*(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU()))
    module.extend([nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older hooks are deprecated, and used all the same
        how(module[0])
    return module


HOOKS = {
    "pruned weight": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "pruned bias": lambda layer: prune.random_unstructured(layer, "bias", 0.5),
    "pruned rows": lambda layer: prune.ln_structured(layer, "weight", 0.5, 2, 0),
    "weight norm": weight_norm,
}


def test_a_copy_holds_the_values_of_results_and_no_more():
    network = Remembering()
    out = network(X)
    twin = copied(network)
    assert torch.equal(twin.seen, network.seen)
    assert twin.all_seen[0] is twin.seen
    assert not twin.seen.requires_grad
    assert twin.seen.data_ptr() != network.seen.data_ptr()
    assert torch.equal(twin(X), out)
    with torch.no_grad():
        twin.first.weight.zero_()
    assert torch.equal(network(X), out)


@pytest.mark.parametrize("how", HOOKS)
def test_a_copy_computes_hooked_weights_of_its_own(how):
    module = hooked(HOOKS[how])
    expected = module(X)
    twin = copied(module)
    assert torch.equal(twin(X), expected)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(2)
    assert not torch.allclose(twin(X), expected)
    assert torch.equal(module(X), expected)


class Averaging(Remembering):
    """Sets a buffer to what was computed, as code without `no_grad` does."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("written", torch.zeros(8))

    def forward(self, x):
        out = super().forward(x)
        self.mean = 0.9 * self.mean + 0.1 * self.seen.mean(0)
        self.written.mul_(0.9).add_(self.seen.mean(0))
        return out


def with_second_gradients(module):
    module.scale = torch.ones(3, requires_grad=True)
    loss = (module(X) * module.scale).square().sum()
    (module.scale.grad,) = torch.autograd.grad(loss, module.scale, create_graph=True)


def with_a_result_on_a_tensor(module):
    module.table = torch.arange(3.0)
    module.table.scores = module(X)


HOLDING = {
    "a gradient with a history": with_second_gradients,
    "a tensor on which a result hangs": with_a_result_on_a_tensor,
    "a buffer that was computed": lambda module: module(X),
}


def state(module):
    """Return all that a module holds, tensors by identity and value, and their histories."""
    held = {}
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            inner = value if isinstance(value, dict) else {"": value}
            held |= {(path, name, key): each for key, each in inner.items()}
    told = {}
    for key, each in held.items():
        told[key] = [id(each)]
        if isinstance(each, torch.Tensor):
            grad = id(each.grad) if each.is_leaf else 0
            told[key] += [each.tolist(), each.grad_fn, each.requires_grad, grad, vars(each).copy()]
    return told


@pytest.mark.parametrize("run", ["before", "not before"])
@pytest.mark.parametrize("holds", [None, *HOLDING])
def test_networks_that_hold_results_are_traced_and_checked_and_are_left_as_they_were(holds, run):
    module = Averaging()
    if holds is not None:
        HOLDING[holds](module)
    if run == "before":
        module(X)
    before = state(module)
    found = trace_groups(module, (X,))
    # The buffers have the width of the first layer, and no output depends on them.
    assert {group.name: group.kept for group in found.groups} == {"middle": ""}
    assert trace_units(module, found.groups, (X,)) == ()
    assert check_network(module, (X,), masked=True) == ()
    assert state(module) == before


def test_what_hangs_on_a_leaf_is_copied_as_values():
    module = Averaging()
    with_second_gradients(module)
    with_a_result_on_a_tensor(module)
    twin = copied(module)
    assert twin.scale is not module.scale
    assert twin.scale.requires_grad
    assert torch.equal(twin.scale.grad, module.scale.grad)
    assert twin.scale.grad.grad_fn is None
    assert torch.equal(twin.table.scores, module.table.scores)
    assert twin.table.scores is not module.table.scores
    assert twin.table.scores.grad_fn is None


def test_an_attribute_that_cannot_be_copied_is_named_with_the_remedy():
    module = Remembering()
    module.middle.origin = module(X).grad_fn
    before = state(module)
    message = (
        r"^Remembering: middle\.origin cannot be copied \(copy\.deepcopy\): TypeError: .*Backward"
        r".*; keep in its attributes what can be, such as values \(\.detach\(\)\)"
    )
    for tried in (copied, lambda module: trace_groups(module, (X,))):
        with pytest.raises(SearchSpaceError, match=message):
            tried(module)
    with pytest.raises(UsageError, match=message):
        check_network(module, (X,), masked=True)
    assert state(module) == before


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("how", [None, *HOOKS])
def test_networks_that_hold_results_are_transformed(how, name):
    module = Remembering() if how is None else hooked(HOOKS[how])
    expected = module(X)
    done = transform(module, name, sparsity=0.5, example_inputs=(X[:1],)).module
    assert done(X).shape == (4, 3)
    assert torch.equal(module(X), expected)


def test_networks_that_hold_results_are_traced_and_pruned():
    network = Remembering()
    network(X)
    assert {group.name for group in trace_groups(network, (X,)).groups} == {"first", "middle"}
    data = from_tensors(torch.randn(60, 6), torch.arange(60) % 3)
    config = PruneConfig(recipe=Recipe(epochs=2, batch_size=16))
    result = prune_network(network, data, budget=Budget(macs=0.6), config=config)
    assert result.macs <= result.limit


def plain():
    layers = (nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    return nn.Sequential(*layers)


def compiled(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch warns of itself
        return torch.compile(module, backend="eager")


def scripted_part():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scripting is deprecated, and used all the same
        return nn.Sequential(plain(), torch.jit.script(nn.Linear(3, 3)))


UNFIT = {
    "scripted": (lambda: scripted_part()[1], "it is scripted by torch.jit"),
    "scripted part": (scripted_part, "1 is scripted by torch.jit"),
    "compiled": (lambda: compiled(plain()), "it is compiled by torch.compile"),
    "compiled part": (
        lambda: nn.Sequential(compiled(plain()), nn.Linear(3, 3)),
        "0 is compiled by torch.compile",
    ),
    "meta": (lambda: plain().to("meta"), "0.weight is on the meta device and has no values"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_cannot_be_changed_is_refused_with_the_remedy(kind):
    make, reason = UNFIT[kind]
    module = make()
    assert reason in in_the_way(module)
    with pytest.raises(UsageError, match=reason):
        sparsify(module, sparsity=0.5, generator=torch.Generator())
    for name in TRANSFORMS:
        with pytest.raises(UsageError, match=reason):
            transform(module, name, sparsity=0.5, example_inputs=(X,))
    for look in (trace_groups, lambda module, inputs: trace_units(module, (), inputs)):
        with pytest.raises(SearchSpaceError, match=reason):
            look(module, (X,))


def test_pruning_takes_the_network_out_of_its_compiled_wrapper_and_refuses_the_others():
    data = from_tensors(torch.randn(60, 6), torch.arange(60) % 3)
    config = PruneConfig(recipe=Recipe(epochs=2, batch_size=16))
    module = plain()
    wrapped = compiled(module)
    result = prune_network(wrapped, data, budget=Budget(macs=0.6), config=config)
    assert result.macs <= result.limit
    assert wrapped._orig_mod is module
    assert module[0].out_features == 8
    for kind in ("scripted part", "meta"):
        make, reason = UNFIT[kind]
        with pytest.raises(SearchSpaceError, match=reason):
            prune_network(make(), data, budget=Budget(macs=0.6), config=config)


def test_networks_of_plain_layers_have_nothing_in_the_way():
    assert in_the_way(plain()) == ""
    assert in_the_way(nn.Sequential(nn.LazyLinear(3))) == ""
