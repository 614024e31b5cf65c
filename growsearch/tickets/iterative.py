"""Iterative magnitude pruning (IMP and A-IMP): train, prune a little, rewind, repeat."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.sparsity import Masks, SparseTraining, make_updater
from growsearch.tickets.backbone import backbone_weights
from growsearch.tickets.drawing import Draw, Drawn, kept_weights, largest_units, ticket_of
from growsearch.tickets.granularity import expanded
from growsearch.training import Classification, Recipe, examples_per_step, train
from growsearch.transforms import MacProfile
from search_spaces.own_networks.whole_networks import copied

# Each round has batches and perturbations of its own.
_SEED_STEP = 7919


def iterative(draw: Draw) -> Drawn:
    """Train from theta_pre, prune the smallest weights, rewind, until the target (IMP).

    Round r of R leaves the share (1 - sparsity)^(r / R) of the weights, and trains the network
    that the rounds before have left, from the pretrained weights again (Frankle & Carbin 2019,
    strategy 1 of appendix B, with theta_pre for the first weights).

    Raises:
        UsageError: without data and recipe.
        DivergedError: if the loss stops being finite.
    """
    data, recipe = draw.training()
    rounds = _Rounds(draw, data, recipe)
    settings = draw.settings
    for number in range(1, settings.rounds + 1):
        rounds.run(number)
    return Drawn(
        ticket=ticket_of(draw, rounds.masks()),
        training_macs=rounds.macs,
        examples=rounds.examples,
    )


def adversarial_iterative(draw: Draw) -> Drawn:
    """Do the same on the worst images near the training images (A-IMP).

    min over theta, max over |delta| <= epsilon of loss(f(m * theta, x + delta), y).

    Raises:
        UsageError: unless the settings say how to attack, or as `iterative` raises.
    """
    if draw.settings.robustness.kind != "pgd":
        raise UsageError(
            f"robustness: {draw.settings.robustness.kind} with a-imp, which trains on attacked "
            "images; give Robustness(kind='pgd', epsilon=...), or use imp"
        )
    return iterative(draw)


class _Rounds:
    """The rounds of one draw, one after the other."""

    def __init__(self, draw: Draw, data: Dataset, recipe: Recipe) -> None:
        space = draw.pretrained.space
        if (data.input_shape, data.num_classes) != (space.input_shape, space.num_classes):
            raise UsageError(
                f"data: {data.name} has inputs {data.input_shape} and {data.num_classes} classes, "
                f"the pretrained network {space.input_shape} and {space.num_classes}; give the "
                "data set of the pretraining"
            )
        self._draw, self._data, self._recipe = draw, data, recipe
        # Before the first round everything is there.
        self._units: dict[str, Tensor] | None = None
        self.macs = self.examples = 0

    def masks(self) -> dict[str, Tensor]:
        """Return what the rounds so far have left."""
        weights = backbone_weights(self._draw.pretrained.model)
        units = self._units or {}
        return {name: expanded(unit, weights[name].shape) for name, unit in units.items()}

    def run(self, number: int) -> None:
        """Train what is left and prune it to the share of round ``number``."""
        draw, settings = self._draw, self._draw.settings
        task = Classification(self._data)
        with draw.options.guard():
            # A copy: every round begins at theta_pre, its classifier included.
            model = copied(draw.pretrained.model)
            profile = MacProfile.of(model, draw.pretrained.space.example_inputs())
            masks = Masks.attach(model, self.masks())
        zeros = {n: masks[n].numel() - kept for n, kept in masks.nonzeros().items()}
        sparse = SparseTraining(masks, make_updater("static"), macs_per_weight=profile.per_weight)
        seed = draw.seed + _SEED_STEP * number
        robust = settings.robustness if settings.scheme == "a-imp" else None
        hooks = robust.hooks(self._data.normalisation, seed=seed) if robust is not None else ()
        checkpoint = draw.options.checkpoint
        _, state = train(
            model,
            task,
            self._recipe,
            seed=seed,
            forward_macs=profile.macs(zeros),
            options=dataclasses.replace(
                draw.options,
                hooks=(sparse, *hooks, *draw.options.hooks),
                checkpoint=checkpoint
                and checkpoint.with_name(f"{checkpoint.stem}.round{number}{checkpoint.suffix}"),
            ),
        )
        sparsity = 1 - (1 - settings.sparsity) ** (number / settings.rounds)
        kept = kept_weights(model, sparsity)
        self._units = largest_units(model, kept, settings.granularity, self._units)
        self.macs += state.training_macs
        self.examples += state.total_steps * examples_per_step(task, self._recipe)
