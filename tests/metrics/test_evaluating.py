"""Evaluation mode for a while: modes come back, and nothing that was kept in it stays."""

import torch
from torch import nn

from growsearch.metrics import evaluating


class Keeping(nn.Module):
    """Keeps what its weights come to while it is evaluated, as LeViT does with its biases."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0, 3.0]))
        self.kept: torch.Tensor | None = None

    def train(self, mode: bool = True) -> "Keeping":
        super().train(mode)
        if mode:
            self.kept = None
        return self

    def forward(self, x):
        if self.training:
            return x * self.weight.exp()
        if self.kept is None:
            self.kept = self.weight.exp()
        return x * self.kept


def test_a_network_that_keeps_things_is_evaluated_with_its_present_weights():
    net = Keeping()
    with evaluating(net), torch.no_grad():
        net(torch.ones(2))
    with torch.no_grad():
        net.weight.zero_()
    with evaluating(net), torch.no_grad():
        assert torch.equal(net(torch.ones(2)), torch.ones(2))
    assert net.kept is None


def test_gradients_can_be_taken_batch_by_batch():
    net = Keeping()
    for _ in range(2):
        with evaluating(net):
            loss = net(torch.ones(2)).sum()
        (gradient,) = torch.autograd.grad(loss, [net.weight])
        assert torch.allclose(gradient, net.weight.exp())


def test_every_module_has_its_own_mode_again():
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5), nn.Linear(2, 2))
    net[0].eval()
    net[2].eval()
    with evaluating(net):
        assert not any(part.training for part in net.modules())
    assert [part.training for part in net.modules()] == [True, False, True, False]


class Merging(nn.Module):
    """Merges an adapter into its weight for evaluation, and takes it out again for training."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.adapter = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
        self.merged = False

    def train(self, mode: bool = True) -> "Merging":
        super().train(mode)
        if self.merged == mode:
            with torch.no_grad():
                self.weight += -self.adapter if mode else self.adapter
            self.merged = not mode
        return self

    def forward(self, x):
        return x * (self.weight if self.merged else self.weight + self.adapter)


def test_a_module_in_evaluation_mode_is_as_it_was_afterwards():
    for net in (Merging().eval(), nn.Sequential(nn.BatchNorm1d(2), Merging().eval())):
        before = net(torch.ones(4, 2)).detach() if not net.training else None
        inner = net if isinstance(net, Merging) else net[1]
        for _ in range(2):
            with evaluating(net), evaluating(net):
                pass
            assert inner.merged
            assert not inner.training
            assert torch.equal(inner.weight, torch.full((2,), 2.0))
        if before is not None:
            assert torch.equal(net(torch.ones(4, 2)), before)
