"""How does a training run stay sparse, rewire its masks and account for what that costs?"""

from __future__ import annotations

from collections.abc import Mapping

from growsearch.errors import GrowsearchError, UsageError
from growsearch.sparsity.dynamic.updater import Connections, MaskUpdater
from growsearch.sparsity.masks import Masks
from growsearch.sparsity.optimizer_slots import clear_slots
from growsearch.training import Hook, TrainingState


class SparseTraining(Hook):
    """Applies masks after every update and lets an updater rewire them every ``interval`` steps.

    Steps count from 1; the masks change at multiples of ``interval`` below ``updater.until`` of
    all steps. Connections that are grown and were masked before start at zero weight with cleared
    optimizer slots. ``state.forward_macs`` follows the active weights. A step that needs dense
    gradients costs 2 f_S + f_D instead of 3 f_S forward MACs an example (Evci et al. 2020,
    appendix H), which is added to ``state.training_macs``.
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
        self.updates = 0

    @property
    def masks(self) -> Masks:
        """The masks that are kept."""
        return self._masks

    def on_start(self, state: TrainingState) -> None:
        """Zero masked weights before the first forward pass.

        Raises:
            GrowsearchError: if the masks belong to another module than the one being trained.
        """
        if self._masks.module is not state.model:
            raise GrowsearchError(
                "sparse training: the masks belong to another module; use Masks.of(model)"
            )
        self._masks.apply()

    def before_update(self, state: TrainingState) -> bool:
        """Return False at mask updates that take the place of the weight update."""
        return not (self._updater.replaces_update and self._is_due(state.step + 1, state))

    def after_update(self, state: TrainingState) -> None:
        """Zero masked weights, then rewire the masks if this step is due."""
        self._masks.apply()
        if self._is_due(state.step, state):
            if self._updater.needs_gradients:
                self._charge_dense_gradients(state)
            self._rewire(state)

    def _is_due(self, step: int, state: TrainingState) -> bool:
        return step % self._interval == 0 and step < self._updater.until * state.total_steps

    def _charge_dense_gradients(self, state: TrainingState) -> None:
        zeros = {n: self._masks[n].numel() - kept for n, kept in self._masks.nonzeros().items()}
        skipped = sum(self._macs_per_weight[name] * count for name, count in zeros.items())
        state.training_macs += skipped * state.batch_examples

    def _rewire(self, state: TrainingState) -> None:
        layers = {
            name: Connections(
                weight=self._masks.weight(name).detach(),
                gradient=self._masks.weight(name).grad,
                mask=self._masks[name],
            )
            for name in self._masks.names
        }
        before = self._masks.nonzeros()
        progress = state.step / state.total_steps
        for name, mask in self._updater.update(layers, progress, state.generator).items():
            grown = mask & ~self._masks[name]
            self._masks.set(name, mask)
            clear_slots(state.optimizer, self._masks.weight(name), grown)
        for name, count in self._masks.nonzeros().items():
            state.forward_macs += self._macs_per_weight[name] * (count - before[name])
        self.updates += 1
