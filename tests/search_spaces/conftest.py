"""Shapes are checked on the meta device, where torch takes long over values that do not exist."""

import pytest
import torch
from torch.nn import functional as F

_batch_norm = F.batch_norm
_draws = {name: getattr(torch.Tensor, name) for name in ("normal_", "uniform_")}


def _checked(x: torch.Tensor, mean: torch.Tensor, *others: object, **named: object) -> torch.Tensor:
    if not x.is_meta:
        return _batch_norm(x, mean, *others, **named)
    assert x.shape[1] == mean.shape[0], "BatchNorm has another number of channels than its input"
    return x


@pytest.fixture(autouse=True)
def quick_meta_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing into meta tensors; BatchNorm checks their channels and passes them on."""
    monkeypatch.setattr(F, "batch_norm", _checked)
    for name, draw in _draws.items():

        def drawn(tensor, *args, _draw=draw, **named):
            return tensor if tensor.is_meta else _draw(tensor, *args, **named)

        monkeypatch.setattr(torch.Tensor, name, drawn)
