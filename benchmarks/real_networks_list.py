"""Which public architectures are tried? 55 networks with random weights, small where they may be.

Nothing is downloaded. Every network is a name of this module, so that a study takes it as
``real_networks_list:resnet18``: `RealNetwork.own` says which.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

CLASSES, WORDS = 4, 32
Inputs = tuple[Tensor, ...] | dict[str, Tensor]
Source = Literal["torchvision", "timm", "transformers"]
Labels = Literal["one an example", "one a pixel", "one a word"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RealNetwork:
    """One public network: where it is made, and what it takes.

    ``keywords`` are inputs by name beside or in the place of the positional one, as shapes;
    ``logits`` says that its output is no tensor, or not (N, ..., classes): in a study it is
    wrapped, as its guide tells a person to do. ``shape`` has no batch axis.
    """

    name: str
    source: Source
    make: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = (3, 64, 64)
    labels: Labels = "one an example"
    logits: str = ""
    inputs: Literal["images", "words", "named words", "sound and words"] = "images"

    @property
    def outputs(self) -> int:
        """Classes, or words of a language model."""
        return WORDS if self.labels == "one a word" else CLASSES

    @property
    def own(self) -> str:
        """Its name in a study."""
        return f"{__name__}:{self.name}"

    def raw(self) -> nn.Module:
        """Make it as its package does."""
        return _MAKERS[self.source](self)

    def example_inputs(self, batch: int = 1, seed: int = 0) -> Inputs:
        """Return random inputs of the raw network."""
        draw = torch.Generator().manual_seed(seed)
        if self.inputs == "images":
            return (torch.randn(batch, *self.shape, generator=draw),)
        if self.inputs == "sound and words":
            sound = torch.randn(batch, *self.shape, generator=draw)
            words = torch.randint(CLASSES, (batch, 6), generator=draw)
            return {"input_features": sound, "decoder_input_ids": words}
        words = torch.randint(WORDS, (batch, *self.shape), generator=draw)
        return {"input_ids": words} if self.inputs == "named words" else (words,)


class Logits(nn.Module):
    """A network whose one output is a tensor of logits, classes last."""

    def __init__(self, network: nn.Module, which: str, name: str) -> None:
        super().__init__()
        self.network, self.which, self.name = network, which, name

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, ..., classes)."""
        if self.which == "sound":
            words = torch.zeros(len(x), 4, dtype=torch.long, device=x.device)
            found: Tensor = self.network(input_features=x, decoder_input_ids=words).logits
            return found[:, 0]
        if self.which == "out":
            pixels: Tensor = self.network(x)["out"]
            return pixels.permute(0, 2, 3, 1)
        if self.which == "small pixels":
            coarse = self.network(x).logits
            fine: Tensor = nn.functional.interpolate(coarse, size=x.shape[2:])
            return fine.permute(0, 2, 3, 1)
        logits: Tensor = self.network(x).logits
        return logits


def make_own(name: str, num_classes: int) -> nn.Module:
    """Make the network ``name`` as a person brings it: one input, one tensor of logits."""
    network = NETWORKS[name]
    if num_classes != network.outputs:
        raise ValueError(f"{name} has {network.outputs} outputs, not {num_classes}")
    module = network.raw()
    return Logits(module, network.logits, name) if network.logits else module


def _torchvision(network: RealNetwork) -> nn.Module:
    models = importlib.import_module("torchvision.models")
    found: Any = models
    for part in network.make.split("."):
        found = getattr(found, part)
    made: nn.Module = found(num_classes=CLASSES, **network.arguments)
    return made


def _timm(network: RealNetwork) -> nn.Module:
    timm = importlib.import_module("timm")
    made: nn.Module = timm.create_model(
        network.make, pretrained=False, num_classes=CLASSES, **network.arguments
    )
    return made


def _transformers(network: RealNetwork) -> nn.Module:
    transformers = importlib.import_module("transformers")
    kind, _, settings = network.make.partition("/")
    labels = {} if network.labels == "one a word" else {"num_labels": CLASSES}
    config = getattr(transformers, settings)(**labels, **network.arguments)
    made: nn.Module = getattr(transformers, kind)(config)
    return made


_MAKERS = {"torchvision": _torchvision, "timm": _timm, "transformers": _transformers}


def _vision(
    name: str, make: str = "", shape: tuple[int, ...] = (3, 64, 64), **arguments: Any
) -> Any:
    return RealNetwork(
        name=name, source="torchvision", make=make or name, shape=shape, arguments=arguments
    )


def _pixels(name: str) -> RealNetwork:
    return RealNetwork(
        name=name,
        source="torchvision",
        make=f"segmentation.{name}",
        arguments={"weights_backbone": None},
        labels="one a pixel",
        logits="out",
    )


def _image_model(name: str, make: str, pixels: int = 64, **arguments: Any) -> RealNetwork:
    return RealNetwork(
        name=name, source="timm", make=make, shape=(3, pixels, pixels), arguments=arguments
    )


