"""Registry of layer-wise sparsity distributions, SPARSITY_DISTRIBUTIONS: one line each."""

from __future__ import annotations

from growsearch.errors import UsageError
from growsearch.sparsity.distributions.distribution import Batch, Distribution, SparsityRequest
from growsearch.sparsity.distributions.force import force, force_masks, force_scores
from growsearch.sparsity.distributions.grasp import grasp, grasp_masks, grasp_scores
from growsearch.sparsity.distributions.ratios import (
    er,
    erk,
    erk_plus,
    uniform,
    uniform_plus,
)
from growsearch.sparsity.distributions.saliency import Saliency, SaliencyScores
from growsearch.sparsity.distributions.snip import snip, snip_masks, snip_scores
from growsearch.sparsity.distributions.synflow import synflow, synflow_masks, synflow_scores

SPARSITY_DISTRIBUTIONS: dict[str, Distribution] = {
    "uniform": uniform,
    "uniform+": uniform_plus,
    "er": er,
    "erk": erk,
    "erk+": erk_plus,
    "snip": snip,
    "grasp": grasp,
    "force": force,
    "synflow": synflow,
}

# Those that also say which weights to keep, not only how many in each layer.
SALIENCIES: dict[str, Saliency] = {
    "snip": snip_masks,
    "grasp": grasp_masks,
    "force": force_masks,
    "synflow": synflow_masks,
}


# What those rank the weights by.
SALIENCY_SCORES: dict[str, SaliencyScores] = {
    "snip": snip_scores,
    "grasp": grasp_scores,
    "force": force_scores,
    "synflow": synflow_scores,
}


def sparsity_distribution(name: str) -> Distribution:
    """Return the distribution called ``name``.

    Raises:
        UsageError: if there is none; the message lists the valid names.
    """
    if name not in SPARSITY_DISTRIBUTIONS:
        valid = ", ".join(SPARSITY_DISTRIBUTIONS)
        raise UsageError(f"distribution: unknown {name!r}; valid: {valid}")
    return SPARSITY_DISTRIBUTIONS[name]


def saliency(name: str) -> Saliency:
    """Return the saliency called ``name``.

    Raises:
        UsageError: if there is none; the message lists the valid names.
    """
    if name not in SALIENCIES:
        raise UsageError(f"saliency: unknown {name!r}; valid: {', '.join(SALIENCIES)}")
    return SALIENCIES[name]


__all__ = [
    "SALIENCIES",
    "SALIENCY_SCORES",
    "SPARSITY_DISTRIBUTIONS",
    "Batch",
    "Distribution",
    "Saliency",
    "SaliencyScores",
    "SparsityRequest",
    "saliency",
    "sparsity_distribution",
]
