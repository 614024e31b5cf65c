"""How are the zeros of a weight arranged?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from cost_models.errors import CostModelError


@dataclass(frozen=True, slots=True)
class Dense:
    """No zeros worth naming: a device runs the weight as it is."""

    @property
    def sparsity(self) -> float:
        """Fraction of zeros, which is 0."""
        return 0.0


@dataclass(frozen=True, slots=True)
class Unstructured:
    """Zeros anywhere; `sparsity` is the fraction of zeros, in (0, 1]."""

    sparsity: float

    def __post_init__(self) -> None:
        if not 0.0 < self.sparsity <= 1.0:
            raise CostModelError(
                f"Unstructured.sparsity = {self.sparsity}: must lie in (0, 1]; use Dense() for 0"
            )


SparsityPattern: TypeAlias = Dense | Unstructured


def pattern_of(elements: int, nonzeros: int) -> SparsityPattern:
    """Read the pattern off a weight's element and non-zero counts."""
    return Dense() if nonzeros == elements else Unstructured(1.0 - nonzeros / elements)


def pattern_to_json(pattern: SparsityPattern) -> dict[str, Any]:
    """Turn a pattern into plain data."""
    match pattern:
        case Dense():
            return {"kind": "dense"}
        case Unstructured(sparsity=sparsity):
            return {"kind": "unstructured", "sparsity": sparsity}


def pattern_from_json(data: Mapping[str, Any]) -> SparsityPattern:
    """Read a pattern back; raises `CostModelError` for a kind that does not exist."""
    match data.get("kind"):
        case "dense":
            return Dense()
        case "unstructured":
            return Unstructured(float(data["sparsity"]))
        case kind:
            raise CostModelError(
                f"sparsity pattern kind {kind!r}: valid kinds are dense, unstructured"
            )
