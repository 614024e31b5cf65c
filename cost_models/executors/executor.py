"""Executor contract: what a way of running networks must do to be timed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

Call = Callable[[], object]
# (call, repeats) -> seconds of the device's time and of the process's CPU time, for one call.
Clock = Callable[[Call, int], tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A network made ready to be timed.

    `call` runs one forward pass of the whole batch; `runtime` names what runs it, with versions.
    `choices` says how each layer that could skip zeros is run, by name ("dense" or a kernel).
    `clock` times calls on a device that works beside this process; None means this process's time.
    """

    call: Call
    runtime: str
    choices: Mapping[str, str] = field(default_factory=dict)
    clock: Clock | None = None


class Executor(Protocol):
    """Makes a network ready to run on a device of this machine."""

    @property
    def accepts(self) -> tuple[str, ...]:
        """Types of torch device that a module's tensors may be on."""
        ...

    def prepare(
        self, module: nn.Module, example_inputs: tuple[Tensor, ...], threads: int
    ) -> Prepared:
        """Make `module`, in eval mode, ready to run on `example_inputs` with so many threads.

        The module is left as it is. Where the network is translated, its outputs are compared with
        torch's first.

        Raises:
            CostModelError: the network cannot be run here, or its outputs are not torch's.
        """
        ...
