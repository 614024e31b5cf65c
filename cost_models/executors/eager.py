"""Eager execution: a network run in torch itself, operator by operator."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cost_models.executors.executor import Prepared


@dataclass(frozen=True, slots=True)
class TorchEager:
    """Runs the module as it is; zero weights take as long as others."""

    @property
    def accepts(self) -> tuple[str, ...]:
        """Tensors on the processor only."""
        return ("cpu",)

    def prepare(
        self, module: nn.Module, example_inputs: tuple[Tensor, ...], threads: int
    ) -> Prepared:
        """Give the module's own forward pass; the threads are set around the timing."""
        del threads
        copies = tuple(tensor.detach().clone() for tensor in example_inputs)

        def call() -> object:
            return module(*copies)

        return Prepared(call=call, runtime=f"torch {torch.__version__} eager")
