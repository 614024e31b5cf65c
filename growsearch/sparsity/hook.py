"""Sparse training hook: keeps a run sparse, rewires its masks and counts what that costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from growsearch.errors import CandidateError, UsageError
from growsearch.metrics.placement import with_doubles
from growsearch.sparsity.dynamic.timetable import Timetable
from growsearch.sparsity.dynamic.updater import Connections, MaskUpdater
from growsearch.sparsity.masks import Masks, hide
from growsearch.training import Hook, TrainingState

_OTHERWISE = "or take the updater static or set"


class SparseTraining(Hook):
    """Applies masks after every update and lets an updater rewire them every ``interval`` steps.

    Steps count from 1; the masks change at multiples of ``interval`` below ``updater.until`` of
    all steps. Connections that are grown and were masked before start at zero weight with cleared
    optimizer slots. ``state.forward_macs`` follows the active weights. A step that needs dense
    gradients costs 2 f_S + f_D instead of 3 f_S forward MACs an example (Evci et al. 2020,
    appendix H), which is added to ``state.training_macs``; ``dense_gradient_macs`` is the sum of
    what was added, so that the rest is three times the forward MACs of every step.

    Where the recipe clips gradients, their norm is that of active weights: gradients of masked ones
    move nothing and are zeroed first.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity import SparseTraining, macs_per_weight, make_updater, sparsify
        >>> module = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> masks = sparsify(module, sparsity=0.5, generator=torch.Generator().manual_seed(0))
        >>> hook = SparseTraining(
        ...     masks,
        ...     make_updater("rigl"),
        ...     macs_per_weight=macs_per_weight(module, (torch.zeros(1, 8),)),
        ...     interval=10,
        ... )
        >>> hook.settings()["interval"], hook.updates
        (10, 0)
    """

    def __init__(
        self,
        masks: Masks,
        updater: MaskUpdater,
        *,
        macs_per_weight: Mapping[str, int],
        interval: int = 100,
    ) -> None:
        """Prepare for one run.

        Args:
            masks: those of the model that will be trained.
            updater: see `make_updater`.
            macs_per_weight: output positions by parameter name; see `layers.macs_per_weight`.
            interval: steps between mask updates.

        Raises:
            UsageError: if ``interval`` is below 1 or a masked layer has no MAC factor.
        """
        if interval < 1:
            raise UsageError(f"interval: {interval} is below 1 step")
        for name in masks.names:
            if name not in macs_per_weight:
                raise UsageError(f"macs_per_weight: {name} is missing; see macs_per_weight()")
        self._masks = masks
        self._updater = updater
        self._macs_per_weight = dict(macs_per_weight)
        self._interval = interval
        self._dense_gradients: dict[str, Tensor] = {}
        self.updates = 0
        self.dense_gradient_macs = 0

    @property
    def masks(self) -> Masks:
        """The masks that are kept."""
        return self._masks

    def on_start(self, state: TrainingState) -> None:
        """Zero masked weights before the first forward pass.

        Raises:
            CandidateError: if the masks belong to another module than the one being trained.
            UsageError: if the updates were planned for a run of other steps, or need the gradients
                of a layer that is frozen.
        """
        if self._masks.module is not state.model:
            raise CandidateError(
                "sparse training: the masks belong to another module; use Masks.of(model)"
            )
        planned = self._updater.planned_for
        here = Timetable(steps=state.total_steps, interval=self._interval)
        if planned is not None and planned != here:
            raise UsageError(
                f"sparse training: the masks' MACs were planned for {planned.steps} steps and a "
                f"mask update every {planned.interval}, but this run has {here.steps} and "
                f"{here.interval}; plan for this run"
            )
        for name in self._masks.names if self._updater.needs_gradients else ():
            if not self._masks.weight(name).requires_grad:
                raise UsageError(
                    f"sparse training: {name} is frozen (requires_grad=False), and the updater "
                    f"regrows it by its gradient; exclude it from the masks, {_OTHERWISE}"
                )
        self._masks.apply()

    def before_update(self, state: TrainingState) -> bool:
        """Return False at mask updates that take the place of the weight update."""
        due = self._is_due(state.step + 1, state)
        if due and self._updater.replaces_update:
            return False
        if state.recipe.clip_norm is not None:
            self._hide_gradients(keep=due and self._updater.needs_gradients)
        return True

    def after_update(self, state: TrainingState) -> None:
        """Zero masked weights, then rewire the masks if this step is due."""
        self._masks.apply()
        if self._is_due(state.step, state):
            if self._updater.needs_gradients:
                self._charge_dense_gradients(state)
            self._rewire(state)

    def settings(self) -> Mapping[str, object]:
        """Return the updater's kind and options, and the interval."""
        fields = {
            field.name: getattr(self._updater, field.name)
            for field in dataclasses.fields(self._updater)  # type: ignore[arg-type]
        }
        # A function is the same in another process by its name alone.
        options = {name: getattr(value, "__name__", value) for name, value in fields.items()}
        return {
            "updater": {"kind": type(self._updater).__name__, **options},
            "interval": self._interval,
        }

    def state(self) -> Mapping[str, Tensor]:
        """Return the counters; the masks are the model's own buffers."""
        return {
            "updates": torch.tensor(self.updates),
            "dense_gradient_macs": torch.tensor(self.dense_gradient_macs),
        }

    def load_state(self, tensors: Mapping[str, Tensor], training: TrainingState) -> None:  # noqa: ARG002
        """Take the counters back."""
        self.updates = int(tensors["updates"])
        self.dense_gradient_macs = int(tensors["dense_gradient_macs"])

    def _is_due(self, step: int, state: TrainingState) -> bool:
        timetable = Timetable(steps=state.total_steps, interval=self._interval)
        return timetable.is_due(step, self._updater.until)

    def _hide_gradients(self, *, keep: bool) -> None:
        """Zero the gradients of masked weights; ``keep`` puts dense ones by for the mask update."""
        for name in self._masks.names:
            gradient = self._masks.weight(name).grad
            if gradient is not None:
                if keep:
                    self._dense_gradients[name] = gradient.clone()
                hide(gradient, self._masks[name])

    def _charge_dense_gradients(self, state: TrainingState) -> None:
        zeros = {n: self._masks[n].numel() - kept for n, kept in self._masks.nonzeros().items()}
        skipped = sum(self._macs_per_weight[name] * count for name, count in zeros.items())
        self.dense_gradient_macs += skipped * state.batch_examples
        state.training_macs += skipped * state.batch_examples

    def _rewire(self, state: TrainingState) -> None:
        layers = {}
        for name in self._masks.names:
            weight = self._masks.weight(name)
            gradient = self._dense_gradients.pop(name, weight.grad)
            if gradient is None and self._updater.needs_gradients:
                raise UsageError(
                    f"sparse training: the loss of step {state.step} does not reach {name}, and "
                    "the updater regrows it by its gradient; leave the layer out of the network or "
                    f"exclude it from the masks, {_OTHERWISE}"
                )
            layers[name] = Connections(
                weight=with_doubles(weight.detach()),
                gradient=None if gradient is None else with_doubles(gradient),
                mask=with_doubles(self._masks[name]),
            )
        before = self._masks.nonzeros()
        progress = state.step / state.total_steps
        for name, mask in self._updater.update(layers, progress, state.generator).items():
            mask = mask.to(self._masks[name].device)
            grown = mask & ~self._masks[name]
            self._masks.set(name, mask)
            _clear_slots(state.optimizer, self._masks.weight(name), grown)
        for name, count in self._masks.nonzeros().items():
            state.forward_macs += self._macs_per_weight[name] * (count - before[name])
        self.updates += 1


@torch.no_grad()
def _clear_slots(optimizer: torch.optim.Optimizer, parameter: Tensor, where: Tensor) -> None:
    """Zero the per-weight slots (momentum, Adam's moments) of ``parameter`` where ``where`` holds.

    Slots of another shape, such as Adam's step count, are not per weight and stay.
    """
    for slot in optimizer.state.get(parameter, {}).values():
        if isinstance(slot, Tensor) and slot.shape == parameter.shape:
            slot.masked_fill_(where, 0.0)
