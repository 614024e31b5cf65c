import pytest
import torch
from torch import nn

from growsearch.errors import UsageError
from growsearch.growth.gates.gate import Gate, GatedBatchNorm
from growsearch.growth.gates.insertion import insert_gates
from search_spaces import ChannelGroup, channel_groups


def _norm_and_gate():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm, Gate(torch.tensor([1.0, 0.25, 0.0]))


@pytest.mark.parametrize("training", [True, False])
def test_a_gate_multiplies_what_batch_norm_puts_out(training):
    norm, gate = _norm_and_gate()
    gated = GatedBatchNorm(norm, gate).train(training)
    norm.train(training)
    x = torch.randn(8, 3, 4, 4)
    expected = norm(x) * torch.tensor([1.0, 0.25, 0.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(gated(x), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gated.running_mean, norm.running_mean)
    assert torch.equal(gated.num_batches_tracked, norm.num_batches_tracked)


def test_an_open_gate_changes_nothing():
    norm, _ = _norm_and_gate()
    gated = GatedBatchNorm(norm, Gate(torch.ones(3)))
    x = torch.randn(8, 3, 4, 4)
    assert torch.equal(gated(x), norm(x))


@pytest.mark.parametrize("training", [True, False])
def test_folding_gives_the_same_output_bit_for_bit(training):
    norm, gate = _norm_and_gate()
    gated = GatedBatchNorm(norm, gate).train(training)
    plain = gated.folded()
    assert type(plain) is nn.BatchNorm2d
    assert plain.training is training
    x = torch.randn(8, 3, 4, 4)
    assert torch.equal(plain(x), gated(x))


def test_the_gates_gradient_is_that_of_the_output_scale_summed_over_layers():
    norm, gate = _norm_and_gate()
    one, two = GatedBatchNorm(norm, gate).eval(), GatedBatchNorm(norm, gate).eval()
    x = torch.randn(2, 3, 1, 1)
    (one(x).sum() + 3 * two(x).sum()).backward()
    expected = 4 * norm.eval()(x).sum(dim=(0, 2, 3))
    torch.testing.assert_close(gate.value.grad, expected)


def test_behind_batch_norm_a_gate_gets_a_gradient_where_one_before_it_gets_none():
    torch.manual_seed(0)
    conv, norm, x = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), torch.randn(16, 1, 5, 5)
    before = torch.full((3, 1, 1), 0.5, requires_grad=True)
    norm(conv(x) * before).square().sum().backward()
    gate = Gate(torch.full((3,), 0.5))
    GatedBatchNorm(norm, gate)(conv(x)).square().sum().backward()
    # What is left of the first is BatchNorm's epsilon.
    assert before.grad.abs().max() < 1e-2 * gate.value.grad.abs().min()


def test_every_batch_norm_of_a_group_shares_one_gate(space):
    model = space.build(space.largest())
    gates = insert_gates(model, channel_groups(model))
    block = model.stages[1][0]
    assert block.second.norm.gate is block.shortcut.norm.gate is gates["stage1"]
    assert block.first.norm.gate is gates["stage1.block0"]
    assert not any(type(layer) is nn.BatchNorm2d for layer in model.modules())
    assert [g.size for g in channel_groups(model)] == [4, 4, 8, 8]


def test_a_group_that_nothing_reads_cannot_be_gated():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(UsageError, match="'bare' no layer reads its channels"):
        insert_gates(model, (ChannelGroup(name="bare", size=2, members=()),))
