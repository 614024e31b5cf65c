"""Distillation: the loss by hand, and tasks that have no soft labels."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from growsearch.datasets import Dataset
from growsearch.pruning import Distillation
from growsearch.pruning.distillation import DistilledTask, attention_distance
from growsearch.training import task_of


def test_the_loss_is_the_task_s_and_the_teacher_s_by_weight(
    trained: nn.Module, digits: Dataset
) -> None:
    task, settings = task_of(digits), Distillation(weight=0.25, temperature=2.0)
    student = copy.deepcopy(trained)
    with torch.no_grad():
        student.classifier.weight.mul_(0.5)
    some = digits.train.at(torch.arange(16))
    outputs = student(some.inputs)
    found = DistilledTask(task, copy.deepcopy(trained), settings).loss(
        outputs, some.labels, inputs=some.inputs
    )
    hard = F.cross_entropy(outputs, some.labels)
    theirs = F.softmax(trained(some.inputs) / 2, dim=1)
    soft = 4 * (theirs * (theirs.log() - F.log_softmax(outputs / 2, dim=1))).sum(dim=1).mean()
    assert torch.allclose(found, 0.75 * hard + 0.25 * soft, atol=1e-6)


def test_the_same_network_is_no_distance_from_its_teacher(
    residual: nn.Module, digits: Dataset
) -> None:
    task = DistilledTask(
        task_of(digits), copy.deepcopy(residual), Distillation(weight=1.0, features=1.0)
    )
    some = digits.train.at(torch.arange(8))
    read = task.forward()
    outputs = read(residual.eval(), some.inputs)
    found = task.loss(outputs, some.labels, inputs=some.inputs)
    assert found.item() == pytest.approx(0, abs=1e-6)
    assert not residual.norm._forward_hooks


def test_maps_of_attention_do_not_know_how_many_channels_there_are() -> None:
    values = torch.rand(2, 3, 4, 4)
    wider = {"norm": values.repeat(1, 5, 1, 1)}
    assert float(attention_distance({"norm": values}, wider)) == pytest.approx(0, abs=1e-6)
    apart = float(attention_distance({"norm": values}, {"norm": torch.rand(2, 3, 4, 4)}))
    assert 0 < apart < 2
