"""Regression errors: mean squared and absolute error, and the coefficient of determination R²."""

from __future__ import annotations

from torch import Tensor


def mean_squared_error(predictions: Tensor, targets: Tensor) -> float:
    """Return the mean of (prediction - target)² over examples and columns, in the unit squared.

    Args:
        predictions: (N, K), or (N, 1) for targets (N,).
        targets: (N,) or (N, K).

    Example:
        >>> import torch
        >>> from growsearch.metrics import mean_squared_error
        >>> mean_squared_error(torch.tensor([[1.0], [4.0]]), torch.tensor([1.0, 2.0]))
        2.0
    """
    return float(_errors(predictions, targets).square().mean())


def mean_absolute_error(predictions: Tensor, targets: Tensor) -> float:
    """Return the mean of |prediction - target| over examples and columns, in the targets' unit.

    Arguments as `mean_squared_error`.

    Example:
        >>> import torch
        >>> from growsearch.metrics import mean_absolute_error
        >>> mean_absolute_error(torch.tensor([[1.0], [4.0]]), torch.tensor([1.0, 2.0]))
        1.0
    """
    return float(_errors(predictions, targets).abs().mean())


def r2_score(predictions: Tensor, targets: Tensor) -> float:
    """Return R², 1 - sum of squared errors / sum of squared deviations from the mean.

    1 is perfect, 0 as good as the mean; there is no lower end. Of several columns the plain mean;
    a column that is constant counts 1 where it is met exactly and 0 elsewhere. Arguments as
    `mean_squared_error`.

    Example:
        >>> import torch
        >>> from growsearch.metrics import r2_score
        >>> r2_score(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([1.0, 2.0, 3.0]))
        0.5
    """
    errors = _errors(predictions, targets).square().sum(dim=0)
    wanted = targets.cpu().double().reshape(len(targets), -1)
    spread = (wanted - wanted.mean(dim=0)).square().sum(dim=0)
    found = [
        1 - error / total if total > 0 else float(error == 0)
        for error, total in zip(errors.tolist(), spread.tolist(), strict=True)
    ]
    return float(sum(found) / len(found))


def _errors(predictions: Tensor, targets: Tensor) -> Tensor:
    """Return (N, K) float64; float32 would lose digits of large numbers that are near each other.

    Raises:
        ValueError: if there is not one prediction a target.
    """
    wanted = targets.cpu().double().reshape(len(targets), -1)
    found = predictions.cpu().double().reshape(len(predictions), -1)
    if found.shape != wanted.shape:
        raise ValueError(
            f"predictions {tuple(predictions.shape)} for targets {tuple(targets.shape)}; give one "
            "for each"
        )
    return found - wanted
