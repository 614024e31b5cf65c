"""Registry of search spaces, SEARCH_SPACES: one line a space."""

from __future__ import annotations

from typing import cast

from search_spaces.errors import SearchSpaceError
from search_spaces.families import mobilenet_v1
from search_spaces.families.botnet import BotNetSpace
from search_spaces.families.deeplab import DeepLabSpace
from search_spaces.families.gpt import GPTSpace
from search_spaces.families.mlp import MLPSpace
from search_spaces.families.mobilenet_v1 import MobileNetV1Space
from search_spaces.families.mobilenet_v2 import CIFAR_STRIDES, MobileNetV2Space
from search_spaces.families.mobilevit import CIFAR_STRIDES as MOBILEVIT_CIFAR_STRIDES
from search_spaces.families.mobilevit import MobileViTSpace
from search_spaces.families.plain_net import PlainNetSpace
from search_spaces.families.recurrent import CELLS, RecurrentSpace
from search_spaces.families.residual_units import BasicResNetSpace, BottleneckResNetSpace
from search_spaces.families.resnet_cifar import ResNetCifarSpace
from search_spaces.families.resnet_imagenet import ResNetImageNetSpace
from search_spaces.families.vgg import VGG_STAGES, VGGSpace
from search_spaces.families.wide_resnet import WideResNetSpace
from search_spaces.space import SearchSpace
from search_spaces.traced_space import own_space
from search_spaces.user_code import is_own

_DIGITS = (1, 8, 8)
_CIFAR = (3, 32, 32)
_SMALL = (3, 64, 64)
_IMAGENET = (3, 224, 224)
_IMAGENET_CLASSES = 1000
_PTB_WORDS = 10_000
_VOC = (3, 513, 513)
_VOC_CLASSES = 21

