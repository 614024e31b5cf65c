"""Evaluation mode for a while: a network is asked without leaving a trace in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put ``model`` into evaluation mode inside; afterwards every module has its own mode again.

    What a network keeps of an evaluation (LeViT's attention biases, with their graph) it drops when
    it is told to train, before and after.

    Example:
        >>> import torch
        >>> from growsearch.metrics import evaluating
        >>> module = torch.nn.Dropout(0.5)
        >>> with evaluating(module):
        ...     inside = module.training
        >>> inside, module.training
        (False, True)
    """
    modes = [(part, part.training) for part in model.modules()]
    try:
        model.train()
        model.eval()
        yield
    finally:
        model.train()
        # What a module does when it is told its mode (merge weights, keep a bias) it does again.
        for part, training in modes:
            if part.training != training:
                part.train(training)
        for part, training in modes:
            part.training = training
