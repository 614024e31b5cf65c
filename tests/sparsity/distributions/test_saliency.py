import copy
import importlib
import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from growsearch.errors import GrowsearchError, UsageError
from growsearch.sparsity import (
    SALIENCIES,
    Batch,
    layer_sparsities,
    layer_zero_counts,
    prune_by_saliency,
    sparsify,
)
from growsearch.sparsity.distributions import saliency as by_name
from search_spaces.families.gpt import GPTSpace


def linear_with(rows):
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows))
    return layer


def sum_of_outputs(outputs, labels):
    return outputs.sum()


def half_square(outputs, labels):
    return outputs.square().sum() / 2


def one_input(*values, loss=sum_of_outputs):
    return Batch(inputs=torch.tensor([values]), labels=torch.tensor([0]), loss=loss)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    return Batch(inputs=torch.randn(12, 1, 6, 6, generator=generator), labels=torch.arange(12) % 3)


def test_snip_keeps_the_largest_products_of_gradient_and_weight():
    # d sum(W x) / dW is x in each row: |g w| = [[2, 4, 3], [8, 1, 0.3]].
    layer = linear_with([[1.0, -2.0, 30.0], [4.0, 0.5, -3.0]])
    batch = one_input(2.0, 2.0, 0.1)
    masks = prune_by_saliency(layer, sparsity=0.5, method="snip", batch=batch)
    assert masks["weight"].tolist() == [[False, True, True], [True, False, False]]
    assert layer.weight.tolist() == [[0, -2, 30], [4, 0, 0]]


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.reentrant = nn.Linear(6, 8), nn.Linear(8, 3), reentrant

    def forward(self, x):
        x = torch.tanh(self.first(x.flatten(1)[:, :6]))
        if self.reentrant is None:
            return self.second(x)
        return checkpoint(self.second, x, use_reentrant=self.reentrant)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("method", SALIENCIES)
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_layers_have_the_scores_that_others_have(reentrant, method, batch):
    plain, found = (
        prune_by_saliency(Checkpointed(how), sparsity=0.5, method=method, batch=batch)
        for how in (None, reentrant)
    )
    assert set(plain.nonzeros()) == {"first.weight", "second.weight"}
    assert all(torch.equal(plain[name], found[name]) for name in plain.nonzeros())


def test_grasp_removes_what_lowers_the_gradient_flow():
    # L = (w x)^2 / 2: g = (w x) x, H g = (w x) |x|^2 x, so w H g goes as w_i x_i (w x).
    # w x = 3 - 2 + 0.5 + 0.1 = 1.6: the negative product goes first though it is large.
    layer = linear_with([[3.0, -2.0, 0.5, 0.1]])
    batch = one_input(1.0, 1.0, 1.0, 1.0, loss=half_square)
    masks = prune_by_saliency(layer, sparsity=0.25, method="grasp", batch=batch)
    assert masks["weight"].tolist() == [[True, False, True, True]]
    snip = prune_by_saliency(
        linear_with([[3.0, -2.0, 0.5, 0.1]]), sparsity=0.25, method="snip", batch=batch
    )
    assert snip["weight"].tolist() == [[True, True, True, False]]


def test_grasp_divides_the_outputs_by_its_temperature():
    seen = []

    def record(outputs, labels):
        seen.append(outputs.detach().clone())
        return half_square(outputs, labels)

    prune_by_saliency(
        linear_with([[3.0, 1.0]]),
        sparsity=0.5,
        method="grasp",
        batch=one_input(1.0, 1.0, loss=record),
    )
    assert seen[0].item() == pytest.approx(4.0 / 200)


def test_synflow_follows_paths_through_both_layers_by_hand():
    # |W1| rows feed |W2| columns [1, 10]: flow of W1 = [[1, 2], [30, 5]], of W2 = [3, 35].
    model = nn.Sequential(linear_with([[1.0, -2.0], [3.0, -0.5]]), linear_with([[-1.0, 10.0]]))
    masks = prune_by_saliency(model, sparsity=0.5, method="synflow", batch=one_input(1.0, 1.0))
    # Three of six stay: 35 and 30 and the 5 beside them, as 10's other path.
    assert masks["1.weight"].tolist() == [[False, True]]
    assert masks["0.weight"].tolist() == [[False, False], [True, True]]


def test_synflow_reads_the_shape_of_the_data_only(tiny, batch):
    other = Batch(inputs=batch.inputs * 7 - 3, labels=batch.labels.flip(0))
    masks = [
        prune_by_saliency(tiny(), sparsity=0.8, method="synflow", batch=b) for b in (batch, other)
    ]
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in masks[0])


def test_synflow_keeps_every_layer_alive_at_high_sparsity(tiny, batch):
    # 192 weights; 6 stay.
    masks = prune_by_saliency(tiny(), sparsity=1 - 6 / 192, method="synflow", batch=batch)
    assert all(count > 0 for count in masks.nonzeros().values())


