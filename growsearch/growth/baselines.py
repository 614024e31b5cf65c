"""Baselines of growth: networks of fixed widths under the same budget, trained from scratch.

Uniform widths and "direct design" (the grown architecture trained afresh) are the baselines of
arXiv 2007.15353, figure 6.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

import cost_models
from growsearch.growth.budget.budget import Budget
from growsearch.growth.costs import Costs
from growsearch.growth.full_network import build_full
from growsearch.growth.learning_task import Data, task_for
from growsearch.growth.policies.uniform_width import widest_uniform
from growsearch.training import EpochRecord, Recipe, TrainingOptions, train
from search_spaces import Architecture, SearchSpace, seeded


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

    A share w gives a group of n channels max(1, floor(w n)). Stages keep all their units.

    Raises:
        UsageError: if the budget is below one channel a group.

    Example:
        >>> from growsearch.growth import Budget, uniform_architecture
        >>> from search_spaces import search_space
        >>> narrow = uniform_architecture(search_space("mlp-digits"), Budget(parameters=0.25))
        >>> narrow["hidden0"] == narrow["hidden1"] < 256
        True
    """
    costs = Costs.of(space, build_full(space, seed=0), budget, grow_layers=False)
    structures, projection = costs.structures, costs.projection

    def widest() -> Tensor:
        return structures.first(widest_uniform(structures.sizes, projection))

    live = widest()
    if costs.latency is not None:
        live = costs.latency.agreed(widest, fill=True)
    return space.with_widths(space.largest(), structures.widths(live))


def train_fixed(
    space: SearchSpace,
    dataset: Data,
    architecture: Architecture,
    *,
    recipe: Recipe,
    seed: int = 0,
    options: TrainingOptions | None = None,
) -> FixedResult:
    """Train ``architecture`` from fresh weights, at the same batches as growth at this seed.

    Raises:
        SearchSpaceError: if the architecture is not of ``space``.
        UsageError: if ``space`` is not made for the data.
        DivergedError: if the loss stops being finite.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.growth import train_fixed
        >>> from growsearch.training import Recipe
        >>> from search_spaces import search_space
        >>> images = torch.eye(4).repeat(10, 1).view(40, 1, 2, 2)
        >>> data = from_tensors(images, torch.arange(4).repeat(10))
        >>> space = search_space("mlp-digits").for_data(data.input_shape, data.num_classes)
        >>> narrow = space.largest().replace({"hidden0": 8, "hidden1": 8})
        >>> train_fixed(space, data, narrow, recipe=Recipe(epochs=1)).macs
        128
    """
    costs = Costs.of(space, build_full(space, seed), Budget(parameters=1.0))
    with seeded(seed):
        model = space.build(architecture)
        task = task_for(space, dataset, model)
        macs = cost_models.trace(model, space.example_inputs()).dense_macs
        history, state = train(model, task, recipe, seed=seed, forward_macs=macs, options=options)
    return FixedResult(
        model=model,
        architecture=architecture,
        history=tuple(history),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        macs=macs,
        training_macs=state.training_macs,
        dense_training_macs=costs.dense_training_macs(task, recipe),
    )
