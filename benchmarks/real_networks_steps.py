"""What is tried with every real network? One function a step; each says how it went.

A step raises what our packages raise. Only what a person can call is called.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from real_networks_list import RealNetwork
from real_networks_truth import (
    TOLERANCE,
    close_absent,
    difference,
    flop_counter_macs,
    in_double,
    live_entries,
    products,
    stirred,
    without_channels,
)
from torch import Tensor, nn

import cost_models
from growsearch.datasets import Dataset, from_tensors
from growsearch.growth.surgery.surgeon import Surgeon
from growsearch.sparsity import sparsify
from growsearch.training import Recipe
from growsearch.transforms import transform
from search_spaces import ChannelGroup, SearchSpace, search_space
from search_spaces.channel_groups import channel_groups, named_tensors
from search_spaces.trace_groups import TracedGroups, declare_traced_groups
from search_spaces.tracing.channel_discovery import OUTPUTS

Record = dict[str, Any]
SPARSITY, WIDE, SHARE = 0.8, 0.75, 0.4
_NEAR, _EXAMPLES, _EPOCHS = 0.01, 40, 2
# Of the cost, what may keep its width in a network that is called whole.
_LITTLE = 0.05
# Less of a change of the outputs is none.
_HEARD = 1e-3


def trace(network: RealNetwork) -> Record:
    module, inputs = network.raw().eval(), network.example_inputs()
    told = cost_models.trace(module, inputs).dense_macs
    counted = flop_counter_macs(module, inputs)
    result = "ok" if told == counted else "wrong"
    return {"result": result, "detail": f"{told:,} MACs, torch counts {counted:,}", "macs": told}


def sparse(network: RealNetwork) -> Record:
    # Some networks begin with weights of 0: here those of masks alone are counted.
    module, inputs = stirred(network.raw().eval()), network.example_inputs()
    masks = sparsify(
        module, sparsity=SPARSITY, distribution="erk", generator=torch.Generator().manual_seed(0)
    )
    found = products(module, inputs)
    unheard = _not_in_the_products(masks, found.operands)
    read = _matrix_weights(module, found.places)
    covered = masks.weights / max(read, masks.weights)
    told = cost_models.trace(module, inputs).effective_macs
    wrong = unheard or abs(told / found.macs - 1) > _NEAR
    wrong = wrong or abs((1 - masks.density) - SPARSITY) > 1e-3
    says = f"{1 - masks.density:.2%} zeros of {covered:.0%} of the weights in products"
    says += f"; {told:,} MACs told, {found.macs:,.0f} counted"
    says += f"; never reach their product: {', '.join(unheard[:3])}" if unheard else ""
    result = "wrong" if wrong else "partial" if covered < 1 - _LITTLE else "ok"
    return {"result": result, "detail": says, "covered": covered}


def _matrix_weights(module: nn.Module, read: set[int]) -> int:
    """Count the weights of matrices and filters; an embedding's only where a product reads them."""
    tables = {_place(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)} - read
    weights = {_place(p): p.numel() for p in module.parameters() if p.ndim > 1}
    return sum(count for place, count in weights.items() if place not in tables)


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _not_in_the_products(masks: Any, operands: list[tuple[int, int]]) -> list[str]:
    most: dict[int, int] = {}
    for numel, zeros in operands:
        most[numel] = max(most.get(numel, 0), zeros)
    missing = []
    for name in masks.names:
        mask = masks[name]
        if int((~mask).sum()) > most.get(mask.numel(), -1):
            missing.append(name)
    return missing


def sparse_wide(network: RealNetwork) -> Record:
    return _transformed(network, "sparse_wide")


def sparse_parallel(network: RealNetwork) -> Record:
    return _transformed(network, "sparse_parallel")


