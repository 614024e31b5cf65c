"""Robust tickets as a kind of trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from cost_models import trace
from growsearch.datasets import Dataset, load_beside
from growsearch.errors import UsageError
from growsearch.growth import build_full
from growsearch.growth.fits import check_fits
from growsearch.kinds.checking.context import CheckContext, check_networks, space_for
from growsearch.kinds.checking.initial import check_init
from growsearch.kinds.domain import Range, values_of
from growsearch.kinds.forecasts import Forecast, live_numbers
from growsearch.kinds.kind import Axis, ForecastContext, TrialKind
from growsearch.kinds.questions import Questions
from growsearch.kinds.recipe_choice import RecipeChoice
from growsearch.kinds.tickets.candidate import TicketCandidate
from growsearch.kinds.tickets.space import TicketSpace
from growsearch.kinds.tickets.training import source_dir, train_ticket
from growsearch.kinds.tickets.words import WORDS
from growsearch.kinds.trained import TrainedCandidate, TrainingContext, Untrained
from growsearch.tickets import (
    SOURCE,
    TICKET_SCHEMES,
    backbone_weights,
    check_backbone,
    check_one_label_each,
)
from growsearch.training import TrainingOptions


class TicketKind(TrialKind[TicketSpace, TicketCandidate]):
    """Networks that are pretrained, drawn sparse and transferred."""

    name: ClassVar[str] = "tickets"
    title: ClassVar[str] = WORDS.title
    space = TicketSpace
    candidate = TicketCandidate

    def suggest(self, questions: Questions, space: TicketSpace) -> TicketCandidate:
        """Ask for a ticket; the answers say which of strength, steps and rounds there are."""
        ask = questions.ask
        name, scheme = str(ask("space", space.space)), str(ask("scheme", space.scheme))
        robustness = ask("robustness", space.robustness)
        attacked = robustness == "pgd" or scheme == "a-imp"
        data = TICKET_SCHEMES[scheme].data
        return TicketCandidate(
            space=name,
            scheme=scheme,
            robustness=robustness,
            sparsity=float(ask("sparsity", space.sparsity)),
            granularity=ask("granularity", space.granularity),
            mode=ask("mode", space.mode),
            source=str(ask("source", space.source)),
            epsilon=_strength(questions, space) if attacked or robustness != "natural" else 0.0,
            norm=ask("norm", space.norm) if attacked else "inf",
            attack_steps=int(ask("attack_steps", space.attack_steps)) if attacked else 0,
            pretrain_epochs=int(ask("pretrain_epochs", space.pretrain_epochs)),
            pretrain_seed=int(ask("pretrain_seed", space.pretrain_seed)),
            draw_epochs=0 if data is None else int(ask("draw_epochs", space.draw_epochs)),
            rounds=int(ask("rounds", space.rounds)) if data == SOURCE else 0,
            training=questions.recipe(space),
            target_space=(
                None if space.target_space is None else str(ask("target_space", space.target_space))
            ),
            init=space.init,
        )

    def train(
        self, candidate: TicketCandidate, context: TrainingContext, options: TrainingOptions
    ) -> TrainedCandidate:
        """Pretrain, draw and transfer; see `train_ticket`."""
        return train_ticket(candidate, context, options)

    def problem(self, space: TicketSpace) -> str | None:
        """Refuse a strength that nothing uses."""
        if space.epsilon is None or space.robust:
            return None
        return (
            "epsilon: natural pretraining and these schemes have no use for it; "
            "remove the key, or add robustness: pgd"
        )

    def not_shared(self, space: TicketSpace) -> str | None:  # noqa: ARG002
        """Return that a trial waits for what another has pretrained, with a file's lock."""
        return "trials.tickets: pretraining and drawing are one worker's"

    def check(self, space: TicketSpace, context: CheckContext) -> None:
        """Refuse networks that do not fit, and sources that are not there or do not fit."""
        if space.target_space is None:
            check_networks(space.space, context)
        else:
            check_networks(space.target_space, context, "target_space")
        dataset = context.dataset
        for name in map(str, values_of(space.source)):
            with context.naming("source"):
                source = load_beside(name, source_dir(space, context.data_dir))
                check_one_label_each(source)
                _check_channels(name, source, dataset)
            check_init(space, context, source)
            for network in map(str, values_of(space.space)):
                _check_pretraining(network, space, source, context)

    def axis(self, space: TicketSpace, candidate: TicketCandidate) -> Axis[TicketCandidate] | None:
        """Return the sparsity, where it is a range."""
        if not isinstance(space.sparsity, Range):
            return None
        return Axis(
            domain=space.sparsity,
            value=candidate.sparsity,
            at=lambda value: dataclasses.replace(candidate, sparsity=value),
        )

    def same_network(self, candidate: TicketCandidate) -> TicketCandidate:
        """Return the candidate with a plain recipe and scheme."""
        return TicketCandidate(
            space=candidate.space,
            scheme="omp",
            sparsity=candidate.sparsity,
            granularity=candidate.granularity,
            source=candidate.source,
            target_space=candidate.target_space,
            training=RecipeChoice(epochs=10),
        )

    def forecast(self, candidate: TicketCandidate, context: ForecastContext) -> Forecast:
        """Tell the number of zeros; in which layers they lie, the pretrained weights decide."""
        dataset = context.dataset
        source = space_for(candidate.space, dataset)
        networks = candidate.networks() or source
        target = networks.for_data(dataset.input_shape, dataset.num_classes)
        work = trace(build_full(target, seed=0), target.example_inputs())
        backbone = sum(w.numel() for w in backbone_weights(build_full(source, seed=0)).values())
        zeros = round(candidate.sparsity * backbone)
        live = live_numbers(work, work.dense_macs * (1 - zeros / backbone))
        metrics: dict[str, float] = {"dense_macs": work.dense_macs}
        if candidate.granularity != "channel":
            # Whole channels come near that number only.
            metrics["parameters"] = work.parameters - zeros
        return Forecast(metrics=metrics, least=metrics, live=live)

    def largest(self, candidate: TicketCandidate, dataset: Dataset, seed: int) -> Untrained:
        """Return the network of the transfer, before a ticket leaves weights out."""
        networks = candidate.networks() or space_for(candidate.space, dataset)
        target = networks.for_data(dataset.input_shape, dataset.num_classes)
        return Untrained(module=build_full(target, seed), recipe=candidate.training.recipe())

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return such as "90 % sparse, row, omp ticket, pgd 0.031"; usual values are left out."""
        return WORDS.describe(config)


def _strength(questions: Questions, space: TicketSpace) -> float:
    assert space.epsilon is not None  # TicketSpace has asked for it
    return float(questions.ask("epsilon", space.epsilon))


def _check_channels(name: str, source: Dataset, dataset: Dataset) -> None:
    shape = source.input_shape
    if len(shape) != len(dataset.input_shape) or shape[0] != dataset.input_shape[0]:
        raise UsageError(
            f"{name} has inputs of {shape}, {dataset.name} of {dataset.input_shape}; a ticket "
            "keeps its number of channels"
        )


def _check_pretraining(
    name: str, tickets: TicketSpace, source: Dataset, context: CheckContext
) -> None:
    """Refuse a space that cannot be pretrained, or whose backbone the target's networks lack."""
    with context.naming("space"):
        below = check_fits(space_for(name, source), source)
    if tickets.target_space is None:
        return
    dataset = context.dataset
    for target in map(str, values_of(tickets.target_space)):
        with context.naming("target_space"):
            above = check_fits(space_for(target, dataset), dataset)
            check_backbone(below, above, name, target)


KIND = TicketKind()
