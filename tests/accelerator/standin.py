"""Stand-in accelerator "standin": a torch device that computes on the CPU and mixes with no other.

It lets a machine without a GPU test that nothing is left behind on the CPU: an operator that meets
tensors of both is refused, as CUDA refuses it, and what it computes is what the CPU does, bit for
bit. It stands on torch's experimental backends in Python, and is for tests alone. There are no
autocast kernels, no streams and no generators on it, and torch.tensor(..., device="standin") is
not to be had: make it on the CPU and move it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._mode_utils import no_dispatch
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "standin"

# CUDA takes indices (never values) that lie on the CPU, here alone.
_INDEXED_FROM_CPU = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}


class StandinTensor(Tensor):
    """A tensor of the stand-in; ``raw`` holds its values on the CPU."""

    raw: Tensor

    @staticmethod
    def __new__(cls, raw: Tensor, requires_grad: bool = False) -> StandinTensor:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            raw.shape,
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            device=torch.device(NAME, 0),
            requires_grad=requires_grad,
        )

    def __init__(self, raw: Tensor, requires_grad: bool = False) -> None:
        self.raw = raw

    def __repr__(self, **_: Any) -> str:
        return f"StandinTensor({self.raw})"

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        return _run(function, arguments, keywords or {})


class _Backend:
    """What torch asks of a device's module; ``present`` says whether the device is there."""

    present = False

    def is_initialized(self) -> bool:
        return self.present

    def is_available(self) -> bool:
        return self.present

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return int(self.present)

    def synchronize(self, device: Any = None) -> None:
        pass

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        pass

    def get_rng_state(self, device: Any = 0) -> Tensor:
        return torch.zeros(8, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: Any = 0) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


_BACKEND = _Backend()
# When this module is read, for torch counts devices at the first backward pass of a process and
# never again.
_setup_privateuseone_for_python_backend(NAME, backend_module=_BACKEND)
_library = torch.library.Library("_", "IMPL")
_library.fallback(lambda operator, *a, **k: _run(operator, a, k), "PrivateUse1")


@contextmanager
def plugged_in() -> Iterator[torch.device]:
    """Put the device into this machine inside."""
    moved = nn.Module._apply
    nn.Module._apply = _swapping(moved)  # type: ignore[method-assign]
    _BACKEND.present = True
    try:
        yield torch.device(NAME, 0)
    finally:
        _BACKEND.present = False
        nn.Module._apply = moved  # type: ignore[method-assign]


