import torch
from torch import nn

from search_spaces import ChannelGroup, Member
from search_spaces.tracing.channel_removal import (
    closed_by_norms,
    keep_channels,
    silence_channels,
    try_removal,
)


def two_layers(act=nn.ReLU):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), act(), nn.Linear(4, 2)).eval()


def group(**changes):
    names = ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var")
    members = (*(Member(tensor=n, axis=0) for n in names), Member(tensor="3.weight", axis=1))
    return ChannelGroup(**{"name": "inner", "size": 4, "members": members, **changes})


def test_kept_channels_keep_their_weights_in_their_order():
    module = two_layers()
    weight, reader = module[0].weight.clone(), module[3].weight.clone()
    keep_channels(module, (group(),), {"inner": torch.tensor([0, 3])})
    assert torch.equal(module[0].weight, weight[[0, 3]])
    assert torch.equal(module[3].weight, reader[:, [0, 3]])
    assert (module[0].out_features, module[1].num_features, module[3].in_features) == (2, 2, 2)
    assert module(torch.randn(5, 3)).shape == (5, 2)


def test_silenced_channels_are_zero_where_they_are_read_and_nowhere_else():
    module = two_layers()
    weight = module[0].weight.clone()
    silence_channels(module, (group(),), {"inner": torch.tensor([1])})
    assert torch.equal(module[3].weight[:, 1], torch.zeros(2))
    assert bool(module[3].weight[:, [0, 2, 3]].ne(0).all())
    assert torch.equal(module[0].weight, weight)


def tried(module):
    found = try_removal(module, [group()], (torch.randn(6, 3),))
    return {name: set(halves) for name, halves in found.proven.items()}, set(found.refuted)


def test_channels_that_stand_alone_can_be_removed_and_those_of_a_norm_over_them_cannot():
    assert tried(two_layers()) == ({"inner": {0, 1}}, set())
    mixed = two_layers()
    mixed[2] = nn.LayerNorm(4, elementwise_affine=False)
    assert tried(mixed) == ({}, {"inner"})


def test_a_wrong_declaration_cannot_be_removed():
    class Flipped(nn.Module):
        def forward(self, x):
            return x.flip(1)

    assert tried(two_layers(Flipped)) == ({}, {"inner"})


def test_a_width_of_one_that_the_code_does_not_survive_is_seen():
    class Squeezed(nn.Module):
        def forward(self, x):
            return x.squeeze(1)

    assert tried(two_layers(Squeezed)) == ({}, {"inner"})


def test_what_the_outputs_do_not_hear_proves_nothing():
    deaf = two_layers()
    with torch.no_grad():
        deaf[1].bias[1::2] = -100  # the ReLU behind it is closed for good
    assert tried(deaf) == ({"inner": {0}}, set())
    with torch.no_grad():
        deaf[1].bias[:] = -100
    assert tried(deaf) == ({}, set())


def test_zeros_behind_a_norm_close_channels_unless_something_is_added_on_the_way():
    x = (torch.randn(6, 3),)
    assert closed_by_norms(two_layers(), [group()], x) == {"inner"}
    assert closed_by_norms(two_layers(nn.GELU), [group()], x) == {"inner"}
    assert closed_by_norms(two_layers(nn.Sigmoid), [group()], x) == set()
    assert closed_by_norms(two_layers(nn.Softplus), [group()], x) == set()
