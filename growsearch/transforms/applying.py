"""Application of a transform: expand the structure, solve the sparsity, draw the masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from growsearch.errors import UsageError
from growsearch.metrics.placement import device_of, is_elsewhere, on_cpu
from growsearch.sparsity.distributions import Batch
from growsearch.sparsity.layers import macs_per_weight, prunable_layers
from growsearch.sparsity.maskable import check_changeable, tell_kept, unmaskable_layers
from growsearch.sparsity.masks import Masks
from growsearch.sparsity.pattern_names import StructuredPattern, fits, pattern_name, width_multiple
from growsearch.transforms.expansion import Expansion, ExpansionRequest, Sizes
from growsearch.transforms.iso_macs import MacMatch
from growsearch.transforms.low_rank_ranks import matching_ranks
from growsearch.transforms.mac_profile import MacProfile, macs_at_computed_zeros
from growsearch.transforms.mask_drawing import MaskJob, draw_masks
from growsearch.transforms.registry import ACTIVATED, DENSE, WIDENING, transform_called
from growsearch.transforms.settings import SparseSettings
from growsearch.transforms.single_layer import inputs_after, layer_inputs
from growsearch.transforms.targets import (
    fed_by_parameters,
    inner_layers,
    is_bare,
    own_layers,
    weights_read,
)
from search_spaces import seeded
from search_spaces.channel_groups import DeclaresChannelGroups
from search_spaces.own_networks.keyword_inputs import ExampleInputs, by_name_again, by_position
from search_spaces.own_networks.whole_networks import copied
from search_spaces.trace_groups import declare_traced_groups

_DEFAULT_SIZES = Sizes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformed:
    """A transformed network, how well its MACs match, and what `expand` needs to build it again.

    ``kept`` says of layers between the dense ends that stay as they are, with a computation of
    their own, why they do.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.transforms import transform
        >>> module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 2))
        >>> found = transform(
        ...     module,
        ...     "sparse_parallel",
        ...     sparsity=0.5,
        ...     generator=torch.Generator().manual_seed(0),
        ...     example_inputs=(torch.zeros(1, 8),),
        ... )
        >>> found.match.macs, found.match.sparsity
        (416, 0.5)
    """

    module: nn.Module
    match: MacMatch
    sizes: Sizes = _DEFAULT_SIZES
    kept: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """An expanded network before its masks: which layers get some, and the dense MACs.

    ``inputs`` are examples for it.
    """

    job: MaskJob
    sizes: Sizes
    target_macs: int
    kept: Mapping[str, str]
    inputs: tuple[Tensor, ...]

    def as_traced(self, match: MacMatch) -> MacMatch:
        """Return a match as a trace counts the network, whose masks are attached.

        Zeros of weights that it computes are in neither the dense network's MACs nor its own.
        """
        if not self.job.profile.other:
            return match
        zeros = match.steps * macs_at_computed_zeros(self.job.module, self.inputs)
        return dataclasses.replace(
            match, macs=match.macs - zeros, target_macs=match.target_macs - zeros
        )


def expand(
    module: nn.Module,
    name: str,
    sparsity: float,
    activation: bool = True,
    dense_ends: bool = True,
    sizes: Sizes = _DEFAULT_SIZES,
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
        sizes: those of the `Transformed` network that is built again.

    Raises:
        UsageError: for an unknown name or a sparsity outside [0, 1).
        SearchSpaceError: if the transform changes widths and the network does not declare its
            channel groups; `search_spaces.trace_groups` makes it declare them.

    Example:
        >>> from growsearch.transforms import expand
        >>> from search_spaces import channel_groups, search_space
        >>> space = search_space("mlp-digits")
        >>> dense = space.build(space.largest())
        >>> [group.size for group in channel_groups(expand(dense, "sparse_wide", 0.75))]
        [512, 512]
    """
    request = ExpansionRequest(
        module=on_cpu(copied(module)),
        sparsity=sparsity,
        activation=activation,
        dense_ends=dense_ends,
        sizes=sizes,
    )
    return transform_called(name)(request).module.to(device_of(module))


