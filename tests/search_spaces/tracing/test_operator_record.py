"""A record of a run says all that was computed, and runs again with other values."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.tracing.operator_record import record_operators


class WrittenOver(nn.Module):
    """In-place activations, sums and writes into views."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.head = nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Linear(4, 3)

    def forward(self, x):
        x = self.relu(self.conv(x))
        x[:, 0] += 1
        x.view(x.shape[0], -1).mul_(2)
        x += x.clone()
        return self.head(x.mean((2, 3)))


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


class OwnBackward(WrittenOver):
    """A function with its own backward pass cannot be made functional by torch."""

    def forward(self, x):
        return self.head(self.relu(Doubled.apply(self.conv(x)) + 0).mean((2, 3)))


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        x = x.flatten(2).transpose(1, 2)[..., :4].contiguous()
        x = F.pad(x, (0, 4 - x.shape[-1]))
        return self.attention(x, x, x)[0]


@pytest.mark.parametrize("network", [WrittenOver, OwnBackward, Attends])
@torch.no_grad()
def test_a_record_run_again_on_other_inputs_gives_what_the_network_gives(network):
    torch.manual_seed(0)
    module, x = network().eval(), torch.randn(2, 1, 6, 6)
    record = record_operators(module, (x,))
    torch.testing.assert_close(record.values[record.outputs[0]], module(x))
    changed = record.run_again({record.inputs[0]: x + 1}, record.plainly)
    torch.testing.assert_close(changed[record.outputs[0]], module(x + 1))
    # A run leaves what was recorded as it is.
    torch.testing.assert_close(record.values[record.outputs[0]], module(x))


@torch.no_grad()
def test_only_what_reads_a_change_runs_again():
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    record = record_operators(module, (torch.randn(3, 4),))
    weight = record.leaves["2.weight"]
    seen = []

    def rule(operator, changed):
        seen.append(operator.name)
        return record.plainly(operator, changed)

    record.run_again({weight: record.values[weight] + 1}, rule)
    assert seen == ["t", "addmm"]


@torch.no_grad()
def test_what_depends_on_inputs_is_told_from_what_depends_on_weights_alone():
    module = nn.Linear(4, 2)
    record = record_operators(module, (torch.randn(3, 4),))
    (turned,) = [op for op in record.operators if op.name == "t"]
    (product,) = [op for op in record.operators if op.name == "addmm"]
    assert turned.outputs[0] not in record.from_inputs
    assert product.outputs[0] in record.from_inputs
    assert record.outputs == product.outputs


@torch.no_grad()
def test_attention_is_recorded_as_products_and_not_as_one_fused_kernel():
    record = record_operators(Attends().eval(), (torch.randn(2, 1, 4, 4),))
    names = [operator.name for operator in record.operators]
    assert names.count("bmm") == 2


@torch.no_grad()
def test_not_a_number_is_no_change():
    class Undefined(nn.Module):
        def forward(self, x):
            return torch.log(x - 1e9)

    record = record_operators(Undefined(), (torch.randn(2, 3),))
    changed = record.run_again({record.inputs[0]: torch.ones(2, 3)}, record.plainly)
    assert record.outputs[0] not in changed
