"""Sparse networks: layer-wise distributions, masks, patterns and mask updaters."""

from growsearch.sparsity.blocks import Blocks, sparsify_blocks
from growsearch.sparsity.coverage import Coverage, mask_coverage
from growsearch.sparsity.distributions import (
    SALIENCIES,
    SPARSITY_DISTRIBUTIONS,
    Batch,
    Distribution,
)
from growsearch.sparsity.dynamic import (
    MASK_UPDATERS,
    Connections,
    CubicSchedule,
    MacSchedule,
    MaskUpdater,
    Timetable,
    make_updater,
)
from growsearch.sparsity.hook import SparseTraining
from growsearch.sparsity.layers import (
    PrunableLayer,
    first_and_last,
    macs_per_weight,
    masked_sparsity,
    prunable_layers,
    prunable_parameters,
)
from growsearch.sparsity.masks import Masks, mask_buffers, masks_in_state
from growsearch.sparsity.n_of_m import NOfM, sparsify_n_of_m
from growsearch.sparsity.pattern_names import StructuredPattern, parse_pattern, pattern_name
from growsearch.sparsity.patterns import Pattern, Unstructured
from growsearch.sparsity.sparsify import (
    layer_sparsities,
    layer_zero_counts,
    prune_by_saliency,
    sparsify,
)

__all__ = [
    "MASK_UPDATERS",
    "SALIENCIES",
    "SPARSITY_DISTRIBUTIONS",
    "Batch",
    "Blocks",
    "Connections",
    "Coverage",
    "CubicSchedule",
    "Distribution",
    "MacSchedule",
    "MaskUpdater",
    "Masks",
    "NOfM",
    "Pattern",
    "PrunableLayer",
    "SparseTraining",
    "StructuredPattern",
    "Timetable",
    "Unstructured",
    "first_and_last",
    "layer_sparsities",
    "layer_zero_counts",
    "macs_per_weight",
    "make_updater",
    "mask_buffers",
    "mask_coverage",
    "masked_sparsity",
    "masks_in_state",
    "parse_pattern",
    "pattern_name",
    "prunable_layers",
    "prunable_parameters",
    "prune_by_saliency",
    "sparsify",
    "sparsify_blocks",
    "sparsify_n_of_m",
]
