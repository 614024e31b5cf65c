"""Contract of a transform: a larger network, and the names of the weights to be masked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from growsearch.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """A network in its expanded structure, without masks.

    ``sparse`` names the parameters that carry a mask, in module order; all others stay dense.

    Example:
        >>> from torch import nn
        >>> from growsearch.transforms import Expansion, ExpansionRequest
        >>> def twice(request: ExpansionRequest) -> Expansion:
        ...     module = nn.Sequential(request.module, nn.Linear(2, 2))
        ...     return Expansion(module=module, sparse=("0.weight",))
        >>> twice(ExpansionRequest(module=nn.Linear(4, 2), sparsity=0.5)).sparse
        ('0.weight',)
    """

    module: nn.Module
    sparse: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What fixes the sizes of an expanded network beside its sparsity.

    ``multiple`` is what new widths and ranks are rounded to, so that patterns such as 2:4 fit
    ("sparse_wide", "sparse_factorized"). ``ranks`` are those of "low_rank" by layer path, where
    they were chosen to meet a number of MACs; None is each layer's own nearest rank. ``whole`` are
    the paths of layers that stay one: functions read their weights beside them, and others in
    their place would be passed by.

    Example:
        >>> from growsearch.transforms import Sizes, expand
        >>> from search_spaces import channel_groups, search_space
        >>> space = search_space("mlp-digits")
        >>> dense = space.build(space.largest())
        >>> wide = expand(dense, "sparse_wide", 0.5, sizes=Sizes(multiple=16))
        >>> [group.size for group in channel_groups(wide)]
        [368, 368]
    """

    multiple: int = 1
    ranks: Mapping[str, int] | None = None
    whole: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.multiple < 1:
            raise UsageError(f"multiple: {self.multiple} is below 1")


_DEFAULT_SIZES = Sizes()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpansionRequest:
    """What a transform is asked for.

    ``module`` may be changed. ``sparsity`` is the nominal s in [0, 1), which fixes the sizes.
    ``activation`` puts BatchNorm and ReLU where the paper has act. ``dense_ends`` leaves the first
    and the last layer as they are.

    Example:
        >>> from torch import nn
        >>> from growsearch.transforms import ExpansionRequest
        >>> ExpansionRequest(module=nn.Linear(4, 2), sparsity=0.75).expansion
        4.0
    """

    module: nn.Module
    sparsity: float
    activation: bool = True
    dense_ends: bool = True
    sizes: Sizes = _DEFAULT_SIZES

    def __post_init__(self) -> None:
        if not 0.0 <= self.sparsity < 1.0:
            raise UsageError(f"sparsity: {self.sparsity} is outside [0, 1)")

    @property
    def expansion(self) -> float:
        """How many times more weights the network may have at equal MACs: 1 / (1 - s)."""
        return 1.0 / (1.0 - self.sparsity)


Transform = Callable[[ExpansionRequest], Expansion]

# Sizes are floored or ceiled: 3.0000000000000004 units are 3.
ROUNDING_SLACK = 1e-9
