"""Pretraining on a source data set, robust or not: where the weights theta_pre come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from growsearch.datasets import Dataset
from growsearch.errors import GrowsearchError, UsageError
from growsearch.growth import build_full
from growsearch.reading import reading
from growsearch.tickets.robustness import NATURAL, Robustness
from growsearch.training import (
    Checkpoint,
    Classification,
    InitialWeights,
    Recipe,
    TrainingOptions,
    examples_per_step,
    plain,
    read_checkpoint,
    train,
    write_checkpoint,
)
from growsearch.transforms import MacProfile
from search_spaces import SearchSpace, search_space
from search_spaces.code_origin import FOUND_HERE

# Apart from the batches' stream, which has the run's own seed.
_PERTURBATION_SEED = 1_000_003


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """A dense network, trained on a source data set.

    Attributes:
        model: it holds theta_pre; whoever trains further takes a copy.
        space: the network's, adapted to the source data.
        source: what it depends on, as JSON data.
        training_macs: what pretraining took, attacks included.
        examples: how many training examples it saw, each time counted.
        accuracy: on the source's validation split, without perturbation.
    """

    model: nn.Module
    space: SearchSpace
    source: Mapping[str, Any]
    training_macs: int
    examples: int
    accuracy: float


def pretrain(
    space: SearchSpace,
    dataset: Dataset,
    recipe: Recipe,
    *,
    robustness: Robustness = NATURAL,
    seed: int,
    options: TrainingOptions | None = None,
    init: InitialWeights | None = None,
) -> Pretrained:
    """Train the full configuration of ``space`` on ``dataset``; the same seed, the same network.

    The seed gives the same first weights and the same batches whatever the robustness; with
    ``init`` the first weights are those.

    Raises:
        UsageError: if the inputs are no images and ``robustness`` perturbs them, or examples have
            several labels.
        DivergedError: if the loss stops being finite.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.tickets import pretrain
        >>> from growsearch.training import Recipe
        >>> from search_spaces import search_space
        >>> images = torch.eye(4).repeat(10, 1).view(40, 1, 2, 2)
        >>> data = from_tensors(images, torch.arange(4).repeat(10))
        >>> pretrained = pretrain(search_space("mlp-digits"), data, Recipe(epochs=1), seed=0)
        >>> pretrained.source["space"], pretrained.examples
        ('mlp-digits', 33)
    """
    options = options or TrainingOptions()
    check_one_label_each(dataset)
    space = space.for_data(dataset.input_shape, dataset.num_classes)
    task = Classification(dataset)
    with options.guard():
        model = build_full(space, seed, init)
        macs = MacProfile.of(model, space.example_inputs()).dense_macs
    hooks = robustness.hooks(dataset.normalisation, seed=seed + _PERTURBATION_SEED)
    history, state = train(
        model,
        task,
        recipe,
        seed=seed,
        forward_macs=macs,
        options=dataclasses.replace(options, hooks=(*hooks, *options.hooks)),
    )
    accuracy = history[-1].accuracy
    assert accuracy is not None  # of one class an example, as was checked
    return Pretrained(
        model=model.eval(),
        space=space,
        source={
            **pretraining_source(space, dataset, recipe, robustness, seed),
            **({} if init is None else {"init": init.name}),
        },
        training_macs=state.training_macs,
        examples=state.total_steps * examples_per_step(task, recipe),
        accuracy=accuracy,
    )


def check_one_label_each(dataset: Dataset) -> None:
    """Refuse data with labels a word or a pixel.

    Raises:
        UsageError: naming the data.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.tickets import check_one_label_each
        >>> data = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
        >>> check_one_label_each(data)
    """
    if dataset.train.label_kind != "one an example":
        shape = (len(dataset.train), *dataset.train.label_shape)
        raise UsageError(
            f"source: {dataset.name} has labels of shape {shape}; "
            "tickets are drawn from networks that were pretrained with one label an example"
        )


def pretraining_source(
    space: SearchSpace, dataset: Dataset, recipe: Recipe, robustness: Robustness, seed: int
) -> dict[str, Any]:
    """Return all that the weights of `pretrain` depend on, as JSON data.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.tickets import NATURAL, pretraining_source
        >>> from growsearch.training import Recipe
        >>> from search_spaces import search_space
        >>> data = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10), name="unit")
        >>> space, recipe = search_space("mlp-digits"), Recipe(epochs=1)
        >>> pretraining_source(space, data, recipe, NATURAL, seed=0)["dataset"]
        'unit'
    """
    return {
        "space": space.name,
        "dataset": dataset.name,
        "examples": len(dataset.train),
        "input_shape": list(dataset.input_shape),
        "num_classes": dataset.num_classes,
        "recipe": plain(recipe),
        "robustness": robustness.to_json(),
        "seed": seed,
    }


def write_pretrained(path: Path, pretrained: Pretrained) -> None:
    """Write weights, statistics and facts to one safetensors file, in one atomic step.

    Example:
        >>> from pathlib import Path
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.tickets import pretrain, read_pretrained, write_pretrained
        >>> from growsearch.training import Recipe
        >>> from search_spaces import search_space
        >>> images = torch.eye(4).repeat(10, 1).view(40, 1, 2, 2)
        >>> data = from_tensors(images, torch.arange(4).repeat(10))
        >>> pretrained = pretrain(search_space("mlp-digits"), data, Recipe(epochs=1), seed=0)
        >>> write_pretrained(Path("pretrained.safetensors"), pretrained)
        >>> read_pretrained(Path("pretrained.safetensors")).source == pretrained.source
        True
    """
    facts = {
        "source": dict(pretrained.source),
        "training_macs": pretrained.training_macs,
        "examples": pretrained.examples,
        "accuracy": pretrained.accuracy,
    }
    tensors: dict[str, Tensor] = dict(pretrained.model.state_dict())
    write_checkpoint(path, Checkpoint(tensors=tensors, facts=facts))


def read_pretrained(path: Path) -> Pretrained:
    """Read what `write_pretrained` wrote, of a space of ours or of code that was found before.

    Raises:
        GrowsearchError: if the file is damaged or its network cannot be built.

    Example:
        >>> from pathlib import Path
        >>> from growsearch.errors import GrowsearchError
        >>> from growsearch.tickets import read_pretrained
        >>> _ = Path("damaged.safetensors").write_bytes(b"")
        >>> try:
        ...     read_pretrained(Path("damaged.safetensors"))
        ... except GrowsearchError as error:
        ...     print(str(error).split(" (")[0])
        damaged.safetensors is damaged
    """
    checkpoint = read_checkpoint(path)
    facts = checkpoint.facts
    remedy = "it holds no pretrained network of this version: delete it"
    with reading(path, remedy, GrowsearchError):
        source = facts["source"]
        FOUND_HERE.check(source["space"])
        space = search_space(source["space"]).for_data(
            tuple(source["input_shape"]), source["num_classes"]
        )
        model = build_full(space, 0)
        model.load_state_dict(dict(checkpoint.tensors))
        return Pretrained(
            model=model.eval(),
            space=space,
            source=source,
            training_macs=int(facts["training_macs"]),
            examples=int(facts["examples"]),
            accuracy=float(facts["accuracy"]),
        )
