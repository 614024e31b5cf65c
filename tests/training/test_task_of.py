"""The shape of a data set's labels says what is learned, and how it is judged."""

import math

import pytest
import torch
from torch import nn

from growsearch.datasets import UNLABELLED, Dataset, Split, TokenDataset, text_windows
from growsearch.errors import UsageError
from growsearch.metrics import MetricSettings, evaluate
from growsearch.training import (
    Classification,
    NextWords,
    Recipe,
    Segmentation,
    mean_loss,
    task_of,
    train,
)


def _data(split, classes):
    return Dataset(name="tiny", train=split, validation=split, test=split, num_classes=classes)


def _pixels():
    """Two images of 1 x 2 pixels: classes 0 and 1, then 1 and none."""
    inputs = torch.tensor([[[[0.0, 1.0]]], [[[1.0, 0.0]]]])
    labels = torch.tensor([[[0, 1]], [[1, UNLABELLED]]])
    return _data(Split(inputs=inputs, labels=labels), 2)


class _Says(nn.Module):
    """Gives every pixel or word the logits of its place in a table."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x):
        return self.logits[x.squeeze(1).long()] if x.ndim == 4 else self.logits[x]


def test_labels_decide_on_the_task():
    words = TokenDataset(
        name="text",
        train=torch.arange(12) % 4,
        validation=torch.arange(7) % 4,
        test=torch.arange(7) % 4,
        vocabulary=("a", "b", "c", "d"),
    )
    assert isinstance(task_of(_pixels()), Segmentation)
    assert isinstance(task_of(text_windows(words, 3)), NextWords)
    plain = Split(inputs=torch.zeros(4, 2), labels=torch.zeros(4, dtype=torch.long))
    assert isinstance(task_of(_data(plain, 2)), Classification)
    odd = Split(inputs=torch.zeros(4, 2), labels=torch.zeros(4, 1, 1, 1, dtype=torch.long))
    with pytest.raises(UsageError, match=r"labels of shape \(4, 1, 1, 1\); give one an example"):
        task_of(_data(odd, 2))


def test_a_pixel_without_label_is_neither_judged_nor_learned():
    data = _pixels()
    # Says 1 everywhere: two of three labelled pixels are right.
    model = _Says([[0.0, 2.0], [0.0, 2.0]])
    assert task_of(data).scores(model, data.test).accuracy == pytest.approx(2 / 3)
    found = evaluate(["accuracy", "mean_iou"], model, data.test, MetricSettings())
    # Class 0: 0 of 1; class 1: 2 of 3.
    assert found == {"accuracy": pytest.approx(2 / 3), "mean_iou": pytest.approx(1 / 3)}
    losses = [math.log(1 + math.exp(2)), math.log(1 + math.exp(-2)), math.log(1 + math.exp(-2))]
    loss = mean_loss(model(data.test.inputs), data.test.labels)
    assert loss.item() == pytest.approx(sum(losses) / 3, rel=1e-6)


def test_windows_are_judged_by_accuracy_and_perplexity():
    inputs, labels = torch.tensor([[0, 1], [1, 0]]), torch.tensor([[1, 0], [0, 0]])
    data = _data(Split(inputs=inputs, labels=labels), 2)
    model = _Says([[0.0, math.log(3)], [math.log(3), 0.0]])
    # Each word is followed by the other one with probability 3/4; the last label is no such.
    scores = task_of(data).scores(model, data.test)
    assert scores.accuracy == 0.75
    assert scores.perplexity == pytest.approx((0.75**3 * 0.25) ** (-1 / 4), rel=1e-6)
    found = evaluate(["accuracy", "perplexity"], model, data.test, MetricSettings())
    assert found["accuracy"] == 0.75
    assert found["perplexity"] == pytest.approx(scores.perplexity, rel=1e-6)


@pytest.mark.parametrize("kind", ["pixels", "words"])
def test_training_finds_what_follows_from_the_input(kind):
    if kind == "pixels":
        data = _pixels()
        axes = 4
    else:
        tokens = torch.arange(41) % 2
        text = TokenDataset(
            name="t", train=tokens, validation=tokens, test=tokens, vocabulary=("a", "b")
        )
        data, axes = text_windows(text, 4), 2
    assert data.train.inputs.ndim == axes
    model = _Says([[0.0, 0.0], [0.0, 0.0]])
    recipe = Recipe(epochs=12, batch_size=2, learning_rate=0.5)
    history, _ = train(model, data, recipe, seed=0, forward_macs=1)
    assert history[-1].accuracy == 1.0
    if kind == "words":
        assert 1 <= history[-1].perplexity < 1.5
