"""Torch-Pruning and ModelOpt FastNAS in an environment of their own, for head_to_head.py.

It is called with a request in JSON and the paths of two files: the weights and images that the
request is about, and what is left of the network, {"widths", "state"}. It needs torch and the
peers, and of this project only the networks (search_spaces).
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces import channel_groups
from search_spaces.families.mobilenet_v2 import CIFAR_STRIDES, MobileNetV2
from search_spaces.families.resnet_cifar import ResNetCifar

_BISECTIONS = 8
# A search of FastNAS scores networks on data.
_SEARCHES = 4
_DIVISOR = 4


def build(told: dict[str, Any]) -> nn.Module:
    shape, classes = tuple(told["input_shape"]), told["classes"]
    if told["network"] == "resnet20":
        return ResNetCifar(told["widths"], blocks=(3, 3, 3), input_shape=shape, num_classes=classes)
    return MobileNetV2(
        told["widths"], strides=CIFAR_STRIDES, input_shape=shape, num_classes=classes
    )


@torch.no_grad()
def macs(module: nn.Module, example: torch.Tensor) -> int:
    """Return the MACs of convolutions and linear layers for one example."""
    counted = [0]

    def count(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
        weight = layer.weight
        places = output[0].numel() // len(weight)
        counted[0] += weight.numel() * places

    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    module.eval()(example)
    for handle in handles:
        handle.remove()
    return counted[0]


@torch.no_grad()
def seconds(module: nn.Module, batch: torch.Tensor) -> float:
    """Return the least CPU time of a forward pass of some."""
    module.eval()
    found = []
    for _ in range(25):
        started = time.process_time()
        module(batch)
        found.append(time.process_time() - started)
    return min(found[5:])


def cost_of(told: dict[str, Any]) -> Callable[[nn.Module], float]:
    if told["budget"] == "macs":
        example = torch.zeros(1, *told["input_shape"])
        return lambda module: float(macs(module, example))
    batch = torch.zeros(told["batch"], *told["input_shape"])
    return lambda module: seconds(module, batch)


def by_torch_pruning(told: dict[str, Any], net: nn.Module, data: dict[str, Any]) -> nn.Module:
    """Prune by group importance over the whole network, at the ratio that meets the budget."""
    import torch_pruning as tp

    example = torch.zeros(1, *told["input_shape"])
    taylor = told["method"].endswith("taylor")
    cost = cost_of(told)
    full = cost(net)

    def at(ratio: float) -> nn.Module:
        model = copy.deepcopy(net)
        importance: Any = tp.importance.GroupMagnitudeImportance(p=2)
        if taylor:
            importance = tp.importance.GroupTaylorImportance()
        pruner = tp.pruner.MetaPruner(
            model,
            example,
            importance=importance,
            pruning_ratio=ratio,
            max_pruning_ratio=0.9,
            global_pruning=True,
            ignored_layers=[model.classifier],
        )
        if taylor:
            model.eval()
            model.zero_grad()
            F.cross_entropy(model(data["images"]), data["labels"]).backward()
        pruner.step()
        model.zero_grad()
        return model

    low, high = 0.0, 0.95
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if cost(at(middle)) > told["share"] * full:
            low = middle
        else:
            high = middle
    return at(high)


def by_fastnas(told: dict[str, Any], net: nn.Module, data: dict[str, Any]) -> nn.Module:
    """Search widths under a bound on FLOPs; a latency is met by trying bounds."""
    import modelopt.torch.prune as mtp

    example = torch.zeros(1, *told["input_shape"])
    pairs = torch.utils.data.TensorDataset(data["images"], data["labels"])
    loader = torch.utils.data.DataLoader(pairs, batch_size=64)

    @torch.no_grad()
    def score(model: nn.Module) -> float:
        model.eval()
        right = model(data["validation_images"]).argmax(dim=1) == data["validation_labels"]
        return float(right.float().mean())

    def at(share: float) -> nn.Module:
        model, _ = mtp.prune(
            model=copy.deepcopy(net),
            mode=[("fastnas", fastnas_config())],
            constraints={"flops": f"{100 * share:.1f}%"},
            dummy_input=example,
            config={
                "data_loader": loader,
                "score_func": score,
                "collect_func": lambda batch: batch[0],
                "max_iter_data_loader": 4,
            },
        )
        return model

    if told["budget"] == "macs":
        return at(told["share"])
    cost = cost_of(told)
    full, low, high, best = cost(net), 0.05, 1.0, None
    for _ in range(_SEARCHES):
        middle = (low + high) / 2
        model = at(middle)
        if cost(model) > told["share"] * full:
            high = middle
        else:
            low, best = middle, model
    return at(low) if best is None else best


def fastnas_config() -> Any:
    """Return the mode's usual configuration, with widths in multiples of 4 instead of 32."""
    from modelopt.torch.prune.fastnas import FastNASConfig

    def finer(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            key: _DIVISOR if key.endswith("_divisor") else finer(entry)
            for key, entry in value.items()
        }

    return finer(FastNASConfig().model_dump(by_alias=True))


def main() -> None:
    told = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(told["seed"])
    data = torch.load(sys.argv[2], weights_only=True)
    net = build(told)
    net.load_state_dict(data["state"])
    net.eval()
    prune = by_fastnas if told["method"].endswith("fastnas") else by_torch_pruning
    left = prune(told, net, data)
    groups = {group.name: group.size for group in channel_groups(left)}
    plain = build({**told, "widths": groups})
    state = {name: left.state_dict()[name].detach().clone() for name in plain.state_dict()}
    plain.load_state_dict(state)
    torch.save({"widths": groups, "state": plain.state_dict()}, sys.argv[3])


if __name__ == "__main__":
    main()
