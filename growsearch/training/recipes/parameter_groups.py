"""Parameter groups of a network, decayed and not, and a recipe's optimizer over them."""

from __future__ import annotations

import torch
from torch import nn

from growsearch.training.recipes.recipe import Recipe


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Split parameters into decayed weights and undecayed vectors (biases, BatchNorm).

    Example:
        >>> import torch
        >>> from growsearch.training import parameter_groups
        >>> weights, vectors = parameter_groups(torch.nn.Linear(4, 2), weight_decay=1e-4)
        >>> weights["weight_decay"], vectors["weight_decay"]
        (0.0001, 0.0)
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over the model's parameters.

    Example:
        >>> import torch
        >>> from growsearch.training import Recipe, make_optimizer
        >>> type(make_optimizer(torch.nn.Linear(4, 2), Recipe(epochs=1))).__name__
        'SGD'
    """
    groups = parameter_groups(model, recipe.weight_decay)
    return recipe.optimizer.over(groups, recipe.learning_rate)
