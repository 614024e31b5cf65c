"""BatchNorm importance: the absolute scale that a channel's norms give it."""

from __future__ import annotations

from torch import Tensor

from growsearch.pruning.importance.group_l2 import group_l2
from growsearch.pruning.importance.importance import Judged
from search_spaces.channel_groups import BatchNorm


def batchnorm(judged: Judged) -> Tensor:
    """Return the sum of |gamma| (total,) over the BatchNorms of every structure.

    Liu, Li, Shen, Huang, Yan and Zhang, "Learning Efficient Convolutional Networks through Network
    Slimming", ICCV 2017, section 3. Scales are comparable between layers; a group without a
    BatchNorm has the `group_l2` of its channels, brought to the mean scale of the others.
    """
    norms = {
        f"{name}.weight"
        for name, layer in judged.module.named_modules()
        if isinstance(layer, BatchNorm) and layer.affine
    }
    scales = {name: p.detach().abs() for name, p in judged.parameters().items() if name in norms}
    found = judged.sums(scales, last_norms=True)
    parts, live = judged.structures.split(found), judged.structures.split(judged.live)
    normed = {g.name for g in judged.groups if any(member.tensor in norms for member in g.members)}
    values = [parts[name][live[name]] for name in normed]
    known = [value for value in values if len(value)]
    mean = sum(float(value.mean()) for value in known) / max(1, len(known)) or 1.0
    others = judged.structures.split(group_l2(judged))
    for group in judged.groups:
        if group.name not in normed:
            parts[group.name][:] = mean * others[group.name]
    return found