_SPACES: tuple[SearchSpace, ...] = (
    ResNetCifarSpace(
        name="resnet-digits",
        description="ResNet-8 of width 16 for 8 x 8 digits: 3 stages of one basic block",
        blocks=(1, 1, 1),
        input_shape=_DIGITS,
    ),
    MLPSpace(
        name="mlp-digits",
        description="MLP of two hidden layers of 256 units for 8 x 8 digits",
        hidden=(256, 256),
        input_shape=_DIGITS,
    ),
    *(
        ResNetCifarSpace(
            name=f"resnet{depth}",
            description=f"CIFAR ResNet-{depth} of width 16 (He et al. 2016), 1 x 1 shortcuts",
            blocks=(depth // 6,) * 3,
            input_shape=_CIFAR,
        )
        for depth in (20, 32, 44, 56, 110)
    ),
    *(
        ResNetCifarSpace(
            name=name,
            description=f"ResNet-{name[6:]} of width 64 with the 3 x 3 stem for 32 x 32 images",
            blocks=blocks,
            base_width=64,
            input_shape=_CIFAR,
        )
        for name, blocks in (("resnet18", (2, 2, 2, 2)), ("resnet34", (3, 4, 6, 3)))
    ),
    ResNetImageNetSpace(
        name="resnet18-imagenet",
        description="ImageNet ResNet-18 (He et al. 2016)",
        blocks=(2, 2, 2, 2),
        input_shape=_IMAGENET,
        num_classes=_IMAGENET_CLASSES,
    ),
    ResNetImageNetSpace(
        name="resnet34-imagenet",
        description="ImageNet ResNet-34 (He et al. 2016)",
        blocks=(3, 4, 6, 3),
        input_shape=_IMAGENET,
        num_classes=_IMAGENET_CLASSES,
    ),
    ResNetImageNetSpace(
        name="resnet50-imagenet",
        description="ImageNet ResNet-50 (He et al. 2016), stride in the 3 x 3 convolutions",
        blocks=(3, 4, 6, 3),
        bottleneck=True,
        input_shape=_IMAGENET,
        num_classes=_IMAGENET_CLASSES,
    ),
    ResNetImageNetSpace(
        name="resnet14-bottleneck",
        description="Bottleneck ResNet-14 of width 16 with the ImageNet stem, for 64 x 64 images",
        blocks=(1, 1, 1, 1),
        bottleneck=True,
        base_width=16,
        input_shape=_SMALL,
    ),
    ResNetImageNetSpace(
        name="wide-resnet50-imagenet",
        description="ImageNet Wide ResNet-50-2 (Zagoruyko & Komodakis 2016)",
        blocks=(3, 4, 6, 3),
        bottleneck=True,
        inner_factor=2,
        input_shape=_IMAGENET,
        num_classes=_IMAGENET_CLASSES,
    ),
    *(
        VGGSpace(
            name=f"vgg{depth}",
            description=f"VGG-{depth} with BatchNorm for 32 x 32 images, one linear layer",
            depth=depth,
            input_shape=_CIFAR,
        )
        for depth in VGG_STAGES
    ),
    *(
        VGGSpace(
            name=f"vgg{depth}-imagenet",
            description=f"ImageNet VGG-{depth} with BatchNorm (Simonyan & Zisserman 2015)",
            depth=depth,
            hidden=(4096, 4096),
            input_shape=_IMAGENET,
            num_classes=_IMAGENET_CLASSES,
        )
        for depth in VGG_STAGES
    ),
    WideResNetSpace(
        name="wide-resnet28-10",
        description="CIFAR WRN-28-10 (Zagoruyko & Komodakis 2016), without dropout",
        input_shape=_CIFAR,
    ),
    MobileNetV1Space(
        name="mobilenetv1",
        description="MobileNetV1 (Howard et al. 2017) with strides for 32 x 32 images",
        strides=mobilenet_v1.CIFAR_STRIDES,
        input_shape=_CIFAR,
    ),
    MobileNetV1Space(
        name="mobilenetv1-imagenet",
        description="ImageNet MobileNetV1 (Howard et al. 2017)",
        input_shape=_IMAGENET,
        num_classes=_IMAGENET_CLASSES,
    ),
    MobileNetV2Space(
        name="mobilenetv2",
        description="MobileNetV2 (Sandler et al. 2018) with strides for 32 x 32 images",
        strides=CIFAR_STRIDES,
        input_shape=_CIFAR,
    ),
    MobileNetV2Space(
        name="mobilenetv2-imagenet",
        description="ImageNet MobileNetV2 (Sandler et al. 2018)",
        input_shape=_IMAGENET,
        num_classes=_IMAGENET_CLASSES,
    ),
    MobileViTSpace(
        name="mobilevit-s",
        description="MobileViT-S (Mehta & Rastegari 2022) with strides for 32 x 32 images",
        strides=MOBILEVIT_CIFAR_STRIDES,
        input_shape=_CIFAR,
    ),
    MobileViTSpace(
        name="mobilevit-s-imagenet",
        description="MobileViT-S (Mehta & Rastegari 2022) for 256 x 256 images",
        input_shape=(3, 256, 256),
        num_classes=_IMAGENET_CLASSES,
    ),
    BotNetSpace(
        name="botnet50",
        description="BotNet-50 (Srinivas et al. 2021) with the 3 x 3 stem for 32 x 32 images",
        large_images=False,
        input_shape=_CIFAR,
    ),
    BotNetSpace(
        name="botnet50-imagenet",
        description="ImageNet BotNet-50 (Srinivas et al. 2021)",
        input_shape=_IMAGENET,
        num_classes=_IMAGENET_CLASSES,
    ),
    *(
        DeepLabSpace(
            name=f"deeplabv3-resnet{depth}",
            description=f"DeepLab-v3 (Chen et al. 2017) over ResNet-{depth}: a class a pixel",
            blocks=blocks,
            input_shape=_VOC,
            num_classes=_VOC_CLASSES,
        )
        for depth, blocks in ((50, (3, 4, 6, 3)), (101, (3, 4, 23, 3)))
    ),
    DeepLabSpace(
        name="deeplabv3-resnet14",
        description="DeepLab-v3 over resnet14-bottleneck, for 64 x 64 images: a class a pixel",
        blocks=(1, 1, 1, 1),
        base_width=16,
        head_width=64,
        rates=(2, 4, 6),
        input_shape=_SMALL,
        num_classes=_VOC_CLASSES,
    ),
    BasicResNetSpace(
        name="basic3resnet-digits",
        description="3 stages of 1 to 4 basic blocks, width 16, for 8 x 8 digits",
        most_units=(4, 4, 4),
        input_shape=_DIGITS,
    ),
    BasicResNetSpace(
        name="basic3resnet",
        description="Basic3ResNet (Wen et al. 2020) for 32 x 32 images: 1 to 42 blocks a stage",
        most_units=(42, 42, 42),
        input_shape=_CIFAR,
    ),
    PlainNetSpace(
        name="plain3net",
        description="Plain3Net (Wen et al. 2020) for 32 x 32 images: 1 to 23 units a stage",
        most_units=(23, 23, 23),
        input_shape=_CIFAR,
    ),
    BottleneckResNetSpace(
        name="bottleneck4resnet-imagenet",
        description="ImageNet Bottleneck4ResNet (Wen et al. 2020): 1 to 9 bottlenecks a stage",
        most_units=(9, 9, 9, 9),
        input_shape=_IMAGENET,
        num_classes=_IMAGENET_CLASSES,
    ),
    PlainNetSpace(
        name="plain4net-imagenet",
        description="ImageNet Plain4Net (Wen et al. 2020): 1 to 6 units a stage",
        most_units=(6, 6, 6, 6),
        large_images=True,
        base_width=64,
        input_shape=_IMAGENET,
        num_classes=_IMAGENET_CLASSES,
    ),
    GPTSpace(
        name="gpt3-small",
        description="GPT-3 Small (Brown et al. 2020): 12 blocks of width 768, 2,048 tokens",
        blocks=12,
        heads=12,
        head_size=64,
        input_shape=(2048,),
        num_classes=50257,
    ),
    RecurrentSpace(
        name="lstm-ptb",
        description="2-layer LSTM of 1,500 units for Penn Treebank (Zaremba et al. 2014, large)",
        embedding=1500,
        hidden=(1500, 1500),
        keep_probability=0.35,
        input_shape=(35,),
        num_classes=_PTB_WORDS,
    ),
    *(
        RecurrentSpace(
            name=f"{cell}-ptb-small",
            description=f"2-layer {cell.upper()} of 200 units for Penn Treebank, no dropout",
            cell=cell,
            embedding=200,
            hidden=(200, 200),
            input_shape=(20,),
            num_classes=_PTB_WORDS,
        )
        for cell in CELLS
    ),
)

SEARCH_SPACES: dict[str, SearchSpace] = {space.name: space for space in _SPACES}


def search_space(name: str) -> SearchSpace:
    """Return the space called ``name``, or that of own code, "module:attribute" (traced_space.py).

    Raises:
        SearchSpaceError: if there is none; the message lists the valid names.

    Example:
        >>> import torch
        >>> from search_spaces import search_space
        >>> space = search_space("mlp-digits")
        >>> space.input_shape, space.num_classes
        ((1, 8, 8), 10)
        >>> module = space.build(space.sample(torch.Generator().manual_seed(0)))
        >>> module(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    if is_own(name):
        return cast(SearchSpace, own_space(name))
    if name not in SEARCH_SPACES:
        known = ", ".join(sorted(SEARCH_SPACES))
        raise SearchSpaceError(
            f"unknown search space {name!r}; valid: {known}, or your own as MODULE:ATTRIBUTE"
        )
    return SEARCH_SPACES[name]
