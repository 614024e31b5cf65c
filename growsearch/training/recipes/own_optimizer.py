"""Own optimizer of a recipe, "module:attribute": a subclass of torch.optim.Optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from growsearch.errors import UsageError
from search_spaces import SearchSpaceError
from search_spaces.user_code import find


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOptimizer:
    """Makes the optimizer of that name with the recipe's groups and rate, ``make(groups, lr=...)``.

    Groups state their weight decay. Its state has to be tensors, so that a run can go on.

    Example:
        >>> import torch
        >>> from growsearch.training import OwnOptimizer
        >>> rule = OwnOptimizer(name="torch.optim:RAdam")
        >>> groups = [{"params": [torch.zeros(2, requires_grad=True)], "weight_decay": 0.0}]
        >>> type(rule.over(groups, 0.1)).__name__
        'RAdam'
    """

    name: str

    def over(self, groups: Sequence[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        """Return a fresh optimizer.

        Raises:
            UsageError: if it is not there, cannot be made so, or is none.
        """
        plain = self.name.partition("@")[0]
        try:
            made = find(self.name)(groups, lr=learning_rate)
        except SearchSpaceError as error:
            raise UsageError(f"optimizer: {error}") from error
        except Exception as error:  # whatever own code raises, the cause is kept
            raise UsageError(
                f"optimizer: {plain}(groups, lr={learning_rate}) fails: {type(error).__name__}: "
                f"{error}"
            ) from error
        if not isinstance(made, torch.optim.Optimizer):
            raise UsageError(f"optimizer: {plain} makes a {type(made).__name__}, no Optimizer")
        return made
