"""Next-word accuracy and perplexity on windows of a text, each read alone."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from growsearch.datasets.dataset import Split
from growsearch.metrics.evaluation import evaluating
from growsearch.metrics.perplexity import perplexity
from growsearch.metrics.placement import beside, doubled

# Logits of so many words at once, times the vocabulary, take the memory of an evaluation.
_EVALUATED_WORDS = 1024


@torch.no_grad()
def next_word_scores(model: nn.Module, split: Split) -> tuple[float, float]:
    """Return accuracy and perplexity, in evaluation mode.

    Args:
        model: maps words (N, T) to logits (N, T, words).
        split: words (N, T) as inputs, those that follow them as labels.

    Example:
        >>> import torch
        >>> from growsearch.datasets import Split
        >>> from growsearch.metrics import next_word_scores
        >>> module = torch.nn.Embedding.from_pretrained(torch.zeros(5, 5))
        >>> split = Split(inputs=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[2, 3, 0]]))
        >>> [round(score, 2) for score in next_word_scores(module, split)]
        [0.33, 5.0]
    """
    right, nats = 0, 0.0
    windows = max(1, _EVALUATED_WORDS // split.labels.shape[1])
    parts = zip(*(torch.split(t, windows) for t in (split.inputs, split.labels)), strict=True)
    with evaluating(model):
        for pair in parts:
            inputs, labels = beside(model, *pair)
            logits, wanted = model(inputs).flatten(0, 1), labels.flatten()
            precise = doubled(logits)
            loss = F.cross_entropy(precise, wanted.to(precise.device), reduction="sum")
            nats += float(loss)
            right += int((logits.argmax(dim=1) == wanted).sum())
    count = split.labels.numel()
    return right / count, perplexity(nats, count)