_TORCHVISION = (
    _vision("resnet18"),
    _vision("resnet50"),
    _vision("resnext50", "resnext50_32x4d"),
    _vision("wide_resnet50", "wide_resnet50_2"),
    _vision("vgg16_bn"),
    _vision("densenet121"),
    _vision("mobilenet_v2"),
    _vision("mobilenet_v3_small"),
    _vision("efficientnet_b0"),
    _vision("shufflenet_v2", "shufflenet_v2_x0_5"),
    _vision("squeezenet", "squeezenet1_1"),
    _vision("googlenet", aux_logits=False, init_weights=False),
    _vision("inception_v3", shape=(3, 96, 96), aux_logits=False, init_weights=False),
    _vision("mnasnet", "mnasnet0_5"),
    _vision("regnet_y_400mf"),
    _vision("convnext_tiny"),
    _vision("swin_t"),
    _vision("swin_v2_t"),
    _vision(
        "vit",
        "VisionTransformer",
        image_size=64,
        patch_size=8,
        num_layers=4,
        num_heads=4,
        hidden_dim=128,
        mlp_dim=256,
    ),
    _vision(
        "maxvit",
        "MaxVit",
        input_size=(64, 64),
        stem_channels=32,
        partition_size=2,
        block_channels=[32, 64, 128, 256],
        block_layers=[1, 1, 2, 1],
        head_dim=16,
        stochastic_depth_prob=0.1,
    ),
    _pixels("deeplabv3_resnet50"),
    _pixels("fcn_resnet50"),
    _pixels("lraspp_mobilenet_v3_large"),
)

_TIMM = (
    _image_model("efficientnet_lite0", "tf_efficientnet_lite0"),
    _image_model("mobilenetv4", "mobilenetv4_conv_small"),
    _image_model("repvgg", "repvgg_a0"),
    _image_model("ghostnet", "ghostnet_100"),
    _image_model("hrnet", "hrnet_w18_small"),
    _image_model("coatnet", "coatnet_nano_rw_224", img_size=64),
    _image_model("mixer", "mixer_s32_224", img_size=64),
    _image_model("poolformer", "poolformer_s12"),
    _image_model("edgenext", "edgenext_xx_small"),
    _image_model("fastvit", "fastvit_t8"),
    _image_model("levit", "levit_128s", img_size=64),
    _image_model("bit", "resnetv2_50x1_bit"),
    _image_model("nfnet", "nfnet_l0"),
    _image_model("dla34", "dla34"),
    _image_model("rexnet", "rexnet_100"),
    _image_model("xcit", "xcit_nano_12_p16_224", img_size=64),
    _image_model("mobileone", "mobileone_s0"),
    _image_model("seresnet18", "seresnet18"),
    _image_model("cspresnet50", "cspresnet50"),
    _image_model("res2net50", "res2net50_26w_4s"),
    _image_model("resnest14", "resnest14d"),
    _image_model("convnextv2", "convnextv2_atto"),
    _image_model("gmlp", "gmlp_ti16_224", img_size=64),
    _image_model("efficientvit", "efficientvit_b0"),
)

_SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
_HEADS = {"num_attention_heads": 4}
_LANGUAGE: dict[str, Any] = {"source": "transformers", "shape": (16,), "labels": "one a word"}

_TRANSFORMERS = (
    RealNetwork(
        name="bert",
        make="BertForMaskedLM/BertConfig",
        arguments={**_SMALL, **_HEADS, "vocab_size": WORDS, "max_position_embeddings": 32},
        logits="logits",
        inputs="named words",
        **_LANGUAGE,
    ),
    RealNetwork(
        name="gpt2",
        make="GPT2LMHeadModel/GPT2Config",
        arguments={
            "n_embd": 64,
            "n_layer": 2,
            "n_head": 4,
            "vocab_size": WORDS,
            "n_positions": 32,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "use_cache": False,
        },
        logits="logits",
        inputs="words",
        **_LANGUAGE,
    ),
    RealNetwork(
        name="llama",
        make="LlamaForCausalLM/LlamaConfig",
        arguments={**_SMALL, **_HEADS, "vocab_size": WORDS, "use_cache": False},
        logits="logits",
        inputs="words",
        **_LANGUAGE,
    ),
    RealNetwork(
        name="qwen2",
        make="Qwen2ForCausalLM/Qwen2Config",
        arguments={
            **_SMALL,
            **_HEADS,
            "num_key_value_heads": 2,
            "vocab_size": WORDS,
            "use_cache": False,
        },
        logits="logits",
        inputs="named words",
        **_LANGUAGE,
    ),
    RealNetwork(
        name="hf_vit",
        source="transformers",
        make="ViTForImageClassification/ViTConfig",
        arguments={**_SMALL, **_HEADS, "image_size": 32, "patch_size": 8},
        shape=(3, 32, 32),
        logits="logits",
    ),
    RealNetwork(
        name="mobilevit",
        source="transformers",
        make="MobileViTForImageClassification/MobileViTConfig",
        arguments={
            "image_size": 64,
            "hidden_sizes": [32, 48, 64],
            "neck_hidden_sizes": [8, 16, 24, 32, 40, 48, 96],
        },
        logits="logits",
    ),
    RealNetwork(
        name="segformer",
        source="transformers",
        make="SegformerForSemanticSegmentation/SegformerConfig",
        arguments={
            "hidden_sizes": [16, 32, 48, 64],
            "depths": [1, 1, 1, 1],
            "decoder_hidden_size": 64,
        },
        labels="one a pixel",
        logits="small pixels",
    ),
    RealNetwork(
        name="whisper",
        source="transformers",
        make="WhisperForConditionalGeneration/WhisperConfig",
        arguments={
            "vocab_size": CLASSES,
            "num_mel_bins": 16,
            "d_model": 64,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 128,
            "decoder_ffn_dim": 128,
            "max_source_positions": 20,
            "max_target_positions": 16,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 1,
            "begin_suppress_tokens": None,
            "use_cache": False,
        },
        shape=(16, 40),
        logits="sound",
        inputs="sound and words",
    ),
)

NETWORKS: dict[str, RealNetwork] = {
    network.name: network for network in (*_TORCHVISION, *_TIMM, *_TRANSFORMERS)
}

# A study finds a network as an attribute of this module.
globals().update({name: functools.partial(make_own, name) for name in NETWORKS})