def transform(
    module: nn.Module,
    name: str,
    *,
    sparsity: float = 0.75,
    distribution: str = "uniform",
    generator: torch.Generator | None = None,
    example_inputs: ExampleInputs | None = None,
    activation: bool = True,
    dense_ends: bool = True,
    batch: Batch | None = None,
) -> Transformed:
    """Return ``module`` expanded and masked so that its effective MACs are those it had dense.

    ``module`` is not changed. Its first and last layer (input and classifier) stay dense; the
    MACs they gain by widening are paid for by more sparsity elsewhere, so the solved sparsity
    differs from the nominal one. Masked weights are zero in place and `Masks.of` finds the masks.
    A network that does not declare its channel groups is traced for "sparse_wide" and "low_rank".
    Patterns, saliency's own positions and dense-to-sparse training: see `sparse_plan`.

    Args:
        module: the dense network, or a single layer.
        name: a key of TRANSFORMS.
        sparsity: nominal s in [0, 1), which fixes the sizes.
        distribution: a key of SPARSITY_DISTRIBUTIONS.
        generator: draws new weights and masks; None is a generator of seed 0.
        example_inputs: positional inputs, or inputs by the names of arguments, batch first; only a
            single layer can do without.
        activation: BatchNorm and ReLU where the paper has act.
        dense_ends: leave the first and the last layer dense.
        batch: data, for the distributions that look at it.

    Raises:
        UsageError: for wrong arguments, or if the dense layers leave no MACs for the others.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.transforms import transform
        >>> module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 2))
        >>> example = (torch.zeros(1, 8),)
        >>> found = transform(module, "sparse_parallel", sparsity=0.5, example_inputs=example)
        >>> found.match.within_tolerance, found.match.zeros
        (True, {'2.branches.0.weight': 128, '2.branches.1.weight': 128})
    """
    settings = SparseSettings(
        sparsity=sparsity,
        transform=name,
        distribution=distribution,
        activation=activation,
        dense_ends=dense_ends,
    )
    generator = generator or torch.Generator().manual_seed(0)
    inputs = example_inputs or layer_inputs(module)
    return transform_with(module, settings, inputs, generator=generator, batch=batch)


def transform_with(
    module: nn.Module,
    settings: SparseSettings,
    example_inputs: ExampleInputs,
    *,
    generator: torch.Generator,
    batch: Batch | None = None,
) -> Transformed:
    """Return the network of ``settings`` with masks that keep its MACs all through training.

    As `transform`, whose arguments are a part of these settings.
    """
    if isinstance(example_inputs, Mapping):
        called, given = by_position(module, example_inputs)
        done = transform_with(called, settings, given, generator=generator, batch=batch)
        return dataclasses.replace(done, module=by_name_again(done.module))
    check_changeable(module)
    if is_elsewhere(module):
        brought, inputs = on_cpu(copied(module)), tuple(each.cpu() for each in example_inputs)
        done = transform_with(brought, settings, inputs, generator=generator, batch=batch)
        return dataclasses.replace(done, module=done.module.to(device_of(module)))
    expanded = expanded_with(module, settings, example_inputs, generator=generator, batch=batch)
    job, target = expanded.job, expanded.target_macs
    if not job.sparse:
        macs = job.profile.dense_macs
        match = MacMatch(zeros={}, weights=0, macs=macs, target_macs=target)
    else:
        drawn = draw_masks(job, target, generator)
        Masks.attach(job.module, drawn.masks)
        match = drawn.match
    return Transformed(
        module=job.module,
        match=expanded.as_traced(match),
        sizes=expanded.sizes,
        kept=expanded.kept,
    )


def expanded_with(
    module: nn.Module,
    settings: SparseSettings,
    example_inputs: tuple[Tensor, ...],
    *,
    generator: torch.Generator,
    batch: Batch | None = None,
) -> Expanded:
    """Return the expanded network of ``settings`` and the job of drawing its masks.

    Raises:
        UsageError: for wrong arguments, or if the pattern fits no layer.
    """
    dense = MacProfile.of(module, example_inputs)
    target = dense.dense_macs
    source = _with_groups(module, settings.transform, example_inputs)
    sizes = Sizes(multiple=width_multiple(settings.pattern) if settings.pattern else 1)
    kept = unmaskable_layers(source)
    if settings.transform in ACTIVATED:
        request = ExpansionRequest(
            module=source, sparsity=settings.sparsity, dense_ends=settings.dense_ends
        )
        whole = _read_by_functions(request, dense, example_inputs)
        whole |= fed_by_parameters(request, example_inputs)
        sizes = dataclasses.replace(sizes, whole=tuple(whole))
        kept |= own_layers(request) | whole
    tell_kept(type(source).__name__, kept)
    seed = _draw_seed(generator)
    expansion = _expansion(source, settings, sizes, seed)
    inputs = inputs_after(module, expansion.module, example_inputs)
    profile = MacProfile.of(expansion.module, inputs)
    if settings.transform in DENSE:
        ranks = matching_ranks(expansion.module, profile, target)
        sizes = dataclasses.replace(sizes, ranks=ranks)
        expansion = _expansion(source, settings, sizes, seed)
        profile = MacProfile.of(expansion.module, inputs)
    # A layer that is never called stays dense, unless a function reads its weight as it would.
    called = macs_per_weight(expansion.module, inputs)
    read = weights_read(source) if settings.transform in WIDENING else frozenset()
    sparse = tuple(
        name
        for name in expansion.sparse
        if called[name] or (name in read and profile.per_weight[name])
    )
    if settings.pattern is not None:
        sparse = fitting(expansion.module, sparse, settings.pattern)
    job = MaskJob(
        module=expansion.module, profile=profile, sparse=sparse, settings=settings, batch=batch
    )
    return Expanded(job=job, sizes=sizes, target_macs=target, kept=kept, inputs=inputs)


