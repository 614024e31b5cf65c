"""Plain layers: does a module compute as torch's own class of it does, or in a way of its own?

What is put in the place of a layer, or counts, gates or runs it otherwise, knows torch's own
computation only. A layer with another is kept as the object that it is.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils import parametrize

_TORCHS_OWN = "torch.nn.modules."
# What decides together what a call of a layer gives.
_METHODS = (
    *("__call__", "_wrapped_call_impl", "_call_impl", "__getattr__", "__getattribute__"),
    *("forward", "_conv_forward", "_output_padding", "permute_hidden"),
)
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def torchs_class(layer: nn.Module) -> type[nn.Module]:
    """Return the nearest class of ``layer`` that torch's layers come with; nn.Module if no other.

    Example:
        >>> from torch import nn
        >>> from search_spaces.own_networks.plain_layers import torchs_class
        >>> class Flipped(nn.Linear):
        ...     def forward(self, x):
        ...         return super().forward(x.flip(-1))
        >>> torchs_class(Flipped(2, 2)).__name__
        'Linear'
    """
    return next(kind for kind in type(layer).__mro__ if kind.__module__.startswith(_TORCHS_OWN))


def own_computation(layer: nn.Module) -> str:
    """Return in what way ``layer`` computes otherwise than torch's class of it; "" if it does not.

    Another constructor, other attributes and methods that a call does not use change nothing. A
    forward of its own (of its class or set on the object), hooks, weights that are computed, and
    tensors of another kind do.

    Example:
        >>> from torch import nn
        >>> from search_spaces.own_networks.plain_layers import own_computation
        >>> class Flipped(nn.Linear):
        ...     def forward(self, x):
        ...         return super().forward(x.flip(-1))
        >>> own_computation(nn.Linear(2, 2)), own_computation(Flipped(2, 2))
        ('', 'Flipped has a forward of its own')
    """
    base, kind, held = torchs_class(layer), type(layer), vars(layer)
    if parametrize.is_parametrized(layer):
        return f"{', '.join(layer.parametrizations)} is parametrised"  # type: ignore[arg-type]
    for name in _METHODS:
        if getattr(kind, name, None) is not getattr(base, name, None):
            return f"{kind.__name__} has a {name.strip('_')} of its own"
        if name in held:
            return f"its {name.strip('_')} is set on the object"
    return _own_tensors(layer, kind, base) or _hooked(layer)


def _own_tensors(layer: nn.Module, kind: type[nn.Module], base: type[nn.Module]) -> str:
    """Return which tensor is no stored one, or of a kind of its own."""
    tensors = {**layer._parameters, **layer._buffers}
    # A property of the class or an attribute of the object hides the parameter of its name.
    names = {
        *tensors,
        *(n for n in ("weight", "bias") if n in getattr(base, "__annotations__", {})),
    }
    for name in sorted(names):
        if name in vars(layer) or (hasattr(kind, name) and not hasattr(base, name)):
            return f"its {name} is computed"
        if name not in tensors:
            return f"its {name} is not stored"
    strange = (n for n, t in tensors.items() if t is not None and not _is_plain(t))
    return next((f"its {n} is a {type(tensors[n]).__name__}" for n in strange), "")


def _is_plain(tensor: Tensor) -> bool:
    kind = type(tensor)
    return kind in (Tensor, nn.Parameter) or nn.parameter.is_lazy(tensor)


def _hooked(layer: nn.Module) -> str:
    return "it has hooks" if any(vars(layer).get(hooks) for hooks in _HOOKS) else ""
