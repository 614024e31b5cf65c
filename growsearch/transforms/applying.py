"""How is a transform applied? Expand the structure, solve the sparsity, draw the masks."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from growsearch.sparsity.layers import prunable_layers
from growsearch.sparsity.masks import Masks
from growsearch.sparsity.sparsify import random_mask
from growsearch.transforms.expansion import Expansion, ExpansionRequest
from growsearch.transforms.iso_macs import MacMatch, match_macs
from growsearch.transforms.mac_profile import MacProfile
from growsearch.transforms.registry import WIDENING, transform_called
from growsearch.transforms.single_layer import inputs_after, layer_inputs
from search_spaces.channel_groups import DeclaresChannelGroups
from search_spaces.trace_groups import declare_traced_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformed:
    """A transformed network and how well its MACs match the dense network's."""

    module: nn.Module
    match: MacMatch


def expand(
    module: nn.Module,
    name: str,
    sparsity: float,
    activation: bool = True,
    dense_ends: bool = True,
) -> nn.Module:
    """Return the structure that `apply` gives ``module``, without masks.

    The structure follows from the arguments alone, so that a state dict can be loaded into it.
    ``module`` is not changed. New layers draw their weights from torch's default generator.

    Args:
        module: the dense network.
        name: a key of TRANSFORMS.
        sparsity: nominal s in [0, 1).
        activation: BatchNorm and ReLU where the paper has act.
        dense_ends: leave the first and the last layer as they are.

    Raises:
        UsageError: for an unknown name or a sparsity outside [0, 1).
        SearchSpaceError: if the transform changes widths and the network does not declare its
            channel groups; `search_spaces.trace_groups` makes it declare them.
    """
    return _expand(module, name, sparsity, activation, dense_ends).module


def _expand(
    module: nn.Module, name: str, sparsity: float, activation: bool, dense_ends: bool
) -> Expansion:
    transform = transform_called(name)
    request = ExpansionRequest(
        module=copy.deepcopy(module),
        sparsity=sparsity,
        activation=activation,
        dense_ends=dense_ends,
    )
    return transform(request)


def transform(
    module: nn.Module,
    name: str,
    *,
    sparsity: float = 0.75,
    distribution: str = "uniform",
    generator: torch.Generator | None = None,
    example_inputs: tuple[Tensor, ...] | None = None,
    activation: bool = True,
    dense_ends: bool = True,
) -> Transformed:
    """Return ``module`` expanded and masked so that its effective MACs are those it had dense.

    ``module`` is not changed. Its first and last layer (input and classifier) stay dense; the
    MACs they gain by widening are paid for by more sparsity elsewhere, so the solved sparsity
    differs from the nominal one. Masked weights are zero in place and `Masks.of` finds the masks.
    A network that does not declare its channel groups is traced for "sparse_wide" and "low_rank".

    Args:
        module: the dense network, or a single layer.
        name: a key of TRANSFORMS.
        sparsity: nominal s in [0, 1), which fixes the sizes.
        distribution: a key of SPARSITY_DISTRIBUTIONS.
        generator: draws new weights and masks; None is a generator of seed 0.
        example_inputs: positional inputs, batch first; only a single layer can do without.
        activation: BatchNorm and ReLU where the paper has act.
        dense_ends: leave the first and the last layer dense.

    Raises:
        UsageError: for wrong arguments, or if the dense layers leave no MACs for the others.
    """
    generator = generator or torch.Generator().manual_seed(0)
    inputs = example_inputs or layer_inputs(module)
    target = MacProfile.of(module, inputs).dense_macs
    source = _with_groups(module, name, inputs)
    with _seeded(generator):
        expansion = _expand(source, name, sparsity, activation, dense_ends)
    expanded = expansion.module
    inputs = inputs_after(module, expanded, inputs)
    if not expansion.sparse:
        macs = MacProfile.of(expanded, inputs).dense_macs
        match = MacMatch(zeros={}, weights=0, macs=macs, target_macs=target)
        return Transformed(module=expanded, match=match)
    match = match_macs(
        expanded,
        inputs,
        target_macs=target,
        distribution=distribution,
        exclude=dense_names(expanded, expansion.sparse),
    )
    _draw_masks(expanded, match, generator)
    return Transformed(module=expanded, match=match)


def apply(
    module: nn.Module,
    name: str,
    *,
    sparsity: float = 0.75,
    distribution: str = "uniform",
    generator: torch.Generator | None = None,
    example_inputs: tuple[Tensor, ...] | None = None,
    activation: bool = True,
    dense_ends: bool = True,
) -> nn.Module:
    """Return the network of `transform`, which has the same arguments and errors."""
    return transform(
        module,
        name,
        sparsity=sparsity,
        distribution=distribution,
        generator=generator,
        example_inputs=example_inputs,
        activation=activation,
        dense_ends=dense_ends,
    ).module


def dense_names(module: nn.Module, sparse: Iterable[str]) -> tuple[str, ...]:
    """Return the prunable parameters of ``module`` that are not in ``sparse``."""
    chosen = frozenset(sparse)
    return tuple(layer.name for layer in prunable_layers(module) if layer.name not in chosen)


def _with_groups(module: nn.Module, name: str, inputs: tuple[Tensor, ...]) -> nn.Module:
    """Return ``module``, or a copy that declares traced groups if it needs some and has none."""
    bare = isinstance(module, (nn.Linear, nn.Conv2d))
    if name not in WIDENING or bare or isinstance(module, DeclaresChannelGroups):
        return module
    traced = copy.deepcopy(module)
    declare_traced_groups(traced, inputs)
    return traced


def _draw_masks(module: nn.Module, match: MacMatch, generator: torch.Generator) -> None:
    shapes = {layer.name: torch.Size(layer.shape) for layer in prunable_layers(module)}
    masks = {name: random_mask(shapes[name], n, generator) for name, n in match.zeros.items()}
    Masks.attach(module, masks)


@contextmanager
def _seeded(generator: torch.Generator) -> Iterator[None]:
    """Let torch's default generator follow ``generator`` inside, and leave it alone outside."""
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
