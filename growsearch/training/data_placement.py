"""Data on an accelerator: all of it at once where it fits, so that no batch has to travel."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from growsearch.datasets.dataset import Dataset, Split
from growsearch.datasets.texts.tokens import TokenDataset
from growsearch.training.tasks.examples import Examples
from growsearch.training.tasks.language_modelling import LanguageModelling
from growsearch.training.tasks.task import Task

# Of the memory that is free there: the network, its gradients and activations need the rest.
_SHARE = 0.25
# Where a device does not tell how much memory it has.
_UNASKED_BYTES = 2**28


def placed_data(task: Task, device: torch.device) -> Task:
    """Return ``task`` with its data on ``device``, if it is in memory here and fits there.

    Whatever else a task reads is moved batch by batch.
    """
    if device.type == "cpu":
        return task
    if isinstance(task, Examples) and isinstance(task.dataset, Dataset):
        streamed = task.dataset.train.streamed or task.dataset.validation.streamed
        if streamed or _bytes(task.dataset) > _room(device):
            return task
        moved: Task = dataclasses.replace(task, dataset=_dataset_on(task.dataset, device))
        return moved
    if isinstance(task, LanguageModelling) and _bytes(task.data) <= _room(device):
        return dataclasses.replace(task, data=_text_on(task.data, device))
    return task


def _bytes(data: Dataset | TokenDataset) -> int:
    """Return the memory of what training reads, its evaluations included."""
    tensors: list[Tensor] = []
    for part in (data.train, data.validation):
        tensors += (part.inputs, part.labels) if isinstance(part, Split) else (part,)
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _dataset_on(data: Dataset, device: torch.device) -> Dataset:
    return dataclasses.replace(
        data, train=_split_on(data.train, device), validation=_split_on(data.validation, device)
    )


def _split_on(split: Split, device: torch.device) -> Split:
    return Split(inputs=split.inputs.to(device), labels=split.labels.to(device))


def _text_on(data: TokenDataset, device: torch.device) -> TokenDataset:
    return dataclasses.replace(
        data, train=data.train.to(device), validation=data.validation.to(device)
    )


def _room(device: torch.device) -> float:
    try:
        free, _ = torch.accelerator.get_memory_info(device)
    except (RuntimeError, AttributeError):
        return _UNASKED_BYTES
    return _SHARE * free
