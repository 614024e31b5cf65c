"""Training of pruning candidates, and what a network that is to be pruned will cost."""

from __future__ import annotations

from growsearch.growth import build_full
from growsearch.kinds.growth.training import (
    budget_figures,
    growing_options,
    plain_history,
    shared_profile,
    structure_lines,
)
from growsearch.kinds.network import Network
from growsearch.kinds.prune.candidate import PruneCandidate
from growsearch.kinds.trained import TrainedCandidate, TrainingContext
from growsearch.pruning import prune, prune_costs
from growsearch.training import TrainingOptions
from search_spaces import search_space


def train_prune(
    config: PruneCandidate, context: TrainingContext, options: TrainingOptions
) -> TrainedCandidate:
    """Prune the candidate's network; see `growsearch.pruning.prune`."""
    dataset = context.dataset
    space = search_space(config.space).for_data(dataset.input_shape, dataset.num_classes)
    settings, budget = config.config(), config.budget.budget(config.device_batch)
    profile = shared_profile(
        config,
        space,
        context,
        lambda latencies: prune_costs(space, build_full(space, 0), budget, settings, latencies),
    )
    result = prune(
        space,
        context.data_for(space),
        budget=budget,
        config=settings,
        seed=context.seed,
        options=growing_options(options, context.lock, profile),
    )
    return TrainedCandidate(
        model=result.model,
        network=Network(
            architecture=result.architecture,
            input_shape=dataset.input_shape,
            num_classes=dataset.num_classes,
        ),
        history=plain_history(result),
        training_macs=result.training_macs,
        dense_training_macs=result.dense_training_macs,
        widths=tuple(record.widths for record in result.history),
        records=structure_lines(result),
        metrics={**budget_figures(result), "kept_share": result.kept_share},
    )
