"""Training of baselines; one of them is not trained."""

from __future__ import annotations

from cost_models import trace
from growsearch.growth import build_full, train_fixed, uniform_architecture
from growsearch.kinds.baseline.candidate import BaselineCandidate
from growsearch.kinds.initial_weights import initial_weights
from growsearch.kinds.network import Network
from growsearch.kinds.trained import TrainedCandidate, TrainingContext
from growsearch.training import (
    TRAINING_PASSES,
    TrainingOptions,
    examples_per_step,
    steps_per_epoch,
    train,
)
from search_spaces import Architecture, SearchSpace, search_space


def train_baseline(
    config: BaselineCandidate, context: TrainingContext, options: TrainingOptions
) -> TrainedCandidate:
    """Return the baseline's network, trained unless it is the person's own as it is."""
    dataset = context.dataset
    space = search_space(config.space).for_data(dataset.input_shape, dataset.num_classes)
    if config.budget is not None:
        return _uniform(config, space, context, options)
    with options.guard():
        model = build_full(space, context.seed, initial_weights(config.init))
        macs = trace(model, space.example_inputs()).dense_macs
    network = _network(space, space.largest())
    if config.which == "mine":
        return TrainedCandidate(
            model=model, network=network, history=(), training_macs=0, dense_training_macs=0
        )
    task, recipe = context.learning.task(model), config.training.recipe()
    history, state = train(
        model, task, recipe, seed=context.seed, forward_macs=macs, options=options
    )
    examples = steps_per_epoch(task, recipe) * recipe.epochs * examples_per_step(task, recipe)
    return TrainedCandidate(
        model=model,
        network=network,
        history=tuple(history),
        training_macs=state.training_macs,
        dense_training_macs=TRAINING_PASSES * macs * examples,
    )


def _uniform(
    config: BaselineCandidate,
    space: SearchSpace,
    context: TrainingContext,
    options: TrainingOptions,
) -> TrainedCandidate:
    assert config.budget is not None
    with options.guard():
        narrow = uniform_architecture(space, config.budget.budget(config.device_batch))
    result = train_fixed(
        space,
        context.data_for(space),
        narrow,
        recipe=config.training.recipe(),
        seed=context.seed,
        options=options,
    )
    return TrainedCandidate(
        model=result.model,
        network=_network(space, result.architecture),
        history=result.history,
        training_macs=result.training_macs,
        dense_training_macs=result.dense_training_macs,
    )


def _network(space: SearchSpace, architecture: Architecture) -> Network:
    return Network(
        architecture=architecture,
        input_shape=space.input_shape,
        num_classes=space.num_classes,
    )