def _transformed(network: RealNetwork, name: str) -> Record:
    module, inputs = stirred(network.raw().eval()), network.example_inputs()
    dense = flop_counter_macs(module, inputs)
    found = transform(module, name, sparsity=WIDE, example_inputs=inputs)
    sparse_module = found.module.eval()
    counted, told = products(sparse_module, inputs).macs, found.match.macs
    more = _parameters(sparse_module) / _parameters(module)
    says = f"dense {dense:,}, told {told:,}, counted {counted:,.0f} MACs; {more:.2f} x parameters"
    wrong = abs(told / counted - 1) > _NEAR
    off = abs(counted / dense - 1) > _NEAR
    return {"result": "wrong" if wrong else "partial" if off else "ok", "detail": says}


def _parameters(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


def groups(network: RealNetwork) -> Record:
    """Find the groups, and remove a random half of each: the function must be the deaf one's."""
    module, inputs = network.raw().eval(), network.example_inputs(2)
    found = declare_traced_groups(module, inputs)
    resizable = _removable(module)
    half = {g.name: max(g.multiple, g.size // 2 // g.multiple * g.multiple) for g in resizable}
    far = _removal_error(module, resizable, half, network)
    floor = _share(module, resizable, {g.name: g.multiple for g in resizable}, network)
    stay = _staying(found)
    says = f"{len(resizable)} groups, {len(stay)} keep their width, floor {floor:.0%} of MACs"
    says += f"; half of each removed: {far:.1e}" + (f"; {_reasons(stay)}" if stay else "")
    whole = not stay or floor <= _LITTLE
    result = "wrong" if far > TOLERANCE else "ok" if whole else "partial"
    return {"result": result, "detail": says, "floor": floor, "stay": len(stay)}


def _removable(module: nn.Module) -> tuple[ChannelGroup, ...]:
    return tuple(group for group in channel_groups(module) if not group.kept)


def _staying(found: TracedGroups) -> dict[str, str]:
    fixed = {name: why for name, why in found.reasons.items() if why != OUTPUTS}
    return fixed | {group.name: group.kept for group in found.groups if group.kept}


def _reasons(stay: dict[str, str]) -> str:
    counts: dict[str, list[str]] = {}
    for name, why in stay.items():
        counts.setdefault(why, []).append(name)
    return "; ".join(f"{len(names)} ({names[0]}): {why}" for why, names in counts.items())


def _live(resizable: tuple[ChannelGroup, ...], widths: dict[str, int]) -> dict[str, Tensor]:
    """Return random channels, in whole multiples."""
    draw, found = torch.Generator().manual_seed(1), {}
    for group in resizable:
        blocks = torch.randperm(group.size // group.multiple, generator=draw)
        blocks = blocks[: widths[group.name] // group.multiple].sort().values
        each = blocks.unsqueeze(1) * group.multiple + torch.arange(group.multiple)
        found[group.name] = each.flatten()
    return found


def _compact(
    module: nn.Module, resizable: tuple[ChannelGroup, ...], live: dict[str, Tensor]
) -> nn.Module:
    compact = copy.deepcopy(module)
    surgeon = Surgeon(compact, resizable)
    masks = []
    for group in resizable:
        mask = torch.zeros(group.size, dtype=torch.bool)
        mask[live[group.name]] = True
        masks.append(mask)
    surgeon.seed(torch.cat(masks) if masks else torch.zeros(0, dtype=torch.bool))
    return compact


def _removal_error(
    module: nn.Module,
    resizable: tuple[ChannelGroup, ...],
    widths: dict[str, int],
    network: RealNetwork,
) -> float:
    inputs = in_double(network.example_inputs(4))
    full = stirred(copy.deepcopy(module).double(), inputs)
    live = _live(resizable, widths)
    compact = _compact(full, resizable, live)
    deaf = without_channels(full, compact, resizable, live)
    if difference(full, deaf, inputs) < _HEARD:
        raise RuntimeError("the outputs do not hear the channels: the check says nothing")
    return difference(compact, deaf, inputs)


def _share(
    module: nn.Module,
    resizable: tuple[ChannelGroup, ...],
    widths: dict[str, int],
    network: RealNetwork,
) -> float:
    compact = _compact(module, resizable, _live(resizable, widths))
    inputs = network.example_inputs()
    return flop_counter_macs(compact.eval(), inputs) / flop_counter_macs(module, inputs)


def _uniform(network: RealNetwork) -> Record:
    """Shrink to 40 % of the MACs: one share for all groups, of random channels."""
    module, inputs = network.raw().eval(), network.example_inputs(2)
    found = declare_traced_groups(module, inputs)
    resizable = _removable(module)

    def widths(share: float) -> dict[str, int]:
        return {g.name: max(1, int(share * g.size / g.multiple)) * g.multiple for g in resizable}

    low, high = 0.0, 1.0
    for _ in range(6):
        middle = (low + high) / 2
        if _share(module, resizable, widths(middle), network) <= SHARE:
            low = middle
        else:
            high = middle
    reached = _share(module, resizable, widths(low), network)
    far = _removal_error(module, resizable, widths(low), network)
    stay = _staying(found)
    says = f"{reached:.0%} of MACs, {low:.2f} of each group; function {far:.1e}"
    says += f"; {len(stay)} keep their width" if stay else ""
    result = "wrong" if far > TOLERANCE else "ok" if reached <= SHARE else "partial"
    return {"result": result, "detail": says, "macs_share": reached, "stay": len(stay)}


def random_data(network: RealNetwork) -> Dataset:
    """Return 40 random examples with labels of the network's kind."""
    draw = torch.Generator().manual_seed(0)
    if network.labels == "one a word":
        words = torch.randint(network.outputs, (_EXAMPLES, *network.shape), generator=draw)
        return from_tensors(words, words, num_classes=network.outputs)
    inputs = torch.randn(_EXAMPLES, *network.shape, generator=draw)
    labels = torch.arange(_EXAMPLES) % network.outputs
    if network.labels == "one a pixel":
        labels = labels.view(-1, 1, 1).repeat(1, *network.shape[1:])
    return from_tensors(inputs, labels, num_classes=network.outputs)


def grow(network: RealNetwork) -> Record:
    """Grow to 40 % of the MACs; the full network with the same live channels must agree."""
    from growsearch.growth import Budget, GrowthConfig
    from growsearch.growth import grow as grown_by

    data = random_data(network)
    space = search_space(network.own).for_data(data.input_shape, data.num_classes)
    config = GrowthConfig(recipe=_recipe())
    result = grown_by(space, data, budget=Budget(macs=SHARE), config=config)
    return _judged(space, data, result)


def prune(network: RealNetwork) -> Record:
    """Prune to 40 % of the MACs; checked as grown networks are."""
    if importlib.util.find_spec("growsearch.pruning") is None:
        return _uniform(network)
    pruning = importlib.import_module("growsearch.pruning")
    growth = importlib.import_module("growsearch.growth")
    data = random_data(network)
    space = search_space(network.own).for_data(data.input_shape, data.num_classes)
    config = pruning.PruneConfig(recipe=_recipe(), steps=1, importance_batches=2)
    result = pruning.prune(space, data, budget=growth.Budget(macs=SHARE), config=config)
    return _judged(space, data, result)


def _recipe() -> Recipe:
    return Recipe(epochs=_EPOCHS, batch_size=8, learning_rate=0.01)


def _judged(space: SearchSpace, data: Dataset, result: Any) -> Record:
    """Compare a grown or pruned network with its budget, torch's count and the full network."""
    inputs, one = (data.train.inputs[:2],), (data.train.inputs[:1],)
    model = result.model.eval()
    full = space.build(space.largest()).eval()
    macs = flop_counter_macs(model, one)
    share = macs / flop_counter_macs(full, one)
    far = _grown_error(full, model, result.history[-1].live, (space, inputs))
    says = f"{share:.0%} of MACs; function {far:.1e}"
    stay = {name: why for name, why in result.kept.items() if why != OUTPUTS}
    shares = {each.name: each.macs for each in getattr(result, "staying", ())}
    held = sum(shares.get(name, 0.0) for name in stay) if shares or not stay else None
    told = "" if held is None else f" ({held:.1%} of MACs)"
    says += f"; {len(stay)} keep their width{told}: {_reasons(stay)}" if stay else ""
    counted = abs(result.macs / macs - 1) <= _NEAR
    says += "" if counted else f"; told {result.macs:,} MACs, torch counts {macs:,}"
    right = far <= TOLERANCE and counted and share <= SHARE + 1e-6
    whole = not stay or (held is not None and held <= _LITTLE)
    word = ("ok" if whole else "partial") if right else "wrong"
    return {"result": word, "detail": says, "macs_share": share, "stay": len(stay)}


@torch.no_grad()
def _grown_error(
    full: nn.Module, grown: nn.Module, live: Any, read: tuple[SearchSpace, tuple[Tensor, ...]]
) -> float:
    """Put the grown weights into the full network, deaf to all other channels, and compare."""
    space, inputs = read
    units = space.traced_units() if hasattr(space, "traced_units") else ()
    every = channel_groups(full)
    positions = {
        g.name: torch.tensor(live.get(g.name, range(g.size)), dtype=torch.long) for g in every
    }
    full, grown = copy.deepcopy(full).double(), copy.deepcopy(grown).double()
    values = named_tensors(grown)
    for name, tensor in named_tensors(full).items():
        kept = live_entries(full, every, positions, name)
        if name not in values:
            continue
        if kept:
            entries = [kept.get(axis, torch.arange(n)) for axis, n in enumerate(tensor.shape)]
            tensor[torch.meshgrid(*entries, indexing="ij")] = values[name]
        else:
            tensor.copy_(values[name])
    # At last: the scale that closes a unit may lie beside it, and has a value in ``grown``.
    close_absent(full, grown, units)
    deaf = without_channels(full, grown, every, positions)
    return difference(grown, deaf, in_double(inputs))


def export(network: RealNetwork) -> Record:
    """Write the network at half its widths in our own format and as ONNX, both read back."""
    import safetensors.torch

    from growsearch.export import export_network
    from growsearch.kinds import Network

    data = random_data(network)
    space = search_space(network.own).for_data(data.input_shape, data.num_classes)
    multiples = {g.name: g.multiple for g in channel_groups(space.build(space.largest()))}
    halves = {
        name: max(1, width // 2 // multiples[name]) * multiples[name]
        for name, width in space.full_widths().items()  # type: ignore[attr-defined]
    }
    architecture = space.with_widths(space.largest(), halves)
    described = Network(
        architecture=architecture, input_shape=data.input_shape, num_classes=data.num_classes
    )
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        state = {
            name: each.clone() for name, each in space.build(architecture).state_dict().items()
        }
        safetensors.torch.save_file(state, weights)
        found = export_network(described, weights, Path(folder) / "export", onnx=True)
    says = f"program {found.max_difference}, ONNX {found.onnx_difference}"
    says += "".join(f"; {name}: {why}" for name, why in found.left_out.items())
    return {"result": "partial" if found.left_out else "ok", "detail": says}


def torch_pruning(network: RealNetwork) -> Record:
    """Prune with Torch-Pruning, group L2, ratio .37 of every group, outputs left alone."""
    import torch_pruning as tp

    module, inputs = network.raw().eval(), network.example_inputs()
    before = flop_counter_macs(module, inputs)
    matrices = (nn.Conv2d, nn.Linear)
    outputs = [m for m in module.modules() if isinstance(m, matrices) and _is_output(m, network)]
    pruner = tp.pruner.MagnitudePruner(
        module,
        example_inputs=inputs if not isinstance(inputs, tuple) else inputs[0],
        importance=tp.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.37,
        ignored_layers=outputs,
    )
    pruner.step()
    share = flop_counter_macs(module, inputs) / before
    result = "ok" if share <= 0.6 else "partial"
    return {"result": result, "detail": f"{share:.0%} of MACs", "macs_share": share}


def _is_output(layer: nn.Module, network: RealNetwork) -> bool:
    return network.outputs in (
        getattr(layer, "out_features", None),
        getattr(layer, "out_channels", None),
    )


STEPS: dict[str, Callable[[RealNetwork], Record]] = {
    "trace": trace,
    "sparsify": sparse,
    "sparse_wide": sparse_wide,
    "sparse_parallel": sparse_parallel,
    "groups": groups,
    "grow": grow,
    "prune": prune,
    "export": export,
    "torch_pruning": torch_pruning,
}