def _read_by_functions(
    request: ExpansionRequest, profile: MacProfile, inputs: tuple[Tensor, ...]
) -> dict[str, str]:
    """Return the layers whose weights a function reads beside them, by path, and why they stay.

    Raises:
        UsageError: if there is no other layer: all would be looked for in vain.
    """
    called, reasons, others = macs_per_weight(request.module, inputs), dict[str, str](), False
    for path, _ in inner_layers(request):
        name = f"{path}.weight" if path else "weight"
        if profile.per_weight[name] > called[name]:
            reasons[path] = (
                f"{name} is read by a function beside its own layer (attention that takes its "
                "weights, or weights that are shared by transposing them), which would pass by "
                "layers in its place; take sparse_wide or no transform for it"
            )
        else:
            others = True
    if reasons and not others:
        raise UsageError(next(iter(reasons.values())))
    return reasons


def _expansion(source: nn.Module, settings: SparseSettings, sizes: Sizes, seed: int) -> Expansion:
    request = ExpansionRequest(
        module=copied(source),
        sparsity=settings.sparsity,
        activation=settings.activation,
        dense_ends=settings.dense_ends,
        sizes=sizes,
    )
    with seeded(seed):
        return transform_called(settings.transform)(request)


def fitting(module: nn.Module, names: Iterable[str], pattern: StructuredPattern) -> tuple[str, ...]:
    """Return those of ``names`` whose weights fall into whole units of ``pattern``.

    Transposed convolutions do not: the rows of their weights are inputs.

    Raises:
        UsageError: if there is none.
    """
    layers = {layer.name: layer for layer in prunable_layers(module)}
    shapes = {name: layer.shape for name, layer in layers.items()}
    names = tuple(names)
    found = tuple(
        name for name in names if not layers[name].is_transposed and fits(pattern, shapes[name])
    )
    if names and not found:
        raise UsageError(
            f"pattern: no layer of {type(module).__name__} falls into whole units of "
            f"{pattern_name(pattern)}; the first, {names[0]}, is {shapes[names[0]]}"
        )
    return found


def apply(
    module: nn.Module,
    name: str,
    *,
    sparsity: float = 0.75,
    distribution: str = "uniform",
    generator: torch.Generator | None = None,
    example_inputs: ExampleInputs | None = None,
    activation: bool = True,
    dense_ends: bool = True,
    batch: Batch | None = None,
) -> nn.Module:
    """Return the network of `transform`, which has the same arguments and errors.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.transforms import apply
        >>> module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 2))
        >>> example = (torch.zeros(1, 8),)
        >>> sparse = apply(module, "sparse_parallel", sparsity=0.5, example_inputs=example)
        >>> sparse(torch.zeros(3, 8)).shape
        torch.Size([3, 2])
    """
    return transform(
        module,
        name,
        sparsity=sparsity,
        distribution=distribution,
        generator=generator,
        example_inputs=example_inputs,
        activation=activation,
        dense_ends=dense_ends,
        batch=batch,
    ).module


def _with_groups(module: nn.Module, name: str, inputs: tuple[Tensor, ...]) -> nn.Module:
    """Return ``module``, or a copy that declares traced groups if it needs some and has none."""
    if name not in WIDENING or is_bare(module) or isinstance(module, DeclaresChannelGroups):
        return module
    traced = copied(module)
    declare_traced_groups(traced, inputs)
    return traced


def _draw_seed(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (1,), generator=generator))
