"""Group L2 importance: the norm of all weights that make, normalise and read a channel."""

from __future__ import annotations

from torch import Tensor

from growsearch.pruning.importance.importance import Judged


def group_l2(judged: Judged) -> Tensor:
    """Return the L2 norm (total,) over the group's members, as a share of its group's mean.

    Fang, Ma, Song, Mi and Wang, "DepGraph: Towards Any Structural Pruning", CVPR 2023, eq. 3 and
    section 3.4.
    """
    squares = {name: value.detach().square() for name, value in judged.parameters().items()}
    return judged.group_means(judged.sums(squares, last_norms=False).sqrt())
