"""Reader gates: factors on the weights that read a channel, where none on its outputs closes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from growsearch.growth.gates.gate import AxisFactor, Gate
from search_spaces import ChannelGroup, Member, Unit
from search_spaces.channel_groups import axes_by_tensor, is_consumed


@dataclass(slots=True)
class _Reader:
    """One axis of one tensor that takes in the channels of gates; without an axis, all of it."""

    tensor: str
    factor: Callable[[], Tensor]
    axis: int | None = None

    def factors(self, axes: int) -> Tensor:
        """Return what the tensor, of so many axes, is multiplied by."""
        factor = self.factor()
        if self.axis is None:
            return factor if axes else factor.squeeze()
        return factor.view([-1 if axis == self.axis else 1 for axis in range(axes)])


class ReaderGates:
    """Multiplies what reads the channels of some groups by their gates, in every forward pass.

    Nothing hears of a channel whose readers' weights are 0 for it, whatever its outputs pass on
    their way: a Sigmoid, a shortcut, a layer without a norm. The factors stand in the places of the
    weights while the network runs, for layers and functions alike, and are gone afterwards. So do
    those on the parameters that close ``units``; of one that is detached there is nothing to
    multiply.
    """

    def __init__(
        self,
        module: nn.Module,
        groups: tuple[ChannelGroup, ...],
        gates: Mapping[str, Gate],
        units: tuple[Unit, ...] = (),
    ) -> None:
        owners: dict[tuple[str, int], list[tuple[ChannelGroup, Member]]] = {}
        for name, axes in axes_by_tensor(groups).items():
            for axis, group, member in axes:
                if group.name in gates and is_consumed(module, member):
                    owners.setdefault((name, axis), []).append((group, member))
        self._readers = [
            _Reader(tensor=name, axis=axis, factor=AxisFactor(of, gates))
            for (name, axis), of in owners.items()
        ]
        self._readers += [
            _Reader(tensor=name, factor=gates[unit.name].read)
            for unit in units
            for name in unit.closing
        ]
        # Layers that share a weight each hold it under a name of their own.
        firsts = {id(parameter): name for name, parameter in module.named_parameters()}
        self._names: dict[str, list[str]] = {}
        for name, parameter in module.named_parameters(remove_duplicate=False):
            self._names.setdefault(firsts[id(parameter)], []).append(name)
        self._handles = (
            module.register_forward_pre_hook(self.put_in),
            module.register_forward_hook(self.take_out, always_call=True),
        )

    def put_in(self, module: nn.Module, inputs: Any) -> None:  # noqa: ARG002
        """Let layers find gated weights under the names of their own."""
        for tensor, factor in self.factors(module).items():
            gated = module.get_parameter(tensor) * factor
            for name in self._names[tensor]:
                owner, leaf = _owner(module, name)
                # An attribute of the object hides the parameter of the same name.
                owner.__dict__[leaf] = gated

    def take_out(self, module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG002
        """Let layers find their own weights again."""
        for reader in self._readers:
            for name in self._names[reader.tensor]:
                if _parameter(module, name) is not None:
                    owner, leaf = _owner(module, name)
                    owner.__dict__.pop(leaf, None)

    def factors(self, module: nn.Module) -> dict[str, Tensor]:
        """Return, by parameter name, what each weight is multiplied by; it broadcasts over it."""
        found: dict[str, Tensor] = {}
        for reader in self._readers:
            parameter = _parameter(module, reader.tensor)
            if parameter is None:
                continue
            factor = reader.factors(parameter.ndim)
            if reader.axis is None and not factor.numel():
                # What closes a unit may lie beside it (a scale), and stays where it is detached.
                continue
            known = found.get(reader.tensor)
            found[reader.tensor] = factor if known is None else known * factor
        return found

    def remove(self) -> None:
        """Take the gates off the network, which then runs on its weights alone."""
        for handle in self._handles:
            handle.remove()


def reader_gates(module: nn.Module) -> Iterator[ReaderGates]:
    """Yield what multiplies the weights of ``module`` while it runs."""
    for hook in list(module._forward_pre_hooks.values()):
        owner = getattr(hook, "__self__", None)
        if isinstance(owner, ReaderGates):
            yield owner


def _parameter(module: nn.Module, name: str) -> nn.Parameter | None:
    """Return a parameter by name, None if it lies in a unit that is detached."""
    layer = module
    *path, leaf = name.split(".")
    for part in path:
        found = layer._modules.get(part)
        if found is None:
            return None
        layer = found
    return layer._parameters.get(leaf)


def _owner(module: nn.Module, tensor: str) -> tuple[nn.Module, str]:
    path, _, leaf = tensor.rpartition(".")
    return module.get_submodule(path), leaf
