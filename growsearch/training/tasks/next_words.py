"""Next-word task on windows of a text, each read alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from growsearch.datasets.dataset import Split
from growsearch.metrics import next_word_scores
from growsearch.pareto import Direction
from growsearch.training.tasks.examples import Examples
from growsearch.training.tasks.task import Scores


@dataclass(frozen=True, slots=True)
class NextWords(Examples):
    """Inputs are words (N, T), labels the words that follow them, logits (N, T, words).

    No state is carried from one window to the next; `LanguageModelling` does that for a text.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import NextWords
        >>> words = torch.arange(4).repeat(40, 1)
        >>> task = NextWords(from_tensors(words, (words + 1) % 4))
        >>> task.sample(2, torch.Generator().manual_seed(0))[0].shape
        torch.Size([2, 4])
    """

    @property
    def metrics(self) -> Mapping[str, Direction]:
        """Accuracy and perplexity."""
        return {"accuracy": "maximize", "perplexity": "minimize"}

    def scores(self, model: nn.Module, split: Split) -> Scores:
        """Return accuracy and perplexity on ``split``."""
        accuracy, found = next_word_scores(model, split)
        return Scores(accuracy=accuracy, perplexity=found)