def _swapping(move: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Let a parameter stay the same object when its module moves, as on CUDA."""
    future = torch.__future__

    def swapped(module: nn.Module, *arguments: Any, **keywords: Any) -> nn.Module:
        before = future.get_swap_module_params_on_conversion()
        future.set_swap_module_params_on_conversion(True)
        try:
            return move(module, *arguments, **keywords)
        finally:
            future.set_swap_module_params_on_conversion(before)

    return swapped


def _is_ours(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def _raw(value: Any) -> Any:
    return value.raw if isinstance(value, StandinTensor) else value


def _run(operator: Any, arguments: Any, keywords: Any) -> Any:
    name = operator._schema.name
    if name == "aten::_to_copy":
        return _moved(operator, arguments[0], keywords)
    if name == "aten::copy_":
        operator(_raw(arguments[0]), _raw(arguments[1]), *arguments[2:])
        return arguments[0]
    tensors = [t for t in tree_leaves((arguments, keywords)) if isinstance(t, Tensor)]
    ours = [t for t in tensors if isinstance(t, StandinTensor)]
    _check_places(name, arguments, tensors, ours)
    there = _is_ours(keywords["device"]) if keywords.get("device") is not None else bool(ours)
    inner = {key: value for key, value in keywords.items() if key != "pin_memory"}
    if "device" in inner and _is_ours(inner["device"]):
        inner["device"] = torch.device("cpu")
    compute = _CELLS.get(name, operator)
    found = compute(*tree_map(_raw, arguments), **tree_map(_raw, inner))
    if torch.Tag.inplace_view in operator.tags:
        with no_dispatch():
            # The shape of the wrapper follows that of the values.
            operator(*arguments, **keywords)
    known = {id(t.raw): t for t in ours}

    def wrapped(value: Any) -> Any:
        if not isinstance(value, Tensor) or isinstance(value, StandinTensor):
            return value
        return known[id(value)] if id(value) in known else _maybe(value, there)

    return tree_map(wrapped, found)


def _maybe(value: Tensor, there: bool) -> Tensor:
    return StandinTensor(value) if there else value


def _moved(operator: Any, source: Tensor, keywords: Any) -> Tensor:
    target = keywords.get("device")
    stays = isinstance(source, StandinTensor) if target is None else _is_ours(target)
    inner = {k: v for k, v in keywords.items() if k not in ("device", "pin_memory", "non_blocking")}
    raw = _raw(source)
    made = operator(raw, **inner)
    return _maybe(made.clone() if made is raw else made, stays)


def _check_places(name: str, arguments: Any, tensors: list[Tensor], ours: list[Tensor]) -> None:
    others = [t for t in tensors if not isinstance(t, StandinTensor)]
    if name in _INDEXED_FROM_CPU and isinstance(arguments[0], StandinTensor):
        others = [t for t in arguments[2:3] if not isinstance(t, StandinTensor)]
    # A single number of the CPU may be met anywhere.
    others = [t for t in others if t.dim() > 0]
    if ours and others:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found {NAME}:0 and "
            f"{others[0].device} in {name}"
        )


def _lstm_cell(
    input_gates: Tensor, hidden_gates: Tensor, cx: Tensor, *biases: Tensor | None
) -> tuple[Tensor, ...]:
    """Return the output, the state and the four gates, as torch's fused cell does."""
    gates = sum((bias for bias in biases if bias is not None), input_gates + hidden_gates)
    enter, forget, cell, leave = gates.chunk(4, 1)
    enter, forget, leave = enter.sigmoid(), forget.sigmoid(), leave.sigmoid()
    cell = cell.tanh()
    cy = forget * cx + enter * cell
    return leave * cy.tanh(), cy, torch.cat([enter, forget, cell, leave], 1)


def _lstm_cell_backward(
    grad_hy: Tensor | None,
    grad_cy: Tensor | None,
    cx: Tensor,
    cy: Tensor,
    workspace: Tensor,
    has_bias: bool,
) -> tuple[Tensor, ...]:
    enter, forget, cell, leave = workspace.chunk(4, 1)
    out = torch.zeros_like(cy) if grad_hy is None else grad_hy
    squashed = cy.tanh()
    state = out * leave * (1 - squashed.square())
    if grad_cy is not None:
        state = state + grad_cy
    gates = torch.cat(
        [
            state * cell * enter * (1 - enter),
            state * cx * forget * (1 - forget),
            state * enter * (1 - cell.square()),
            out * squashed * leave * (1 - leave),
        ],
        1,
    )
    bias = gates.sum(0) if has_bias else gates.new_zeros(0)
    return gates, state * forget, bias


def _gru_cell(
    input_gates: Tensor, hidden_gates: Tensor, hx: Tensor, *biases: Tensor | None
) -> tuple[Tensor, ...]:
    """Return the output and what the backward pass needs."""
    found, heard = (
        gates if bias is None else gates + bias
        for gates, bias in zip((input_gates, hidden_gates), (*biases, None, None), strict=False)
    )
    (reset_in, update_in, new_in), (reset_h, update_h, new_h) = found.chunk(3, 1), heard.chunk(3, 1)
    reset, update = (reset_in + reset_h).sigmoid(), (update_in + update_h).sigmoid()
    new = (new_in + reset * new_h).tanh()
    return new + update * (hx - new), torch.cat([reset, update, new, hx, new_h], 1)


def _gru_cell_backward(grad_hy: Tensor, workspace: Tensor, has_bias: bool) -> tuple[Any, ...]:
    reset, update, new, hx, new_h = workspace.chunk(5, 1)
    to_new = grad_hy * (1 - update) * (1 - new.square())
    to_update = grad_hy * (hx - new) * update * (1 - update)
    to_reset = to_new * new_h * reset * (1 - reset)
    inputs = torch.cat([to_reset, to_update, to_new], 1)
    hidden = torch.cat([to_reset, to_update, to_new * reset], 1)
    biases = (inputs.sum(0), hidden.sum(0)) if has_bias else (None, None)
    return inputs, hidden, grad_hy * update, *biases


# The fused cells of LSTM and GRU that accelerators have and the CPU has not.
_CELLS = {
    "aten::_thnn_fused_lstm_cell": _lstm_cell,
    "aten::_thnn_fused_lstm_cell_backward_impl": _lstm_cell_backward,
    "aten::_thnn_fused_gru_cell": _gru_cell,
    "aten::_thnn_fused_gru_cell_backward": _gru_cell_backward,
}
