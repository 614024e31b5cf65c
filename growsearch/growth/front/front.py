"""Front in training: stages of a trunk, each from the one before, and branches of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from growsearch.growth.budget.budget import Budget
from growsearch.growth.front.config import FrontConfig
from growsearch.growth.front.hook import FrontHook
from growsearch.growth.front.plan import Stage, front_macs, plan_front
from growsearch.growth.full_network import build_full
from growsearch.growth.grow import growth_record, make_result
from growsearch.growth.hook import Change
from growsearch.growth.learning_task import Data, task_for
from growsearch.growth.result import GrowthRecord, GrowthResult
from growsearch.growth.surgery.scale_free import scale_free_rows_of
from growsearch.growth.surgery.surgeon import Surgeon
from growsearch.training import EpochRecord, Recipe, Task, TrainingOptions, read_history, train
from search_spaces import SearchSpace, seeded

# Apart from the loop's own stream.
_FRONT_STREAM = 0x66726F6E
_NONE = torch.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """One trunk and its branches, each part of which trains by itself and is kept in a file.

    Parts with equal settings and seed are equal, bit for bit, whoever trains them and when.
    ``training_macs`` are what all parts take together.
    """

    space: SearchSpace
    task: Task
    config: FrontConfig
    seed: int
    stages: tuple[Stage, ...]
    training_macs: int

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        dataset: Data,
        budgets: Sequence[Budget],
        config: FrontConfig,
        seed: int,
    ) -> Front:
        """Plan a front; nothing trains yet.

        Raises:
            UsageError: for budgets that are none of a front; see `plan_front`.
        """
        model = build_full(space, seed)
        task = task_for(space, dataset, model)
        stages = plan_front(space, model, budgets, config)
        stages[-1].costs.growing.tell(space.name)
        return cls(
            space=space,
            task=task,
            config=config,
            seed=seed,
            stages=stages,
            training_macs=front_macs(stages, model, task, config),
        )

    def train_stage(
        self, index: int, parent: Path | None, options: TrainingOptions
    ) -> tuple[EpochRecord, ...]:
        """Train the trunk at one budget, from ``parent``, the checkpoint of the stage before.

        ``options.checkpoint`` is what the next stage and the branch start from. Epochs are counted
        from the trunk's first one, as are MACs.
        """
        stage = self.stages[index]
        recipe = self.config.stage_recipe(index, stage.epochs)
        shift = stage.before
        _, history = self._train(stage, parent, recipe, _shifted(options, shift), branch=False)
        return tuple(_later(record, shift) for record in history)

    def train_branch(
        self, index: int, trunk: Sequence[Path], options: TrainingOptions
    ) -> GrowthResult:
        """Decline from the end of a stage; ``trunk`` are the checkpoints up to it."""
        stage = self.stages[index]
        recipe = self.config.decline_recipe(stage.decline)
        behind, shift = self.trunk_history(trunk), stage.before + stage.epochs
        model, history = self._train(
            stage, trunk[-1], recipe, _shifted(options, shift), branch=True
        )
        epochs = (*behind, *(_later(record, shift) for record in history))
        dense = self._dense_macs(len(epochs))
        return make_result(
            self.space,
            model,
            stage.costs,
            stage.budget,
            tuple(self.record(index, epoch) for epoch in epochs),
            dense,
        )

    def trunk_history(self, trunk: Sequence[Path]) -> tuple[EpochRecord, ...]:
        """Return the epochs of the trunk that its stages' checkpoints tell of."""
        return tuple(
            _later(record, stage.before)
            for stage, file in zip(self.stages, trunk, strict=False)
            for record in read_history(file)
        )

    def record(self, index: int, epoch: EpochRecord) -> GrowthRecord:
        """Return what an epoch of branch ``index``, or of the trunk up to it, left behind."""
        stage = self.stages[index]
        at = next(s for s in reversed(self.stages[: index + 1]) if s.before < epoch.epoch)
        begins = epoch.epoch == at.before + 1 and at.index > 0
        before = self.stages[at.index - 1].live if begins else at.live
        change = Change(
            live=at.live,
            dormant=torch.zeros_like(at.live),
            temperature=_NONE,
            probability=_NONE,
            cost=stage.costs.projection.cost(at.live),
            created=int((at.live & ~before).sum()),
            attached=0,
            detached=0,
            frozen=epoch.epoch > stage.before + stage.epochs,
        )
        return growth_record(stage.costs, epoch, change, self._dense_macs(1))

    def _dense_macs(self, epochs: int) -> int:
        recipe = self.config.decline_recipe(epochs)
        return self.stages[0].costs.dense_training_macs(self.task, recipe)

    def _train(
        self,
        stage: Stage,
        parent: Path | None,
        recipe: Recipe,
        options: TrainingOptions,
        *,
        branch: bool,
    ) -> tuple[nn.Module, list[EpochRecord]]:
        model = build_full(self.space, self.seed)
        surgeon = Surgeon(
            model,
            stage.costs.growing.groups,
            stage.costs.growing_units,
            rows=scale_free_rows_of(self.space),
            norms=self.config.norms,
        )
        if parent is None:
            surgeon.seed(stage.live)
        hook = FrontHook(
            trunk=self.stages[: stage.index + 1],
            config=self.config,
            surgeon=surgeon,
            task=self.task,
            generator=torch.Generator().manual_seed((self.seed ^ _FRONT_STREAM) + stage.index),
            parent=parent,
            is_branch=branch,
            guard=options.guard,
        )
        with seeded(self.seed):
            history, _ = train(
                model,
                self.task,
                recipe,
                seed=self.seed,
                forward_macs=stage.macs,
                options=dataclasses.replace(options, hooks=(hook, *options.hooks)),
            )
        return model, history


def _later(record: EpochRecord, epochs: int) -> EpochRecord:
    return dataclasses.replace(record, epoch=record.epoch + epochs)


def _shifted(options: TrainingOptions, epochs: int) -> TrainingOptions:
    """Return options whose listeners hear of epochs as of those of one run."""
    on_epoch, on_resume = options.on_epoch, options.on_resume
    return dataclasses.replace(
        options,
        on_epoch=on_epoch and (lambda record: on_epoch(_later(record, epochs))),
        on_resume=on_resume and (lambda records: on_resume([_later(r, epochs) for r in records])),
    )
