"""How is a trial of each kind trained? Growth and sparse training, up to a finished network."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from growsearch.datasets import Dataset
from growsearch.growth import Budget, GrowthConfig, build_full, grow
from growsearch.sparsity import (
    Masks,
    SparseTraining,
    macs_per_weight,
    make_updater,
    sparsify,
)
from growsearch.training import TRAINING_PASSES, EpochRecord, TrainingOptions, train
from growsearch.transforms import apply
from growsearch.trial.config import NO_TRANSFORM, GrowthTrial, SparseTrial, TrialConfig
from growsearch.trial.network import AppliedTransform, Network
from search_spaces import SearchSpace, search_space

# A mask update every 100 steps (RigL's default), but at least once an epoch in short runs.
_MOST_STEPS_BETWEEN_UPDATES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A trained network: the module, its description and how it got there.

    ``widths`` has, for every epoch of a grown network, the live channels of each group.
    """

    model: nn.Module
    network: Network
    history: tuple[EpochRecord, ...]
    training_macs: int
    dense_training_macs: int
    widths: tuple[Mapping[str, int], ...] = field(default=())


def train_candidate(
    config: TrialConfig, dataset: Dataset, seed: int, options: TrainingOptions
) -> Candidate:
    """Train ``config``'s network on ``dataset``; the same seed gives the same network."""
    space = search_space(config.space).for_data(dataset.input_shape, dataset.num_classes)
    if isinstance(config, GrowthTrial):
        return _grown(config, space, dataset, seed, options)
    return _sparse(config, space, dataset, seed, options)


def _grown(
    config: GrowthTrial, space: SearchSpace, dataset: Dataset, seed: int, options: TrainingOptions
) -> Candidate:
    budget = (
        Budget(parameters=config.budget)
        if config.budget_metric == "parameters"
        else Budget(macs=config.budget)
    )
    result = grow(
        space,
        dataset,
        budget=budget,
        config=GrowthConfig(recipe=config.training.recipe()),
        seed=seed,
        options=options,
    )
    return Candidate(
        model=result.model,
        network=Network(
            architecture=result.architecture,
            input_shape=dataset.input_shape,
            num_classes=dataset.num_classes,
        ),
        history=tuple(
            EpochRecord(
                epoch=record.epoch,
                loss=record.loss,
                accuracy=record.accuracy,
                training_macs=record.training_macs,
                forward_macs=record.forward_macs,
            )
            for record in result.history
        ),
        training_macs=result.training_macs,
        dense_training_macs=result.dense_training_macs,
        widths=tuple(record.widths for record in result.history),
    )


def _sparse(
    config: SparseTrial, space: SearchSpace, dataset: Dataset, seed: int, options: TrainingOptions
) -> Candidate:
    recipe = config.training.recipe()
    example = space.example_inputs()
    with options.guard():
        dense = build_full(space, seed)
        model, applied = _sparse_model(config, dense, example, seed)
        factors = macs_per_weight(model, example)
    masks = Masks.of(model)
    steps_per_epoch = max(1, len(dataset.train) // recipe.batch_size)
    hook = SparseTraining(
        masks,
        make_updater(config.updater),
        macs_per_weight=factors,
        interval=min(_MOST_STEPS_BETWEEN_UPDATES, steps_per_epoch),
    )
    history, state = train(
        model,
        dataset,
        recipe,
        seed=seed,
        forward_macs=_effective_macs(model, factors),
        options=dataclasses.replace(options, hooks=(hook, *options.hooks)),
    )
    masks.check()
    masks.detach()
    examples = state.total_steps * min(recipe.batch_size, len(dataset.train))
    dense_macs = _effective_macs(dense, macs_per_weight(dense, example))
    return Candidate(
        model=model,
        network=Network(
            architecture=space.largest(),
            input_shape=dataset.input_shape,
            num_classes=dataset.num_classes,
            transform=applied,
        ),
        history=tuple(history),
        training_macs=state.training_macs,
        dense_training_macs=TRAINING_PASSES * dense_macs * examples,
    )


def _sparse_model(
    config: SparseTrial, dense: nn.Module, example: tuple[Tensor, ...], seed: int
) -> tuple[nn.Module, AppliedTransform | None]:
    """Return the masked network and the transform that its description must name."""
    generator = torch.Generator().manual_seed(seed)
    if config.transform == NO_TRANSFORM:
        model = copy.deepcopy(dense)
        sparsify(
            model, sparsity=config.sparsity, distribution=config.distribution, generator=generator
        )
        return model, None
    model = apply(
        dense,
        config.transform,
        sparsity=config.sparsity,
        distribution=config.distribution,
        generator=generator,
        example_inputs=example,
    )
    return model, AppliedTransform(name=config.transform, sparsity=config.sparsity)


def _effective_macs(model: nn.Module, macs_of_one: Mapping[str, int]) -> int:
    parameters = dict(model.named_parameters())
    return sum(int(torch.count_nonzero(parameters[n])) * macs for n, macs in macs_of_one.items())
