"""A task's own loss: everything that trains or ranks weights goes by it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from growsearch.datasets import Dataset, from_tensors
from growsearch.growth import Budget, GrowthConfig, grow
from growsearch.kinds import SparseCandidate, TrainingContext
from growsearch.kinds.learning import Learning
from growsearch.kinds.recipe_choice import RecipeChoice
from growsearch.kinds.sparse.training import train_sparse
from growsearch.training import Classification, Recipe, TrainingOptions, loss_on, task_of, train
from search_spaces import search_space


def _data() -> Dataset:
    images = torch.eye(4).repeat(10, 1).view(40, 1, 2, 2)
    return from_tensors(images, torch.arange(4).repeat(10))


@dataclass(frozen=True, slots=True)
class Listening(Classification):
    """Classes, with a note of every call of the loss: outputs, inputs, smoothing."""

    heard: list[tuple[tuple[int, ...], tuple[int, ...], float]] = field(default_factory=list)
    factor: float = 1.0

    def loss(
        self,
        outputs: Any,
        targets: Tensor,
        *,
        inputs: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        assert inputs is not None
        self.heard.append((tuple(outputs.shape), tuple(inputs.shape), label_smoothing))
        return self.factor * super(Listening, self).loss(
            outputs, targets, label_smoothing=label_smoothing
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Learns(Learning):
    own: Any = None

    def task(self, model: nn.Module) -> Any:
        return self.own


def test_the_loop_hands_a_task_its_outputs_its_inputs_and_the_smoothing() -> None:
    task = Listening(_data())
    recipe = Recipe(epochs=1, batch_size=16, label_smoothing=0.1)
    train(nn.Sequential(nn.Flatten(), nn.Linear(4, 4)), task, recipe, seed=0, forward_macs=16)
    assert task.heard == [((16, 4), (16, 1, 2, 2), 0.1)] * 2


def test_a_network_learns_nothing_from_a_loss_that_is_zero() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 4))
    before = model[1].weight.detach().clone()
    recipe = Recipe(epochs=1, weight_decay=0.0)
    train(model, Listening(_data(), factor=0.0), recipe, seed=0, forward_macs=16)
    assert torch.equal(model[1].weight, before)


def test_growth_and_its_births_go_by_the_tasks_loss() -> None:
    data = _data()
    task = Listening(data)
    space = search_space("mlp-digits").for_data(data.input_shape, data.num_classes)
    config = GrowthConfig.paper(recipe=Recipe(epochs=2, batch_size=11), birth="gradient")
    grow(space, task, budget=Budget(parameters=0.3), config=config, seed=0)
    # Three steps an epoch, and a birth after the first.
    assert len(task.heard) == 7


@pytest.mark.parametrize("distribution", ["snip", "grasp", "force"])
def test_saliencies_and_recorded_gradients_go_by_the_tasks_loss(
    distribution: str, tmp_path: Any
) -> None:
    data = _data()
    training = RecipeChoice(epochs=2, batch_size=32)
    candidate = SparseCandidate(
        space="mlp-digits",
        transform="none",
        sparsity=0.5,
        distribution=distribution,
        updater="rigl",
        training=training,
    )

    def heard(candidate: SparseCandidate, factor: float) -> tuple[int, list[float]]:
        task = Listening(data, factor=factor)
        context = TrainingContext(learning=Learns(dataset=data, own=task), seed=0, run=tmp_path)
        done = train_sparse(candidate, context, TrainingOptions())
        return len(task.heard), [line["all"] for line in done.records.get("gradient_flow", ())]

    plain, _ = heard(candidate, 1.0)
    assert plain > 2
    recorded, flow = heard(dataclasses.replace(candidate, record=("gradient_flow",)), 1.0)
    assert recorded == plain + 3
    twice = heard(dataclasses.replace(candidate, record=("gradient_flow",)), 2.0)[1]
    assert twice[0] == pytest.approx(2 * flow[0])


def test_the_loss_of_classes_is_the_cross_entropy() -> None:
    task, logits = task_of(_data()), torch.randn(8, 4)
    labels = torch.arange(4).repeat(2)
    expected = nn.functional.cross_entropy(logits, labels)
    assert torch.equal(task.loss(logits, labels), expected)
    assert torch.equal(loss_on(task, torch.zeros(8, 4))(logits, labels), expected)
    assert task.metrics == {"accuracy": "maximize"}
