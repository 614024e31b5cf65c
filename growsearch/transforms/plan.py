"""Plan of a sparse training run: the network, its masks, their updater and their MACs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from growsearch.errors import UsageError
from growsearch.metrics.placement import device_of, is_elsewhere, on_cpu
from growsearch.sparsity.blocks import Blocks, sparsify_blocks
from growsearch.sparsity.distributions import Batch
from growsearch.sparsity.dynamic import MaskUpdater, make_updater
from growsearch.sparsity.dynamic.mac_schedule import most_first, plan_macs
from growsearch.sparsity.dynamic.schedule import CubicSchedule
from growsearch.sparsity.dynamic.timetable import Timetable
from growsearch.sparsity.hook import SparseTraining
from growsearch.sparsity.layers import check_to_be_masked, frozen_weights, prunable_layers
from growsearch.sparsity.maskable import check_changeable
from growsearch.sparsity.masks import Masks
from growsearch.sparsity.n_of_m import NOfM, sparsify_n_of_m
from growsearch.sparsity.sparsify import prune_by_saliency, sparsify
from growsearch.transforms.applying import expanded_with, fitting, transform_with
from growsearch.transforms.expansion import Sizes
from growsearch.transforms.iso_macs import MacMatch, check_reach
from growsearch.transforms.mask_drawing import MaskJob, draw_masks
from growsearch.transforms.settings import SCHEDULED, SparseSettings
from search_spaces.own_networks.keyword_inputs import ExampleInputs, by_name_again, by_position
from search_spaces.own_networks.whole_networks import copied

# Networks with a transform that start denser end with this share of the mean masked MACs at least.
_MIN_END = 0.25
_NO_SIZES = Sizes()


@dataclass(frozen=True, slots=True, kw_only=True)
class SparsePlan:
    """A network that is ready to be trained sparsely.

    Attributes:
        module: with its initial masks; `Masks.of` finds them.
        updater: what `SparseTraining` runs.
        timetable: the run that it is for.
        match: how near a transformed network comes to the dense network's MACs; if it gets sparser
            during training, as a sum over all steps. None without a transform.
        sizes: what `expand` needs to build the structure again.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity import SparseTraining, Timetable
        >>> from growsearch.transforms import SparseSettings, sparse_plan
        >>> plan = sparse_plan(
        ...     nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 2)),
        ...     SparseSettings(sparsity=0.75, transform="sparse_parallel"),
        ...     (torch.zeros(1, 8),),
        ...     timetable=Timetable(steps=40),
        ...     generator=torch.Generator().manual_seed(0),
        ... )
        >>> plan.match.macs == plan.match.target_macs, round(plan.match.sparsity, 2)
        (True, 0.75)
    """

    module: nn.Module
    updater: MaskUpdater
    timetable: Timetable
    match: MacMatch | None
    sizes: Sizes = _NO_SIZES

    def hook(self, macs_per_weight: Mapping[str, int]) -> SparseTraining:
        """Return the training hook; see `SparseTraining` for ``macs_per_weight``."""
        return SparseTraining(
            Masks.of(self.module),
            self.updater,
            macs_per_weight=macs_per_weight,
            interval=self.timetable.interval,
        )


def sparse_plan(
    module: nn.Module,
    settings: SparseSettings,
    example_inputs: ExampleInputs,
    *,
    timetable: Timetable,
    generator: torch.Generator,
    batch: Batch | None = None,
) -> SparsePlan:
    """Return ``module`` as ``settings`` want it, for a run of ``timetable``.

    With a transform the forward MACs are the dense network's: at every step, or, for the updaters
    "granet" and "gmp", as a mean over the steps of the timetable, mask update by mask update
    (arXiv 2303.11525, appendix A.2), to within 0.0001 % where whole weights can do it. Dense
    gradients, which "rigl" and "granet" need at mask updates, are not in it.

    Weights and masks are drawn on the CPU; the network comes back where ``module`` is. A batch on
    an accelerator is looked at there.

    Frozen weights (requires_grad=False) keep their values: they get no mask and are not replaced.
    Without a transform the sparsity is that of the others.

    Args:
        module: the dense network; it is not changed.
        settings: what is wanted.
        example_inputs: positional inputs, or inputs by the names of arguments, batch first.
        timetable: steps of the run, and how many lie between mask updates.
        generator: draws new weights and masks.
        batch: data for the distributions "snip", "grasp" and "force"; "synflow" reads the shape of
            one input.

    Raises:
        UsageError: for wrong settings, or if no masks have the MACs.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity import Timetable
        >>> from growsearch.transforms import SparseSettings, sparse_plan
        >>> plan = sparse_plan(
        ...     nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)),
        ...     SparseSettings(sparsity=0.5, updater="rigl"),
        ...     (torch.zeros(1, 8),),
        ...     timetable=Timetable(steps=40),
        ...     generator=torch.Generator().manual_seed(0),
        ... )
        >>> [int(plan.module[place].weight.count_nonzero()) for place in (0, 2)]
        [16, 4]
    """
    if isinstance(example_inputs, Mapping):
        called, given = by_position(module, example_inputs)
        plan = sparse_plan(
            called, settings, given, timetable=timetable, generator=generator, batch=batch
        )
        return dataclasses.replace(plan, module=by_name_again(plan.module))
    check_changeable(module)
    if is_elsewhere(module):
        brought, inputs = on_cpu(copied(module)), tuple(each.cpu() for each in example_inputs)
        plan = sparse_plan(
            brought, settings, inputs, timetable=timetable, generator=generator, batch=batch
        )
        return dataclasses.replace(plan, module=plan.module.to(device_of(module)))
    if settings.needs_data and batch is None:
        raise UsageError(
            f"distribution: {settings.distribution} needs data; give batch=Batch(inputs=, labels=)"
        )
    if not settings.transformed:
        return _untransformed(module, settings, timetable, generator, batch)
    if settings.scheduled:
        return _scheduled(
            module, settings, example_inputs, timetable=timetable, generator=generator, batch=batch
        )
    done = transform_with(module, settings, example_inputs, generator=generator, batch=batch)
    return SparsePlan(
        module=done.module,
        updater=_keeping_updater(settings),
        timetable=timetable,
        match=done.match,
        sizes=done.sizes,
    )


def _keeping_updater(settings: SparseSettings) -> MaskUpdater:
    pattern = settings.pattern if settings.updater != "static" else None
    return make_updater(settings.updater, pattern=pattern)


def _scheduled(
    module: nn.Module,
    settings: SparseSettings,
    example_inputs: tuple[Tensor, ...],
    *,
    timetable: Timetable,
    generator: torch.Generator,
    batch: Batch | None,
) -> SparsePlan:
    """Start denser and end sparser than the dense network's MACs."""
    expanded = expanded_with(module, settings, example_inputs, generator=generator, batch=batch)
    job, target = expanded.job, expanded.target_macs
    if not job.sparse:
        # Sparsity 0 gave the dense network back.
        match = MacMatch(zeros={}, weights=0, macs=target, target_macs=target)
        return SparsePlan(
            module=job.module, updater=make_updater("static"), timetable=timetable, match=match
        )
    check_reach(job.profile, target, list(job.sparse))
    shape = CubicSchedule(final=settings.sparsity)
    total = (target - job.dense_macs) * timetable.steps
    first = _first_macs(job, timetable, shape, total)
    drawn = draw_masks(job, job.dense_macs + first, generator)
    schedule = plan_macs(
        timetable,
        shape,
        first=drawn.match.macs - job.dense_macs,
        total=total,
        macs_per_weight=job.macs_per_weight,
    )
    Masks.attach(job.module, drawn.masks)
    match = MacMatch(
        zeros=drawn.match.zeros,
        weights=drawn.match.weights,
        macs=schedule.total + job.dense_macs * timetable.steps,
        target_macs=target * timetable.steps,
        steps=timetable.steps,
    )
    return SparsePlan(
        module=job.module,
        updater=make_updater(settings.updater, schedule=schedule),
        timetable=timetable,
        match=expanded.as_traced(match),
        sizes=expanded.sizes,
    )


