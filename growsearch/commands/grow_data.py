"""What does a growing run learn and how is its end judged? Labelled images, or a text."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from growsearch.datasets import TOKEN_DATASETS, Dataset, load_dataset, load_token_dataset
from growsearch.datasets import subset as subset_of
from growsearch.errors import UsageError
from growsearch.export import normal_inputs, token_inputs
from growsearch.export.network_export import DrawInputs
from growsearch.growth import build_full
from growsearch.growth.fits import check_fits
from growsearch.search.own_networks import check_own_network
from growsearch.training import CarriesState, Examples, LanguageModelling, Segmentation, task_of
from search_spaces import SearchSpace, SearchSpaceError
from search_spaces.own_code import is_own


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowData:
    """A space made for the data, and what to learn there."""

    space: SearchSpace
    task: Examples | LanguageModelling

    def test_figures(self, model: nn.Module) -> dict[str, float]:
        """Judge a finished network on the test split."""
        if isinstance(self.task, Examples):
            test = self.task.dataset.test
            scores = self.task.scores(model, test)
        else:
            scores = self.task.scores(model, self.task.data.test)
        figures = {"test_accuracy": scores.accuracy}
        if scores.perplexity is not None:
            figures["test_perplexity"] = scores.perplexity
        if isinstance(self.task, Segmentation):
            figures["test_mean_iou"] = self.task.mean_iou(model, test)
        return figures

    def check_own(self) -> tuple[str, ...]:
        """Look at a network of own code before it grows; return what a person should know of it.

        Raises:
            UsageError: if it could not be trained, counted or saved, naming the layer.
        """
        if not is_own(self.space.name) or not isinstance(self.task, Examples):
            return ()
        module = build_full(self.space, seed=0)
        try:
            return check_own_network(module, self.task.dataset, masked=False)
        except UsageError as error:
            raise UsageError(f"--space: {self.space.name}: {error}") from error

    def draw_inputs(self) -> DrawInputs:
        """Return what makes random inputs of this kind."""
        if not isinstance(self.task, Examples):
            return token_inputs(len(self.task.data.vocabulary))
        data = self.task.dataset
        images = data.train.inputs.is_floating_point()
        return normal_inputs if images else token_inputs(data.num_classes)

    def about_inputs(self) -> dict[str, Any]:
        """Return what has to be done to raw inputs, as plain data."""
        if isinstance(self.task, Examples):
            return {"normalisation": dataclasses.asdict(self.task.dataset.normalisation)}
        return {"vocabulary": list(self.task.data.vocabulary)}


def load_grow_data(
    name: str,
    data_dir: Path | None,
    space: SearchSpace,
    *,
    subset: int | None,
    epoch_tokens: int | None,
) -> GrowData:
    """Load a data set by name and fit ``space`` to it.

    ``subset`` is a number of training examples, tokens of a text. ``epoch_tokens`` makes an epoch
    of a text a stretch of so many tokens.

    Raises:
        UsageError: for an unknown name, missing files or a space of another kind of data.
    """
    if name in TOKEN_DATASETS:
        return _text(name, data_dir, space, subset, epoch_tokens)
    dataset = load_dataset(name, data_dir)
    if epoch_tokens is not None:
        raise UsageError(f"--epoch-tokens: {name} is no text; remove the option")
    images = dataset.train.inputs.is_floating_point()
    if images and not is_own(space.name) and len(space.input_shape) != 3:
        raise UsageError(
            f"--space: {space.name} reads texts, but {name} has images; use a space such as "
            f"resnet20, or data such as {next(iter(TOKEN_DATASETS))}"
        )
    if subset is not None:
        sizes = {"validation": len(dataset.validation), "test": len(dataset.test)}
        dataset = subset_of(dataset, train=subset, **sizes)
    return GrowData(space=_fitted(space, dataset), task=task_of(dataset))


def _fitted(space: SearchSpace, dataset: Dataset) -> SearchSpace:
    try:
        fitted = space.for_data(dataset.input_shape, dataset.num_classes)
        check_fits(fitted, dataset)
        return fitted
    except (SearchSpaceError, UsageError) as error:
        raise UsageError(f"--space: {error}") from error


def _text(
    name: str,
    data_dir: Path | None,
    space: SearchSpace,
    subset: int | None,
    epoch_tokens: int | None,
) -> GrowData:
    if len(space.input_shape) != 1:
        raise UsageError(
            f"--space: {space.name} reads images, but {name} is a text; use a space such as "
            "lstm-ptb-small"
        )
    text = load_token_dataset(name, data_dir)
    if subset is not None:
        if subset > len(text.train):
            raise UsageError(f"--subset: {subset} is more than the {len(text.train)} tokens there")
        text = dataclasses.replace(text, train=text.train[:subset])
    fitted = space.for_data(space.input_shape, len(text.vocabulary))
    carried = isinstance(fitted.build(fitted.largest()), CarriesState)
    task = LanguageModelling(
        data=text, window=space.input_shape[0], carried=carried, epoch_tokens=epoch_tokens
    )
    return GrowData(space=fitted, task=task)
