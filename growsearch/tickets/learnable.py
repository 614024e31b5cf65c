"""Learnable mask pruning (LMP): a mask is learned for a task, the weights stay frozen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from growsearch.errors import CandidateError
from growsearch.metrics.placement import device_of
from growsearch.sparsity import Masks
from growsearch.tickets.backbone import backbone_weights
from growsearch.tickets.drawing import Draw, Drawn, kept_weights, ticket_of
from growsearch.tickets.frozen import freeze
from growsearch.tickets.granularity import (
    Granularity,
    check_layers,
    choose_units,
    expanded,
    pooled,
    unit_size,
)
from growsearch.tickets.retargeting import retarget
from growsearch.training import (
    Hook,
    TrainingState,
    examples_per_step,
    task_of,
    tensors_under,
    train,
)
from growsearch.transforms import MacProfile

_MOMENTUM = 0.9
_SCORE, _VELOCITY = "score/", "velocity/"


def learnable(draw: Draw) -> Drawn:
    """Learn the mask of k weights on the draw's data: min over m of loss(f(m * theta_pre, x), y).

    The weights, and BatchNorm's scale and shift, stay frozen at theta_pre; the head for the data is
    learned beside the mask, and thrown away (arXiv 2304.11834, section 2.2).

    Raises:
        UsageError: without data and recipe.
        DivergedError: if the loss stops being finite.
    """
    data, recipe = draw.training()
    settings, task = draw.settings, task_of(data)
    with draw.options.guard():
        target = retarget(draw.pretrained, data, draw.seed, draw.space)
        model = target.model
        profile = MacProfile.of(model, target.space.example_inputs())
        learning = LearnedMask(
            model,
            names=tuple(backbone_weights(draw.pretrained.model)),
            kept=kept_weights(draw.pretrained.model, settings.sparsity),
            granularity=settings.granularity,
            profile=profile,
        )
    freeze(model, but=(*learning.masks.names, *target.new))
    _, state = train(
        model,
        task,
        recipe,
        seed=draw.seed,
        forward_macs=learning.forward_macs(),
        options=dataclasses.replace(draw.options, hooks=(learning, *draw.options.hooks)),
    )
    return Drawn(
        ticket=ticket_of(draw, learning.masks.copies()),
        training_macs=state.training_macs,
        examples=state.total_steps * examples_per_step(task, recipe),
    )


class LearnedMask(Hook):
    """Trains a score a unit in the place of the weights; the highest scores are the mask.

    Forward, the units of highest score are 1 and the others 0, all layers ranked together. Backward
    is the straight-through estimator (Bengio et al. 2013): a weight's place in the mask has the
    gradient dL/dw times theta_pre, masked or not, and a unit's score the mean of it over the unit.
    Scores start at the mean magnitude of their units' weights, which is the ticket of OMP, and move
    by SGD with momentum at the recipe's rate, without decay.

    Gradients of all weights, masked or not, are needed at every step: (f_D - f_S) forward MACs an
    example more than three times f_S, as at RigL's mask updates (Evci et al. 2020, appendix H).
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        names: Sequence[str],
        kept: int,
        granularity: Granularity,
        profile: MacProfile,
    ) -> None:
        """Give ``model`` its first masks.

        Args:
            model: with the weights theta_pre and no masks.
            names: the weights that are masked.
            kept: weights of the mask.
            granularity: what a unit is.
            profile: the MACs of each weight.
        """
        self._kept, self._granularity, self._profile = kept, granularity, profile
        check_layers(model, names, granularity)
        weights = {name: model.get_parameter(name) for name in names}
        self._theta = {name: weight.detach().clone() for name, weight in weights.items()}
        self._sizes = {name: unit_size(w.shape, granularity) for name, w in weights.items()}
        self._scores = {
            name: pooled(theta.abs(), granularity) / self._sizes[name]
            for name, theta in self._theta.items()
        }
        self._velocity = {name: torch.zeros_like(s) for name, s in self._scores.items()}
        self._masks = Masks.attach(model, self._chosen())

    @property
    def masks(self) -> Masks:
        """The mask as it is now."""
        return self._masks

    def forward_macs(self) -> int:
        """Return the MACs of one example through the masked network."""
        kept = self._masks.nonzeros()
        return self._profile.macs({n: self._masks[n].numel() - kept[n] for n in kept})

    def on_start(self, state: TrainingState) -> None:
        """Check that the trained network is the one that is masked.

        Raises:
            CandidateError: if it is another.
        """
        if self._masks.module is not state.model:
            raise CandidateError("learned mask: its network is another than the one in training")
        self._move(device_of(state.model))

    @torch.no_grad()
    def before_update(self, state: TrainingState) -> bool:
        """Move the scores; the weights' gradients go, so that no update moves the weights."""
        rate = state.recipe.learning_rate_at(state.step / state.total_steps)
        for name, score in self._scores.items():
            weight = self._masks.weight(name)
            assert weight.grad is not None
            gradient = pooled(weight.grad * self._theta[name], self._granularity)
            velocity = self._velocity[name].mul_(_MOMENTUM).add_(gradient / self._sizes[name])
            score.sub_(rate * velocity)
            weight.grad = None
        return True

    @torch.no_grad()
    def after_update(self, state: TrainingState) -> None:
        """Take the mask of the new scores and charge what the step took."""
        dense = self._profile.dense_macs
        state.training_macs += (dense - state.forward_macs) * state.batch_examples
        for name, mask in self._chosen().items():
            self._masks.weight(name).copy_(self._theta[name])
            self._masks.set(name, mask)
        state.forward_macs = self.forward_macs()

    def settings(self) -> Mapping[str, object]:
        """Return how many weights are kept, and in what units."""
        return {"kept": self._kept, "granularity": self._granularity}

    def state(self) -> Mapping[str, Tensor]:
        """Return scores and momentum; masks and weights are the model's own."""
        scores = {_SCORE + name: score for name, score in self._scores.items()}
        return scores | {_VELOCITY + name: v for name, v in self._velocity.items()}

    def load_state(self, tensors: Mapping[str, Tensor], training: TrainingState) -> None:
        """Take both back."""
        self._scores = tensors_under(_SCORE, tensors)
        self._velocity = tensors_under(_VELOCITY, tensors)
        self._move(device_of(training.model))

    def _move(self, device: torch.device) -> None:
        """Have all that is kept beside the weights where the weights are."""
        for kept in (self._theta, self._scores, self._velocity):
            kept |= {name: value.to(device) for name, value in kept.items()}

    def _chosen(self) -> dict[str, Tensor]:
        units = choose_units(self._scores, self._sizes, self._kept)
        return {name: expanded(u, self._theta[name].shape) for name, u in units.items()}
