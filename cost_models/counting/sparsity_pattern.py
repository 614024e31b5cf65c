"""Sparsity patterns of weights: dense, unstructured or N:M, as the zeros are found to lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from cost_models.errors import CostModelError

if TYPE_CHECKING:
    from torch import Tensor

# Groups that a weight is looked at in: those that hardware or N:M training use.
_GROUPS = (2, 4, 8, 16)
# A trained weight may be zero by chance: so much of an N:M pattern's places must be taken.
_TAKEN = 0.9


@dataclass(frozen=True, slots=True)
class DenseWeight:
    """No zeros worth naming: a device runs the weight as it is.

    Example:
        >>> from cost_models import DenseWeight
        >>> DenseWeight().sparsity
        0.0
    """

    @property
    def sparsity(self) -> float:
        """Fraction of zeros, which is 0."""
        return 0.0


@dataclass(frozen=True, slots=True)
class UnstructuredWeight:
    """Zeros anywhere; `sparsity` is the fraction of zeros, in (0, 1].

    Example:
        >>> import torch
        >>> from cost_models import trace
        >>> layer = torch.nn.Linear(4, 2, bias=False)
        >>> _ = torch.nn.init.ones_(layer.weight).data.view(-1)[:3].zero_()
        >>> trace(layer, (torch.zeros(1, 4),)).layers[0].pattern
        UnstructuredWeight(sparsity=0.375)
    """

    sparsity: float

    def __post_init__(self) -> None:
        if not 0.0 < self.sparsity <= 1.0:
            raise CostModelError(
                f"UnstructuredWeight.sparsity = {self.sparsity}: must lie in (0, 1]; "
                "use DenseWeight() for 0"
            )


@dataclass(frozen=True, slots=True)
class NOfMWeight:
    """At most `n` non-zeros in every `m` neighbours along a row of the weight matrix.

    The matrix of a weight (out, in, kh, kw) is (out, in kh kw).

    Example:
        >>> from cost_models import NOfMWeight
        >>> two_of_four = NOfMWeight(2, 4)
        >>> two_of_four.sparsity
        0.5
        >>> NOfMWeight(1, 2).implies(two_of_four), NOfMWeight(4, 8).implies(two_of_four)
        (True, False)
    """

    n: int
    m: int

    def __post_init__(self) -> None:
        if not 1 <= self.n < self.m:
            raise CostModelError(
                f"NOfMWeight({self.n}, {self.m}): need 1 <= n < m; use DenseWeight() for n = m"
            )

    @property
    def sparsity(self) -> float:
        """Fraction of the weight that the pattern makes zero: 1 - n / m."""
        return 1.0 - self.n / self.m

    def implies(self, other: NOfMWeight) -> bool:
        """Say whether every weight of this pattern has the `other` too, groups laid from 0."""
        if other.m % self.m == 0:
            return self.n * (other.m // self.m) <= other.n
        # A group of m holds whole groups of the other, which may hold all n of it.
        return self.m % other.m == 0 and min(self.n, other.m) <= other.n


SparsityPattern: TypeAlias = DenseWeight | UnstructuredWeight | NOfMWeight


def pattern_of(elements: int, nonzeros: int) -> SparsityPattern:
    """Read the pattern off a weight's element and non-zero counts."""
    return DenseWeight() if nonzeros == elements else UnstructuredWeight(1.0 - nonzeros / elements)


def pattern_of_weight(weight: Tensor) -> SparsityPattern:
    """Read the pattern off a weight (out, in, ...), rows being outputs.

    N:M is what it is called when the fullest group of m has n non-zeros and nine tenths of the
    n / m places are taken; otherwise a sparse weight is unstructured. Of several, the smallest m.
    """
    nonzeros = int(weight.count_nonzero())
    if nonzeros in (0, weight.numel()) or weight.dim() < 2:
        return pattern_of(weight.numel(), nonzeros)
    for m in _GROUPS:
        n = _fullest_group(weight, m)
        if n is not None and n < m and nonzeros * m >= _TAKEN * n * weight.numel():
            return NOfMWeight(n, m)
    return pattern_of(weight.numel(), nonzeros)


def holds(pattern: NOfMWeight, weight: Tensor) -> bool:
    """Say whether a weight (out, in, ...) keeps an N:M pattern, and falls into whole groups."""
    fullest = _fullest_group(weight, pattern.m)
    return fullest is not None and fullest <= pattern.n


def _fullest_group(weight: Tensor, m: int) -> int | None:
    """Count the non-zeros of the fullest group of m; None when rows fall into no whole groups."""
    matrix = (weight != 0).flatten(1)
    if matrix.shape[1] % m:
        return None
    return int(matrix.reshape(-1, m).sum(1).max())


def pattern_to_json(pattern: SparsityPattern) -> dict[str, Any]:
    """Turn a pattern into plain data."""
    match pattern:
        case DenseWeight():
            return {"kind": "dense"}
        case UnstructuredWeight(sparsity=sparsity):
            return {"kind": "unstructured", "sparsity": sparsity}
        case NOfMWeight(n=n, m=m):
            return {"kind": "n-of-m", "n": n, "m": m}


def pattern_from_json(data: Mapping[str, Any]) -> SparsityPattern:
    """Read a pattern back; raises `CostModelError` for a kind that does not exist."""
    match data.get("kind"):
        case "dense":
            return DenseWeight()
        case "unstructured":
            return UnstructuredWeight(float(data["sparsity"]))
        case "n-of-m":
            return NOfMWeight(int(data["n"]), int(data["m"]))
        case kind:
            raise CostModelError(
                f"sparsity pattern kind {kind!r}: valid kinds are dense, unstructured, n-of-m"
            )
