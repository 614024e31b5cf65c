"""Registry of transforms, TRANSFORMS: one file a member and one line here."""

from __future__ import annotations

from typing import cast

from growsearch.errors import UsageError
from growsearch.transforms.expansion import Transform
from growsearch.transforms.low_rank import low_rank
from growsearch.transforms.sparse_doped import sparse_doped
from growsearch.transforms.sparse_factorized import sparse_factorized
from growsearch.transforms.sparse_parallel import sparse_parallel
from growsearch.transforms.sparse_wide import sparse_wide
from search_spaces import SearchSpaceError
from search_spaces.user_code import find, is_own

TRANSFORMS: dict[str, Transform] = {
    "sparse_wide": sparse_wide,
    "sparse_parallel": sparse_parallel,
    "sparse_factorized": sparse_factorized,
    "sparse_doped": sparse_doped,
    "low_rank": low_rank,
}

# Those that change widths need the channel groups of the network.
WIDENING = frozenset({"sparse_wide", "low_rank"})

# Those whose weights carry no masks.
DENSE = frozenset({"low_rank"})

# Those with act, BatchNorm and ReLU, that can be left out.
ACTIVATED = ("sparse_parallel", "sparse_factorized", "sparse_doped", "low_rank")

DESCRIPTIONS: dict[str, str] = {
    "sparse_wide": "every channel group sqrt(1/(1-s)) times as wide, sparse",
    "sparse_parallel": "every layer a sum of 1/(1-s) sparse branches",
    "sparse_factorized": "every layer a product of two sparse factors",
    "sparse_doped": "every layer a dense low-rank path plus a sparse one",
    "low_rank": "dense baseline: wider layers as products of low rank, no masks",
}


def check_transform_name(name: str) -> None:
    """Refuse a name that `transform_called` does not know; own code is not looked for yet.

    Raises:
        UsageError: listing the valid names.
    """
    if not is_own(name) and name not in TRANSFORMS:
        raise UsageError(f"transform: unknown {name!r}; valid: {', '.join(TRANSFORMS)}")


def transform_called(name: str) -> Transform:
    """Return the transform called ``name``, or that of own code, "module:attribute".

    Raises:
        UsageError: if there is none; the message lists the valid names.

    Example:
        >>> from torch import nn
        >>> from growsearch.transforms import ExpansionRequest, transform_called
        >>> request = ExpansionRequest(module=nn.Linear(8, 4), sparsity=0.5, dense_ends=False)
        >>> transform_called("sparse_parallel")(request).sparse
        ('branches.0.weight', 'branches.1.weight')
    """
    check_transform_name(name)
    return _own(name) if is_own(name) else TRANSFORMS[name]


def _own(name: str) -> Transform:
    try:
        found = find(name)
    except SearchSpaceError as error:
        raise UsageError(f"transform: {error}") from error
    if not callable(found):
        raise UsageError(f"transform: {name} is a {type(found).__name__}; name a function")
    return cast(Transform, found)
