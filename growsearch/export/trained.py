"""Trained network of a folder: its description and its weights, held against each other first.

Both may be anybody's: a description that asks for more memory than its weights fill is refused
before it is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from growsearch.errors import UsageError
from growsearch.export.sparse_weights import read_weights
from growsearch.reading import read_json, reading

ARCHITECTURE_FILE, WEIGHTS_FILE = "architecture.json", "weights.safetensors"

Build = Callable[[Mapping[str, Any]], nn.Module]


@runtime_checkable
class SizedBuild(Protocol):
    """What builds networks, and knows how large they are before they take memory."""

    def __call__(self, network: Mapping[str, Any]) -> nn.Module:
        """Build the network of a description."""
        ...

    def values(self, network: Mapping[str, Any]) -> int | None:
        """Return how many values it would have; None where that is not known."""
        ...


_MOST_BYTES = 16 * 2**20
_LONGEST = 300
# Values that a module keeps beside its weights, such as masks, which a file may lack.
_SLACK, _TIMES = 100_000, 2


def load_trained(folder: Path, build: Build) -> nn.Module:
    """Return the network that a trial or an export left in ``folder``, in evaluation mode.

    Args:
        folder: holds architecture.json and weights.safetensors.
        build: makes the module, weights free to choose, from what architecture.json holds.

    Raises:
        UsageError: if a file is missing, not readable, or of another network.
    """
    path, weights = folder / ARCHITECTURE_FILE, folder / WEIGHTS_FILE
    try:
        network = read_json(path, "run the trial again", most_bytes=_MOST_BYTES)
    except UsageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise UsageError(
                f"{path} is missing; run the trial again to get its network"
            ) from error
        raise
    if not isinstance(network, dict):
        raise UsageError(f"{path} holds no network; run the trial again")
    return with_weights(build, network, read_weights(weights), weights)


def with_weights(
    build: Build, network: Mapping[str, Any], state: Mapping[str, Tensor], source: Path
) -> nn.Module:
    """Return the network with the weights of ``source``, in evaluation mode.

    Raises:
        UsageError: if they are another network's.
    """
    _check_size(build, network, state, source)
    module = build(network)
    with reading(f"{source}, which holds the weights of another network,", "run the trial again"):
        module.load_state_dict(state)
    return module.eval()


def _check_size(
    build: Build, network: Mapping[str, Any], state: Mapping[str, Tensor], source: Path
) -> None:
    """Refuse a network of far more values than its weights, where that is known beforehand."""
    if not isinstance(build, SizedBuild):
        return
    wanted, given = build.values(network), sum(tensor.numel() for tensor in state.values())
    if wanted is not None and wanted > _TIMES * given + _SLACK:
        raise UsageError(
            f"{source} holds the weights of another network: {given:,} values, the network has "
            f"{wanted:,}; run the trial again"
        )
