"""Learning task of a study: its data, and how a network learns and is judged on it."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from growsearch.datasets import (
    BY_LABELS,
    NO_KEYS,
    Change,
    DataKeys,
    Dataset,
    Loading,
    TaskChoice,
    for_task,
    load_dataset,
    load_token_dataset,
    loaded_by,
    subset,
    summary_lines,
    text_windows,
    with_augmentation,
)
from growsearch.datasets.streams.joined import text_and_validation, train_and_validation
from growsearch.datasets.streams.known_labels import KnownLabels
from growsearch.datasets.streams.streamed_split import StreamedSplit
from growsearch.datasets.texts.text_windows import WINDOW_WORDS
from growsearch.datasets.texts.tokens import TokenDataset
from growsearch.errors import UsageError
from growsearch.metrics.placement import device_of
from growsearch.training import CarriesState, Examples, LanguageModelling, Scores, task_of
from growsearch.training.devices import placed

_USUAL_LOADING = Loading()
SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextReading:
    """How a text is read: from window to window with the state carried on, or each alone.

    A window has ``window`` tokens. ``epoch_tokens`` makes an epoch a stretch of so many tokens;
    see `LanguageModelling`.
    """

    carried: bool = True
    window: int = WINDOW_WORDS
    epoch_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChoice:
    """The data of a study: a name, its folder, and how much of it is read in which way.

    ``subset`` is a number of training examples (tokens of a text); None is all. With a ``text``
    reading, the data is a text that is read as a whole and not in windows alone. ``task`` is what
    is learned, where the labels alone do not say it. An ``augmentation`` takes the place of the
    data's own. ``keys`` say how files become splits, ``loading`` how streamed data are read;
    ``given`` is such data that no name leads to, ``train_labels`` what another process has read of
    its or their labels already. With ``whole`` the validation examples are learned, too, and a
    trained network is judged by the test alone.
    """

    name: str
    folder: Path | None = None
    subset: int | None = None
    text: TextReading | None = None
    task: TaskChoice = BY_LABELS
    augmentation: Change | None = None
    keys: DataKeys = NO_KEYS
    loading: Loading = _USUAL_LOADING
    given: Dataset | None = field(default=None, compare=False, repr=False)
    train_labels: KnownLabels | None = field(default=None, compare=False, repr=False)
    whole: bool = False

    def load(self) -> Learning:
        """Load the data.

        Raises:
            UsageError: for an unknown name, missing files or a subset that is larger than the data.
        """
        if self.text is not None:
            text = load_token_dataset(self.name, self.folder)
            if self.subset is not None:
                text = _first_tokens(text, self.subset)
            if self.whole:
                text = text_and_validation(text)
            windows = text_windows(text, self.text.window)
            return Learning(dataset=windows, text=text, reading=self.text, whole=self.whole)
        return self.of(
            self.given or load_dataset(self.name, self.folder, self.task, keys=self.keys)
        )

    def of(self, dataset: Dataset) -> Learning:
        """Return the choice's part of data that is loaded already.

        Raises:
            UsageError: for a subset that is larger than the data, or an augmentation that the data
                cannot have.
        """
        dataset = for_task(dataset, self.task)
        if self.train_labels is not None and isinstance(dataset.train, StreamedSplit):
            dataset.train.known_labels.of_others(self.train_labels)
        if self.subset is not None:
            if self.subset > len(dataset.train):
                raise UsageError(
                    f"subset: {self.subset} is more than the {len(dataset.train)} training "
                    f"examples of {self.name}"
                )
            sizes = {"validation": len(dataset.validation), "test": len(dataset.test)}
            dataset = subset(dataset, train=self.subset, **sizes)
        if self.whole:
            dataset = train_and_validation(dataset)
        dataset = loaded_by(dataset, self.loading)
        if self.augmentation is not None:
            dataset = with_augmentation(dataset, self.augmentation)
        return Learning(dataset=dataset, whole=self.whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """What networks learn: examples of ``dataset``, or a ``text`` that is read on and on.

    ``dataset`` always has the shapes; of a text it is the windows. ``device`` is where networks are
    judged; None is where they are. With ``whole`` validation examples are learned, too.
    """

    dataset: Dataset
    text: TokenDataset | None = None
    reading: TextReading | None = None
    device: torch.device | None = None
    whole: bool = False

    @property
    def judged_by(self) -> SplitName:
        """The split that tells how good a trained network is: one that it has not learned."""
        return "test" if self.whole else "validation"

    @property
    def read_labels(self) -> KnownLabels | None:
        """Labels of streamed examples that took a pass, for other processes."""
        train = self.dataset.train
        if not isinstance(train, StreamedSplit) or train.labels_are_listed:
            return None
        return train.known_labels

    @property
    def summary(self) -> tuple[str, ...]:
        """Lines for people on what was read: counts, sizes, what was left out and why."""
        text = self.text
        if text is None:
            return summary_lines(self.dataset)
        parts = (text.train, text.validation, text.test)
        train, validation, test = (f"{len(part):,}" for part in parts)
        return (
            f"Data {text.name}: {train} training, {validation} validation and {test} test words, "
            f"{len(text.vocabulary):,} of them different",
        )

    def task(self, model: nn.Module) -> Examples | LanguageModelling:
        """Return how ``model`` learns: only a network that can carry its state on does so."""
        if self.text is None or self.reading is None:
            return task_of(self.dataset)
        return LanguageModelling(
            data=self.text,
            window=self.dataset.input_shape[0],
            carried=self.reading.carried and isinstance(model, CarriesState),
            epoch_tokens=self.reading.epoch_tokens,
        )

    def scores(self, model: nn.Module, split: SplitName) -> Scores:
        """Return how ``model`` does on one split."""
        task = self.task(model)
        with self.judging(model):
            if isinstance(task, LanguageModelling):
                return task.scores(model, getattr(task.data, split))
            return task.scores(model, self.dataset.split(split))

    def judging(self, model: nn.Module) -> AbstractContextManager[None]:
        """Have ``model`` where networks are judged inside."""
        return placed(model, device_of(model) if self.device is None else self.device)


def _first_tokens(text: TokenDataset, count: int) -> TokenDataset:
    if count > len(text.train):
        raise UsageError(f"subset: {count} is more than the {len(text.train)} tokens there")
    return dataclasses.replace(text, train=text.train[:count])