def test_force_prunes_slowly_and_lets_weights_come_back(tiny, batch, monkeypatch):
    history = []
    # The package exports a function of the same name as the module, hence import_module.
    module = importlib.import_module("growsearch.sparsity.distributions.force")
    original = module.keep_highest

    def record(request, scores, kept, method):
        masks = original(request, scores, kept, method)
        history.append((scores, masks))
        return masks

    monkeypatch.setattr(module, "keep_highest", record)
    final = prune_by_saliency(tiny(), sparsity=0.9, method="force", batch=batch)
    kept = [sum(int(mask.sum()) for mask in masks.values()) for _, masks in history]
    # k_t = k^((t + 1) / T), k = 19 / 192 (192 - round(172.8) weights stay).
    assert kept == [round(192 * (19 / 192) ** ((t + 1) / 60)) for t in range(59)]
    assert sum(final.nonzeros().values()) == 19
    # A score above 0: a weight that comes back as one of many ties at 0 would prove nothing.
    returned = [
        int((after[name] & ~before[name] & (scores[name] > 0)).sum())
        for (_, before), (scores, after) in itertools.pairwise(history)
        for name in before
    ]
    assert sum(returned) > 0


def test_force_scores_dense_weights_with_the_pruned_networks_gradients():
    # L = (w x)^2 / 2 at x = 1: g = sum of active w for all, so the ranking is by |w| and the
    # largest weights stay; a pruned weight's score uses its dense value, not zero.
    layer = linear_with([[3.0, -2.5, 2.0, 0.1, 0.2, 1.0]])
    batch = one_input(*[1.0] * 6, loss=half_square)
    masks = prune_by_saliency(layer, sparsity=0.5, method="force", batch=batch)
    assert masks["weight"].tolist() == [[True, True, True, False, False, False]]


@pytest.mark.parametrize("method", SALIENCIES)
def test_a_saliency_leaves_the_network_as_it_was_but_for_the_zeros(method, tiny, batch):
    model = tiny()
    model.conv1.weight.grad = torch.ones_like(model.conv1.weight)
    model.norm.eval()
    before = copy.deepcopy(model.state_dict())
    masks = prune_by_saliency(model, sparsity=0.6, method=method, batch=batch)
    for name, value in before.items():
        expected = value * masks[name] if name in masks else value
        assert torch.equal(model.state_dict()[name], expected)
    assert torch.equal(model.conv1.weight.grad, torch.ones_like(model.conv1.weight))
    assert model.training
    assert not model.norm.training


@pytest.mark.parametrize("method", SALIENCIES)
@pytest.mark.parametrize("sparsity", [0.0, 0.37, 0.9])
def test_saliency_masks_have_exactly_the_zeros_asked_for(method, sparsity, tiny, batch):
    exclude = ("fc.weight",)
    masks = prune_by_saliency(
        tiny(), sparsity=sparsity, method=method, batch=batch, exclude=exclude
    )
    assert masks.zeros == round(192 * sparsity)
    assert masks.names == ("conv1.weight", "conv2.weight")


@pytest.mark.parametrize("method", SALIENCIES)
def test_ratios_keep_the_counts_and_redraw_the_positions(method, tiny, batch, generator):
    drawn = sparsify(tiny(), sparsity=0.5, distribution=method, generator=generator, batch=batch)
    chosen = prune_by_saliency(tiny(), sparsity=0.5, method=method, batch=batch)
    assert drawn.nonzeros() == chosen.nonzeros()
    assert not torch.equal(drawn["conv2.weight"], chosen["conv2.weight"])
    sparsities = layer_sparsities(tiny(), 0.5, method, batch=batch)
    zeros = layer_zero_counts(tiny(), 0.5, method, batch=batch)
    for name, count in chosen.nonzeros().items():
        size = chosen[name].numel()
        assert zeros[name] == size - count
        assert sparsities[name] == pytest.approx(1 - count / size)


@pytest.mark.parametrize("method", SALIENCIES)
def test_dropout_does_not_make_scores_random(method):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
    batch = Batch(inputs=torch.randn(5, 6), labels=torch.arange(5) % 3)
    first, second = (
        prune_by_saliency(copy.deepcopy(model), sparsity=0.5, method=method, batch=batch)
        for _ in range(2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_missing_data_unknown_names_and_dense_layers_too_large_are_refused(tiny, batch):
    with pytest.raises(UsageError, match="snip needs data; give batch="):
        layer_sparsities(tiny(), 0.5, "snip")
    with pytest.raises(UsageError, match="unknown 'snap'; valid: snip, grasp, force, synflow"):
        by_name("snap")
    with pytest.raises(UsageError, match="fewer than the excluded layers"):
        layer_sparsities(tiny(), 0.9, "snip", ("conv2.weight",), batch)


def test_scores_that_are_not_finite_are_refused(tiny, batch):
    model = tiny()
    with torch.no_grad():
        model.fc.weight[0, 0] = float("nan")
    with pytest.raises(GrowsearchError, match="not finite"):
        prune_by_saliency(model, sparsity=0.5, method="snip", batch=batch)


def test_grasp_differentiates_attention_twice():
    torch.manual_seed(0)
    space = GPTSpace(
        name="tiny",
        description="",
        input_shape=(4,),
        num_classes=7,
        blocks=1,
        heads=2,
        head_size=3,
    )
    tokens = torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1]])
    batch = Batch(
        inputs=tokens,
        labels=tokens,
        loss=lambda outputs, labels: F.cross_entropy(outputs.flatten(0, 1), labels.flatten()),
    )
    sparsities = layer_sparsities(
        space.network(space.full_widths()), sparsity=0.5, distribution="grasp", batch=batch
    )
    assert any("attention" in name for name in sparsities)
    assert len(set(sparsities.values())) > 1
