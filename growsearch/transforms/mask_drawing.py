"""Mask drawing for an expanded network that is to do a number of MACs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from growsearch.sparsity.blocks import Blocks
from growsearch.sparsity.distributions import SALIENCY_SCORES, Batch, SparsityRequest
from growsearch.sparsity.distributions.saliency import check_finite
from growsearch.sparsity.dynamic.mac_schedule import kept_at_macs
from growsearch.sparsity.layers import prunable_layers
from growsearch.sparsity.n_of_m import NOfM
from growsearch.sparsity.patterns import highest
from growsearch.sparsity.sparsify import layer_zero_counts, random_mask
from growsearch.transforms.iso_macs import MacMatch, check_reach, solve_zeros, tune_zeros
from growsearch.transforms.mac_profile import MacProfile
from growsearch.transforms.settings import SparseSettings

# Methods whose scores depend on how many weights will stay.
_ITERATIVE = frozenset({"force", "synflow"})
# Their scores are taken again until the density that they were taken at is this near, relatively.
_NEAR_ENOUGH = 0.05
_MAX_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskJob:
    """The layers of a network that get masks, and by which rule; all others stay dense."""

    module: nn.Module
    profile: MacProfile
    sparse: tuple[str, ...]
    settings: SparseSettings
    batch: Batch | None

    @property
    def excluded(self) -> frozenset[str]:
        """The prunable parameters that stay dense."""
        return frozenset(self.profile.weights) - frozenset(self.sparse)

    @property
    def macs_per_weight(self) -> dict[str, int]:
        """Output positions of the layers that get masks."""
        return {name: self.profile.per_weight[name] for name in self.sparse}

    @property
    def masked_macs(self) -> int:
        """MACs of these layers with every weight active."""
        return sum(self.profile.weights[n] * self.profile.per_weight[n] for n in self.sparse)

    @property
    def dense_macs(self) -> int:
        """MACs of everything else."""
        return self.profile.dense_macs - self.masked_macs


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnMasks:
    """Masks by parameter name, and how near they come to the MACs asked for."""

    masks: Mapping[str, Tensor]
    match: MacMatch


def draw_masks(job: MaskJob, target_macs: int, generator: torch.Generator) -> DrawnMasks:
    """Return masks under which one example takes ``target_macs``, or as near as whole units come.

    An N:M pattern has no choice: what its layers then do is what the match says.

    Raises:
        UsageError: if the dense layers leave no MACs for the others, or the distribution refuses.
    """
    shapes = {layer.name: torch.Size(layer.shape) for layer in prunable_layers(job.module)}
    pattern = job.settings.pattern
    if isinstance(pattern, NOfM):
        masks = {n: pattern.mask(torch.rand(shapes[n], generator=generator)) for n in job.sparse}
        return _drawn(job, masks, target_macs)
    scores = None
    if job.settings.needs_data:
        scores, kept = _ranked(job, target_macs)
        zeros = {name: job.profile.weights[name] - kept[name] for name in job.sparse}
    else:
        zeros = dict(_solved(job, target_macs).zeros)
    if isinstance(pattern, Blocks):
        masks = _blocks(job, zeros, target_macs, generator)
    elif scores is not None and job.settings.positions == "saliency":
        masks = {n: highest(scores[n], scores[n].numel() - zeros[n]).cpu() for n in job.sparse}
    else:
        masks = {n: random_mask(shapes[n], zeros[n], generator) for n in job.sparse}
    return _drawn(job, masks, target_macs)


def _drawn(job: MaskJob, masks: Mapping[str, Tensor], target_macs: int) -> DrawnMasks:
    zeros = {n: mask.numel() - int(torch.count_nonzero(mask)) for n, mask in masks.items()}
    match = MacMatch(
        zeros=zeros,
        weights=sum(job.profile.weights[name] for name in job.sparse),
        macs=job.profile.macs(zeros),
        target_macs=target_macs,
    )
    return DrawnMasks(masks=masks, match=match)


def _solved(job: MaskJob, target_macs: int) -> MacMatch:
    distribution, excluded = job.settings.distribution, job.excluded
    return solve_zeros(
        job.profile,
        lambda sparsity: layer_zero_counts(job.module, sparsity, distribution, excluded),
        target_macs=target_macs,
        sparse=list(job.sparse),
    )


def _ranked(job: MaskJob, target_macs: int) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Return a saliency's scores and how many of each layer's highest do the MACs together.

    FORCE and SynFlow prune step by step towards a sparsity, which the MACs fix only with the
    scores at hand: they start at that of a uniform network and are asked again where it was far
    off.
    """
    check_reach(job.profile, target_macs, list(job.sparse))
    method = job.settings.distribution
    left = target_macs - job.dense_macs
    weights = sum(job.profile.weights[name] for name in job.sparse)
    density = min(1.0, left / job.masked_macs)
    for _ in range(_MAX_ROUNDS):
        sparsity = (1.0 - density) * weights / sum(job.profile.weights.values())
        request = SparsityRequest.of(job.module, sparsity, job.excluded, job.batch)
        every = SALIENCY_SCORES[method](request)
        scores = {name: every[name] for name in job.sparse}
        check_finite(scores, method)
        kept = kept_at_macs(scores, job.macs_per_weight, left)
        asked, density = density, sum(kept.values()) / weights
        if method not in _ITERATIVE or abs(density / asked - 1.0) <= _NEAR_ENOUGH:
            break
    return scores, kept


def _blocks(
    job: MaskJob, zeros: Mapping[str, int], target_macs: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return random blocks, as many as come nearest to the MACs from ``zeros`` on."""
    pattern = job.settings.pattern
    assert isinstance(pattern, Blocks)
    size = pattern.size
    whole = {name: size if name in job.sparse else 1 for name in job.profile.weights}
    units = MacProfile(
        weights={name: count // whole[name] for name, count in job.profile.weights.items()},
        per_weight={name: macs * whole[name] for name, macs in job.profile.per_weight.items()},
        other=job.profile.other,
    )
    nearest = {name: min(round(zeros[name] / size), units.weights[name] - 1) for name in job.sparse}
    tuned = tune_zeros(units, nearest, target_macs, job.sparse)
    masks = {}
    for layer in prunable_layers(job.module):
        if layer.name in job.sparse:
            grid = torch.Size(pattern.grid(layer.shape))
            chosen = random_mask(grid, tuned[layer.name], generator)
            masks[layer.name] = pattern.expand(chosen, torch.Size(layer.shape))
    return masks
