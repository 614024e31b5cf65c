"""How is a network trained on windows of a text, each read alone?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from growsearch.datasets.dataset import Split
from growsearch.metrics import evaluating, perplexity
from growsearch.training.examples import Examples
from growsearch.training.task import Scores

# Logits of so many words at once, times the vocabulary, take the memory of an evaluation.
_EVALUATED_WORDS = 1024


@dataclass(frozen=True, slots=True)
class NextWords(Examples):
    """Inputs are words (N, T), labels the words that follow them, logits (N, T, words).

    No state is carried from one window to the next; `LanguageModelling` does that for a text.
    """

    @torch.no_grad()
    def scores(self, model: nn.Module, split: Split) -> Scores:
        """Return accuracy and perplexity on ``split``."""
        right, nats = 0, 0.0
        windows = max(1, _EVALUATED_WORDS // split.labels.shape[1])
        parts = zip(*(torch.split(t, windows) for t in (split.inputs, split.labels)), strict=True)
        with evaluating(model):
            for inputs, labels in parts:
                logits, wanted = model(inputs).flatten(0, 1), labels.flatten()
                nats += float(F.cross_entropy(logits.double(), wanted, reduction="sum"))
                right += int((logits.argmax(dim=1) == wanted).sum())
        count = split.labels.numel()
        return Scores(accuracy=right / count, perplexity=perplexity(nats, count))
