"""Axis masks: along which axes of a tensor do marked entries differ?"""

from __future__ import annotations

from torch import Tensor


def varies(where: Tensor, axes: tuple[int, ...]) -> bool:
    """Tell whether a mask differs anywhere along ``axes``."""
    every = where
    for axis in axes:
        every = every.all(dim=axis, keepdim=True)
    return bool((any_over(where, axes, keepdim=True) != every).any())


def any_over(where: Tensor, axes: list[int] | tuple[int, ...], *, keepdim: bool = False) -> Tensor:
    """Return whether anything is marked along ``axes``."""
    for axis in sorted((axis % where.ndim for axis in axes), reverse=True):
        where = where.any(dim=axis, keepdim=keepdim)
    return where


def spread(mask: Tensor, dims: tuple[int, ...], out: Tensor) -> Tensor:
    """Return ``mask`` (sizes of ``dims``) in the shape of ``out`` with 1 for the other axes."""
    shape = [1] * out.ndim
    for dim, size in zip(dims, mask.shape, strict=True):
        shape[dim] = size
    return mask.view(shape).to(out.dtype)
