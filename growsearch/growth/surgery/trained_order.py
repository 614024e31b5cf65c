"""Order of channels in a trained network, by the size of the weights that make and read them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from growsearch.growth.budget.structures import Structures
from search_spaces import ChannelGroup
from search_spaces.channel_groups import axes_by_tensor


@torch.no_grad()
def trained_order(
    module: nn.Module, structures: Structures, groups: tuple[ChannelGroup, ...]
) -> Tensor:
    """Return the L2 norm (total,) of all weights of every channel, 0 for units.

    The weights are those of all members of its group (Fang et al., DepGraph, CVPR 2023, section
    3.3), so that layers that share a channel judge it together.

    Example:
        >>> import torch
        >>> from growsearch.growth.budget.structures import Structures
        >>> from growsearch.growth.surgery.trained_order import trained_order
        >>> from search_spaces import ChannelGroup, Member
        >>> net = torch.nn.Linear(1, 2)
        >>> _ = net.weight.data.copy_(torch.tensor([[3.0], [0.5]]))
        >>> group = ChannelGroup(name="g", size=2, members=(Member(tensor="weight", axis=0),))
        >>> trained_order(net, Structures.of([group]), (group,)).tolist()
        [3.0, 0.5]
    """
    squares = torch.zeros(structures.total)
    parts, parameters = structures.split(squares), dict(module.named_parameters())
    for name, axes in axes_by_tensor(groups).items():
        if name not in parameters:
            continue
        value = parameters[name].detach().cpu().float().square()
        for axis, group, member in axes:
            rows = value.transpose(0, axis).reshape(value.shape[axis], -1).sum(dim=1)
            entries = member.entries(torch.arange(group.size), group.size)
            parts[group.name] += rows[entries].view(member.blocks, group.size, -1).sum(dim=(0, 2))
    return squares.sqrt()
