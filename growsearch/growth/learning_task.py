"""Task of a space's networks on a data set: labels, or the next words of a text."""

from __future__ import annotations

from torch import nn

from growsearch.datasets import Dataset, TokenDataset
from growsearch.errors import UsageError
from growsearch.training import CarriesState, LanguageModelling, Task, task_of
from search_spaces import SearchSpace

Data = Dataset | TokenDataset | Task


def task_for(space: SearchSpace, data: Data, model: nn.Module) -> Task:
    """Return how ``model``, a network of ``space``, learns from ``data``.

    A text is read in windows of the space's length; a network that can carry its state from one
    window to the next (`CarriesState`) does so. A `Task` is taken as it is.

    Raises:
        UsageError: for a text in a space of images, or with more words than the space has.
    """
    if isinstance(data, Dataset):
        return task_of(data)
    if not isinstance(data, TokenDataset):
        return data
    words = len(data.vocabulary)
    if len(space.input_shape) != 1 or words > space.num_classes:
        raise UsageError(
            f"space: {space.name} reads {space.input_shape} and knows {space.num_classes} classes, "
            f"but {data.name} is a text of {words} words; use a space of language models, such as "
            f"lstm-ptb, with for_data((35,), {words})"
        )
    return LanguageModelling(
        data=data, window=space.input_shape[0], carried=isinstance(model, CarriesState)
    )