def _first_macs(job: MaskJob, timetable: Timetable, shape: CubicSchedule, total: int) -> int:
    """Return how many MACs the masked layers start with."""
    start = job.settings.initial_sparsity
    if start is not None:
        return round(job.masked_macs * (1 - start))
    usual = job.masked_macs * (1 - SCHEDULED[job.settings.updater] * job.settings.sparsity)
    mean = total / timetable.steps
    most = most_first(timetable, shape, total=total, last=_MIN_END * mean)
    return round(max(mean, min(usual, most)))


def _untransformed(
    module: nn.Module,
    settings: SparseSettings,
    timetable: Timetable,
    generator: torch.Generator,
    batch: Batch | None,
) -> SparsePlan:
    """Make the network itself sparse, so that it saves MACs."""
    masked = copied(module)
    check_to_be_masked(masked)
    frozen = frozen_weights(masked)
    start, updater = _start(settings)
    _mask(masked, settings, start, _Draw(generator=generator, batch=batch, exclude=frozen))
    return SparsePlan(module=masked, updater=updater, timetable=timetable, match=None)


def _start(settings: SparseSettings) -> tuple[float, MaskUpdater]:
    """Return the sparsity of the initial masks, and what changes them."""
    if not settings.scheduled:
        return settings.sparsity, _keeping_updater(settings)
    start = settings.initial_sparsity
    if start is None:
        start = SCHEDULED[settings.updater] * settings.sparsity
    schedule = CubicSchedule(initial=start, final=settings.sparsity)
    return start, make_updater(settings.updater, schedule=schedule)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draw:
    """With what masks are drawn, and which layers get none because they are frozen."""

    generator: torch.Generator
    batch: Batch | None
    exclude: tuple[str, ...]


def _mask(module: nn.Module, settings: SparseSettings, sparsity: float, draw: _Draw) -> None:
    pattern, distribution = settings.pattern, settings.distribution
    generator, batch = draw.generator, draw.batch
    if pattern is not None:
        every = [layer.name for layer in prunable_layers(module)]
        trained = [name for name in every if name not in draw.exclude]
        exclude = set(every) - set(fitting(module, trained, pattern))
        if isinstance(pattern, NOfM):
            sparsify_n_of_m(module, pattern, generator=generator, exclude=exclude)
        elif isinstance(pattern, Blocks):
            sparsify_blocks(
                module,
                pattern,
                sparsity=sparsity,
                distribution=distribution,
                generator=generator,
                exclude=exclude,
                batch=batch,
            )
    elif settings.positions == "saliency":
        assert batch is not None  # sparse_plan has asked for it
        prune_by_saliency(
            module, sparsity=sparsity, method=distribution, batch=batch, exclude=draw.exclude
        )
    else:
        sparsify(
            module,
            sparsity=sparsity,
            distribution=distribution,
            generator=generator,
            exclude=draw.exclude,
            batch=batch,
        )
