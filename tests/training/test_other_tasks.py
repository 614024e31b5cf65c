"""Regression, multi-label, focal loss and class weights, in training and in studies."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from growsearch.datasets import BY_LABELS, TaskChoice, for_task, from_tensors, load_dataset
from growsearch.errors import UsageError
from growsearch.growth import Budget, GrowthConfig, grow
from growsearch.training import (
    InUnits,
    MultiLabel,
    Recipe,
    Regression,
    TargetScale,
    focal_loss,
    task_of,
    train,
)
from search_spaces import search_space


def _line(examples: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and a linear function of them far from 0, with deviations in the thousands."""
    inputs = torch.randn(examples, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    return inputs, 50_000 + 3_000 * inputs.flatten(1).sum(dim=1)


def _marks(examples: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(examples, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    return inputs, (inputs.flatten(1)[:, :3] > 0).long()


def test_labels_say_what_is_learned_where_they_can() -> None:
    inputs, targets = _line()
    data = from_tensors(inputs, targets, task="regression")
    assert isinstance(task_of(data), Regression)
    assert (data.num_classes, data.train.labels.shape) == (1, (162,))
    marks = from_tensors(*_marks(), task="multi-label")
    assert isinstance(task_of(marks), MultiLabel)
    assert (marks.num_classes, marks.train.labels.dtype) == (3, torch.bool)
    # A data set of one's own making says it by the types of its labels alone.
    assert isinstance(task_of(dataclasses.replace(data, task=BY_LABELS)), Regression)


@pytest.mark.parametrize("columns", [None, 3])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.uint8])
def test_numbers_of_every_type_and_of_several_columns_are_targets(
    kind: type, columns: int | None
) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 100, (60, columns) if columns else 60).astype(kind)
    data = from_tensors(torch.zeros(60, 4), labels, task="regression")
    assert data.train.labels.dtype == torch.float32
    assert data.num_classes == (columns or 1)


