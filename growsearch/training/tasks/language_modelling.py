"""Language modelling task: a network learns to predict the next word of a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growsearch.datasets.texts.tokens import TokenDataset, streams, windows
from growsearch.errors import UsageError
from growsearch.metrics import evaluating, perplexity
from growsearch.metrics.placement import beside
from growsearch.pareto import Direction
from growsearch.training.tasks.examples import call
from growsearch.training.tasks.task import (
    Forward,
    InputsAndTargets,
    Outputs,
    Scores,
    mean_loss,
)

# Of every layer, the tensors that it hands on to the next token.
State = tuple[tuple[Tensor, ...], ...]

# Logits of so many tokens at once, times the vocabulary, take the memory of an evaluation.
_EVALUATED_TOKENS = 1024


@runtime_checkable
class CarriesState(Protocol):
    """A recurrent network: it can read on where it left off."""

    def step(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Map tokens (N, T) and a state, None at the start, to logits (N, T, words) and a state."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModelling:
    """Predicts every token from those before it; an example is a window of ``window`` tokens.

    ``carried`` is for recurrent networks (`CarriesState`): the text is cut into as many streams as
    a batch has examples, a batch is the next window of every stream, and the network reads on from
    the state in which the last window left it. Gradients stop there (truncated back-propagation
    through time, as in Zaremba et al. 2014). Otherwise windows come in a fresh order every epoch
    and each is read alone. What is less than a batch at the end of the text is not learned.
    ``epoch_tokens`` makes an epoch a stretch of so many tokens, from a random place each time: a
    network can then grow several times within one pass over a long text.

    Recurrent networks are judged on ``evaluation_streams`` streams side by side, which costs up to
    one token less than that of the text, and a little context at the start of each.

    Raises:
        UsageError: for a text or stretch shorter than a window, or a count below 1.

    Example:
        >>> import torch
        >>> from growsearch.datasets import TokenDataset
        >>> from growsearch.training import LanguageModelling
        >>> text = torch.arange(100) % 4
        >>> data = TokenDataset(
        ...     name="abcd", train=text, validation=text, test=text, vocabulary=("a", "b", "c", "d")
        ... )
        >>> LanguageModelling(data=data, window=5, carried=False).steps_per_epoch(batch_size=4)
        4
    """

    data: TokenDataset
    window: int
    carried: bool
    epoch_tokens: int | None = None
    evaluation_streams: int = 10

    def __post_init__(self) -> None:
        for key in ("window", "evaluation_streams"):
            if getattr(self, key) < 1:
                raise UsageError(f"{key}: {getattr(self, key)} is below 1")
        for key in ("train", "validation", "test"):
            tokens = len(getattr(self.data, key))
            if tokens <= self.window:
                raise UsageError(
                    f"window: {self.window} tokens need {self.window + 1} tokens of text, but "
                    f"{self.data.name} has {tokens} in {key}; give a shorter window"
                )
        if self.epoch_tokens is not None and self.epoch_tokens <= self.window:
            raise UsageError(
                f"epoch_tokens: {self.epoch_tokens} hold no window of {self.window} tokens and the "
                f"one that follows it; give at least {self.window + 1}"
            )

    def loss(
        self,
        outputs: Outputs,
        targets: Tensor,
        *,
        inputs: Tensor | None = None,  # noqa: ARG002
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Return the mean cross-entropy of logits (N, T, words) for the words (N, T)."""
        return mean_loss(outputs, targets, label_smoothing=label_smoothing)

    @property
    def metrics(self) -> Mapping[str, Direction]:
        """Accuracy and perplexity."""
        return {"accuracy": "maximize", "perplexity": "minimize"}

    def settings(self) -> Mapping[str, object]:
        """Return the text's name and size and the windows."""
        return {
            "data": self.data.name,
            "tokens": len(self.data.train),
            "window": self.window,
            "carried": self.carried,
            "epoch_tokens": self.epoch_tokens,
        }

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of whole batches of whole windows."""
        size = self.batch_examples(batch_size)
        if self.carried:
            return (self._read - 1) // size // self.window
        return self._windows // size

    def batch_examples(self, batch_size: int) -> int:
        """Return the windows of every batch."""
        return min(batch_size, self._windows)

    @property
    def _read(self) -> int:
        """The tokens of one epoch."""
        tokens = len(self.data.train)
        return tokens if self.epoch_tokens is None else min(tokens, self.epoch_tokens)

    @property
    def _windows(self) -> int:
        return (self._read - 1) // self.window

    def _stretch(self, generator: torch.Generator) -> Tensor:
        spare = len(self.data.train) - self._read
        start = int(torch.randint(spare + 1, (1,), generator=generator)) if spare else 0
        return self.data.train[start : start + self._read]

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[InputsAndTargets]:
        """Yield tokens (N, window) and those that follow them (N, window)."""
        size, steps = self.batch_examples(batch_size), self.steps_per_epoch(batch_size)
        tokens = self._stretch(generator)
        if self.carried:
            yield from islice(_along(streams(tokens, size), self.window), steps)
            return
        inputs, targets = windows(tokens, self.window)
        order = torch.randperm(len(inputs), generator=generator)
        for chosen in torch.split(order[: steps * size], size):
            yield inputs[chosen], targets[chosen]

    def forward(self) -> Forward:
        """Return how an epoch is read: with a state from window to window, or each window alone."""
        return _Reader() if self.carried else call

    def sample(self, count: int, generator: torch.Generator) -> InputsAndTargets:
        """Return windows (count, window) from anywhere in the training text, to be read alone."""
        inputs, targets = windows(self.data.train, self.window)
        chosen = torch.randperm(len(inputs), generator=generator)[:count]
        return inputs[chosen], targets[chosen]

    def evaluate(self, model: nn.Module) -> Scores:
        """Return accuracy and perplexity on the validation text."""
        return self.scores(model, self.data.validation)

    @torch.no_grad()
    def scores(self, model: nn.Module, tokens: Tensor) -> Scores:
        """Return accuracy and perplexity on ``tokens`` (T,), in evaluation mode.

        The perplexity is exp(mean negative log-likelihood). A transformer does without what is
        left over at the end.
        """
        forward, right, count = self.forward(), 0, 0
        loss = torch.zeros((), dtype=torch.float64)
        with evaluating(model):
            for pair in self._evaluated(tokens):
                inputs, targets = beside(model, *pair)
                logits, labels = forward(model, inputs).flatten(0, 1), targets.flatten()
                loss += F.cross_entropy(logits, labels, reduction="sum").cpu()
                right += int((logits.argmax(dim=1) == labels).sum())
                count += len(labels)
        return Scores(accuracy=right / count, perplexity=perplexity(float(loss), count))

    def _evaluated(self, tokens: Tensor) -> Iterator[InputsAndTargets]:
        if self.carried:
            count = min(self.evaluation_streams, len(tokens) - 1)
            yield from _along(streams(tokens, count), self.window)
            return
        inputs, targets = windows(tokens, self.window)
        size = max(1, _EVALUATED_TOKENS // self.window)
        yield from zip(torch.split(inputs, size), torch.split(targets, size), strict=True)


def _along(columns: InputsAndTargets, window: int) -> Iterator[InputsAndTargets]:
    """Yield the windows of streams (steps, N) in order, each (N, window); the last is shorter."""
    inputs, targets = (torch.split(part.T, window, dim=1) for part in columns)
    yield from zip(inputs, targets, strict=True)


class _Reader:
    """Reads one window after another, each from where the one before ended."""

    def __init__(self) -> None:
        self._state: State | None = None

    def __call__(self, model: nn.Module, inputs: Tensor) -> Tensor:
        if not isinstance(model, CarriesState):
            raise UsageError(
                f"carried: {type(model).__name__} has no method step(tokens, state) and cannot "
                "carry a state from window to window; use carried=False"
            )
        logits, state = model.step(inputs, self._state)
        self._state = tuple(tuple(part.detach() for part in layer) for layer in state)
        return logits
