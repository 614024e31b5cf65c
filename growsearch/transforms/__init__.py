"""Sparse-IFT transforms: larger, sparse networks that cost as much as a dense one (iso-MACs)."""

from growsearch.transforms.applying import Transformed, apply, expand, transform
from growsearch.transforms.expansion import Expansion, ExpansionRequest, Sizes, Transform
from growsearch.transforms.iso_macs import TOLERANCE, MacMatch, match_macs
from growsearch.transforms.mac_profile import MacProfile
from growsearch.transforms.plan import SparsePlan, sparse_plan
from growsearch.transforms.registry import (
    ACTIVATED,
    DENSE,
    DESCRIPTIONS,
    TRANSFORMS,
    transform_called,
)
from growsearch.transforms.replacement import draw_weights
from growsearch.transforms.settings import (
    NO_TRANSFORM,
    POSITIONS,
    SCHEDULED,
    Positions,
    SparseSettings,
)
from growsearch.transforms.targets import sparse_names
from growsearch.transforms.wide_widths import wide_widths

__all__ = [
    "ACTIVATED",
    "DENSE",
    "DESCRIPTIONS",
    "NO_TRANSFORM",
    "POSITIONS",
    "SCHEDULED",
    "TOLERANCE",
    "TRANSFORMS",
    "Expansion",
    "ExpansionRequest",
    "MacMatch",
    "MacProfile",
    "Positions",
    "Sizes",
    "SparsePlan",
    "SparseSettings",
    "Transform",
    "Transformed",
    "apply",
    "draw_weights",
    "expand",
    "match_macs",
    "sparse_names",
    "sparse_plan",
    "transform",
    "transform_called",
    "wide_widths",
]
