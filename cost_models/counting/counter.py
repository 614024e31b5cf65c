"""The parts of fvcore that are used, imported without the warnings of their import."""

import warnings
from collections.abc import Callable
from typing import Any

with warnings.catch_warnings():
    # fvcore scripts a function at import, which torch has deprecated.
    warnings.simplefilter("ignore")
    from fvcore.nn import FlopCountAnalysis
    from fvcore.nn.jit_handles import conv_flop_count, get_shape, linear_flop_jit

__all__ = [
    "FlopCountAnalysis",
    "OperatorVisitor",
    "conv_flop_count",
    "get_shape",
    "linear_flop_jit",
]


class OperatorVisitor(FlopCountAnalysis):  # type: ignore[misc]
    """fvcore's counter, which also shows every operator that it has no handle for to `visit`.

    Handles see the others, so that between them each operator is seen once, in order.
    """

    visit: Callable[[Any], None] | None = None

    def _should_ignore_node(self, node: Any) -> bool:
        if self.visit is not None:
            self.visit(node)
        return prepares_a_weight(node) or bool(super()._should_ignore_node(node))


def scope_of(node: Any) -> str:
    """Give the path of the module that runs a node of the graph, "" for the whole network."""
    return str(node.scopeName()).split("/")[-1]


def prepares_a_weight(node: Any) -> bool:
    """Say whether the node is of a `torch.nn.utils.parametrize` parametrisation.

    It computes a weight from parameters alone: no work of an example, and none at all once the
    parametrisation is removed for use.
    """
    return f".{scope_of(node)}.".find(".parametrizations.") >= 0
