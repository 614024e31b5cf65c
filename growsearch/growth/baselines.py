"""What would the same budget give without growing? Networks of fixed widths, trained from scratch.

Uniform widths and "direct design" (the grown architecture trained afresh) are the baselines of
arXiv 2007.15353, figure 6.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from growsearch.datasets import Dataset
from growsearch.growth.budget import Budget
from growsearch.growth.costs import Costs
from growsearch.growth.seeding import build_full, seeded
from growsearch.training import EpochRecord, Recipe, TrainingOptions, train
from search_spaces import Architecture, SearchSpace, channel_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedResult:
    """A network whose widths were fixed before training. MACs as in `GrowthResult`."""

    model: nn.Module
    architecture: Architecture
    history: tuple[EpochRecord, ...]
    parameters: int
    macs: int
    training_macs: int
    dense_training_macs: int


def uniform_architecture(space: SearchSpace, budget: Budget) -> Architecture:
    """Return the widest network within ``budget`` whose groups keep one share of their channels.

    A share w gives a group of n channels max(1, floor(w n)).

    Raises:
        UsageError: if the budget is below one channel a group.
    """
    costs = Costs.of(space, build_full(space, seed=0), budget)
    sizes = costs.structures.sizes
    # The widths change only where w n is a whole number for some group.
    shares = sorted({k / size for size in sizes for k in range(1, size + 1)})
    widths = [1] * len(sizes)
    for share in shares:
        wider = [max(1, int(share * size + 1e-9)) for size in sizes]
        if costs.allowance.terms.exact(wider) > costs.allowance.limit:
            break
        widths = wider
    named = dict(zip(costs.structures.names, widths, strict=True))
    return space.with_widths(space.largest(), named)


def train_fixed(
    space: SearchSpace,
    dataset: Dataset,
    architecture: Architecture,
    *,
    recipe: Recipe,
    seed: int = 0,
    options: TrainingOptions | None = None,
) -> FixedResult:
    """Train ``architecture`` from fresh weights, at the same batches as growth at this seed.

    Raises:
        SearchSpaceError: if the architecture is not of ``space``.
        DivergedError: if the loss stops being finite.
    """
    costs = Costs.of(space, build_full(space, seed), Budget(parameters=1.0))
    with seeded(seed):
        model = space.build(architecture)
        sizes = [group.size for group in channel_groups(model)]
        macs = costs.macs.exact(sizes)
        history, state = train(
            model, dataset, recipe, seed=seed, forward_macs=macs, options=options
        )
    return FixedResult(
        model=model,
        architecture=architecture,
        history=tuple(history),
        parameters=costs.parameters.exact(sizes),
        macs=macs,
        training_macs=state.training_macs,
        dense_training_macs=costs.dense_training_macs(dataset, recipe),
    )