@pytest.mark.parametrize(
    ("task", "labels", "message"),
    [
        ("regression", np.full(60, np.nan), "not finite"),
        ("regression", np.full(60, 1e300), "not finite"),
        ("regression", np.zeros((60, 2, 2)), r"wants numbers \(N,\)"),
        ("regression", np.full(60, 3.5), "all training labels are 3.5"),
        (
            "regression",
            np.stack([np.arange(60.0), np.full(60, 2.0)], axis=1),
            "all training labels of column 1 are 2",
        ),
        ("regression", np.array(["a", "b"] * 30), "labels are text"),
        ("multi-label", np.arange(60), r"wants \(N, K\)"),
        ("multi-label", np.full((60, 2), 2), "other values than 0 and 1"),
        ("multi-label", np.zeros((60, 2)), "no training example has any label"),
        ("multi-label", np.ones((60, 1)), "at least two labels"),
        ("multilabel", np.ones((60, 2)), "unknown 'multilabel'; valid: regression, multi-label"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(task: str, labels: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        from_tensors(torch.zeros(60, 4), labels, task=task)


def test_labels_that_some_split_never_has_are_told() -> None:
    labels = np.ones((60, 3), dtype=int)
    labels[:, 2] = 0
    data = from_tensors(torch.zeros(60, 4), labels, task="multi-label")
    assert any("1 labels have no training example (2)" in note for note in data.report.notes)


def test_arrays_in_a_file_are_read_for_the_stated_task(tmp_path: Path) -> None:
    inputs, targets = _line()
    np.savez(tmp_path / "data.npz", inputs=inputs.numpy(), labels=targets.numpy())
    data = load_dataset("arrays", tmp_path, TaskChoice(name="regression"))
    assert data.train.labels.dtype == torch.float32
    with pytest.raises(UsageError, match="task='regression'"):
        load_dataset("arrays", tmp_path)


def test_classes_become_numbers_of_a_regression_and_of_nothing_else() -> None:
    digits = for_task(load_dataset("digits"), TaskChoice(name="regression"))
    assert (digits.num_classes, digits.train.labels.dtype) == (1, torch.float32)
    with pytest.raises(UsageError, match="multi-label wants"):
        for_task(load_dataset("digits"), TaskChoice(name="multi-label"))


def test_a_regression_learns_at_the_usual_rate_and_is_judged_in_its_own_unit() -> None:
    data = from_tensors(*_line(), task="regression")
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    history, _ = train(model, data, Recipe(epochs=20), seed=0, forward_macs=4)
    last = history[-1]
    assert last.accuracy is None
    assert last.metrics["r2"] > 0.99
    task = task_of(data)
    assert isinstance(task, Regression)
    whole = InUnits(model, task.scale)
    found = whole(data.validation.inputs)[:, 0].detach()
    assert last.metrics["mae"] == pytest.approx(
        float((found - data.validation.labels).abs().mean()), rel=1e-4
    )
    assert 1 < last.metrics["mae"] < 600
    assert task.evaluate(whole).metrics["mse"] == pytest.approx(last.metrics["mse"], rel=1e-4)


def test_the_loss_of_a_regression_is_the_squared_error_of_standardised_targets() -> None:
    data = from_tensors(*_line(), task="regression")
    scale = TargetScale.of(data.train.labels)
    loss = task_of(data).loss(torch.zeros(162, 1), data.train.labels)
    assert float(loss) == pytest.approx(1.0, abs=1e-4)
    assert torch.allclose(
        scale.in_units(scale.standardised(data.train.labels))[:, 0], data.train.labels
    )
    with pytest.raises(UsageError, match="one output a number"):
        task_of(data).loss(torch.zeros(162, 2), data.train.labels)
    with pytest.raises(UsageError, match="label_smoothing"):
        task_of(data).loss(torch.zeros(162, 1), data.train.labels, label_smoothing=0.1)


def test_several_labels_are_learned_each_by_itself() -> None:
    data = from_tensors(*_marks(), task="multi-label")
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    recipe = Recipe(epochs=40, learning_rate=1.0)
    history, _ = train(model, data, recipe, seed=0, forward_macs=12)
    assert history[-1].metrics["mAP"] > 0.97
    logits = torch.tensor([[0.0, 2.0]])
    wanted = -(F.logsigmoid(torch.tensor(0.0)) + F.logsigmoid(torch.tensor(-2.0))) / 2
    two = from_tensors(*(_marks()[0], _marks()[1][:, :2]), task="multi-label")
    assert torch.allclose(task_of(two).loss(logits, torch.tensor([[True, False]])), wanted)


@pytest.mark.parametrize(("pair", "task"), [(_line, "regression"), (_marks, "multi-label")])
def test_a_network_grows_under_any_loss(pair: Any, task: str) -> None:
    data = from_tensors(*pair(), task=task)
    space = search_space("mlp-digits").for_data(data.input_shape, data.num_classes)
    # At the usual rate a network of these widths diverges, grown or not.
    recipe = Recipe(epochs=3, batch_size=27, learning_rate=0.01)
    config = GrowthConfig(recipe=recipe, birth="gradient")
    result = grow(space, data, budget=Budget(parameters=0.3), config=config, seed=0)
    assert result.cost <= result.limit
    assert set(result.history[-1].metrics) == set(task_of(data).metrics)


def test_the_focal_loss_is_that_of_equation_5() -> None:
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
    p = logits.softmax(dim=1)[:, 0]
    alpha = torch.tensor([0.25, 0.75])
    by_hand = -((1 - p) ** 2) * p.log()
    assert torch.allclose(focal_loss(logits, labels, gamma=2.0), by_hand.mean())
    assert torch.allclose(focal_loss(logits, labels, gamma=2.0, weight=alpha), by_hand.mean())
    mixed = torch.tensor([0, 1])
    q = logits.softmax(dim=1)[[0, 1], mixed]
    weighted = -alpha[mixed] * (1 - q) ** 2 * q.log()
    assert torch.allclose(
        focal_loss(logits, mixed, gamma=2.0, weight=alpha), weighted.sum() / alpha[mixed].sum()
    )


def test_the_focal_loss_without_focus_is_the_weighted_cross_entropy() -> None:
    logits, labels = torch.randn(8, 3), torch.randint(3, (8,))
    weight = torch.tensor([1.0, 2.0, 0.5])
    assert torch.allclose(
        focal_loss(logits, labels, gamma=0.0, weight=weight),
        F.cross_entropy(logits, labels, weight=weight),
    )


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_focal_loss_of_a_sure_network_has_a_gradient(gamma: float) -> None:
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0]), gamma=gamma)
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.isfinite(logits.grad).all()


def test_balanced_weights_are_inversely_proportional_to_the_frequency() -> None:
    labels = torch.tensor([0] * 80 + [1] * 20)
    choice = TaskChoice(class_weights="balanced")
    data = for_task(from_tensors(torch.zeros(100, 4), labels), choice)
    counts = torch.bincount(data.train.labels).double()
    wanted = (counts.sum() / (2 * counts)).float()
    task = task_of(data)
    assert torch.equal(task.weight, wanted)
    logits, some = torch.randn(6, 2), torch.tensor([0, 1, 0, 0, 1, 0])
    assert torch.allclose(task.loss(logits, some), F.cross_entropy(logits, some, weight=wanted))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"class_weights": (1.0, -1.0)}, "above 0"),
        ({"class_weights": "even"}, "write balanced"),
        ({"loss": "hinge"}, "unknown 'hinge'; valid: cross-entropy, focal"),
        ({"gamma": -1.0}, "from 0 on"),
        ({"name": "regression", "loss": "focal"}, "not with the task regression"),
        ({"name": "multi-label", "class_weights": "balanced"}, "not with the task multi-label"),
    ],
)
def test_choices_that_make_no_sense_are_refused(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TaskChoice(**choice)


def test_as_many_weights_as_classes_are_wanted() -> None:
    data = from_tensors(torch.zeros(40, 4), torch.arange(40) % 4)
    with pytest.raises(UsageError, match="3 for the 4 classes"):
        task_of(for_task(data, TaskChoice(class_weights=(1.0, 2.0, 3.0))))


def test_a_network_in_units_is_described_and_built_again(tmp_path: Path) -> None:
    from growsearch.kinds import Network

    scale = TargetScale(mean=(5.0,), deviation=(2.0,))
    network = Network(
        architecture=search_space("mlp-digits").largest(),
        input_shape=(1, 2, 2),
        num_classes=1,
        target_scale=scale,
    )
    built = network.build()
    again = Network.from_json(json.loads(json.dumps(network.to_json())))
    assert again == network
    inputs = torch.zeros(3, 1, 2, 2)
    assert torch.equal(built.eval()(inputs), 2 * built.network(inputs) + 5)
    for wrong in ({"mean": [1.0], "deviation": [0.0]}, {"mean": [1.0, 2.0], "deviation": [1.0]}):
        with pytest.raises(UsageError, match="target_scale"):
            Network.from_json({**network.to_json(), "target_scale": wrong})
