"""Published recipes, RECIPES: the hyper-parameters of the papers, one line a recipe.

Papers: Sparse-IFT arXiv 2303.11525 (appendix C), random pruning arXiv 2202.02643 (table 1), growth
arXiv 2007.15353 (appendix A.3), LSTM on Penn Treebank arXiv 1409.2329 (section 4.1). All train in
float32 here, and none decays biases and BatchNorm.
"""

from __future__ import annotations

from growsearch.errors import UsageError
from growsearch.training.recipes.optimizers import SGD, AdamW
from growsearch.training.recipes.recipe import Recipe
from growsearch.training.recipes.schedule import Cosine, Steps

_PLAIN_MOMENTUM = SGD(momentum=0.9, nesterov=False)

# Of 2.5 billion tokens, 375 million are warm-up.
_GPT3_WARMUP_SHARE = 0.15


def _zaremba(
    *, window: int, epochs: int, first_drop: int, factor: float, clip_norm: float
) -> Recipe:
    """Return a recipe of Zaremba et al. 2014: rate 1, times ``factor`` an epoch from the drop on.

    Their loss is the sum over a window's words and here it is the mean, so that the same steps take
    ``window`` times the rate, and clip at ``clip_norm`` / ``window``.
    """
    return Recipe(
        epochs=epochs,
        batch_size=20,
        learning_rate=1.0 * window,
        weight_decay=0.0,
        warmup_epochs=0,
        clip_norm=clip_norm / window,
        optimizer=SGD(momentum=0.0, nesterov=False),
        schedule=Steps(milestones=tuple(range(first_drop, epochs)), factor=factor),
    )


RECIPES: dict[str, Recipe] = {
    "sparse-ift-cifar": Recipe(
        epochs=200,
        batch_size=128,
        learning_rate=0.1,
        weight_decay=5e-4,
        warmup_epochs=0,
        optimizer=SGD(momentum=0.9, nesterov=True),
        schedule=Steps(milestones=(60, 120, 160), factor=0.2),
    ),
    # MobileNetV2, MobileViT-S and BotNet-50.
    "sparse-ift-cifar-cosine": Recipe(
        epochs=200,
        batch_size=128,
        learning_rate=0.1,
        weight_decay=5e-4,
        warmup_epochs=0,
        optimizer=SGD(momentum=0.9, nesterov=True),
        schedule=Cosine(),
    ),
    "sparse-ift-imagenet": Recipe(
        epochs=90,
        batch_size=256,
        learning_rate=0.256,
        weight_decay=2**-15,
        label_smoothing=0.1,
        warmup_epochs=0,
        optimizer=SGD(momentum=0.875, nesterov=False),
        schedule=Cosine(),
    ),
    "random-pruning-cifar": Recipe(
        epochs=160,
        batch_size=128,
        learning_rate=0.1,
        weight_decay=5e-4,
        warmup_epochs=0,
        optimizer=_PLAIN_MOMENTUM,
        schedule=Steps(milestones=(80, 120), factor=0.1),
    ),
    "random-pruning-imagenet-dense": Recipe(
        epochs=90,
        batch_size=4 * 192,
        learning_rate=0.4,
        weight_decay=1e-4,
        warmup_epochs=0,
        optimizer=_PLAIN_MOMENTUM,
        schedule=Steps(milestones=(30, 60, 80), factor=0.1),
    ),
    "random-pruning-imagenet-sparse": Recipe(
        epochs=100,
        batch_size=4 * 192,
        learning_rate=0.4,
        weight_decay=1e-4,
        warmup_epochs=0,
        optimizer=_PLAIN_MOMENTUM,
        schedule=Steps(milestones=(30, 60, 90), factor=0.1),
    ),
    # VGG-16 and ResNet-20.
    "growth-cifar": Recipe(
        epochs=160,
        batch_size=128,
        learning_rate=0.1,
        weight_decay=1e-4,
        warmup_epochs=0,
        optimizer=_PLAIN_MOMENTUM,
        schedule=Steps(milestones=(80, 120), factor=0.1),
    ),
    # WRN-28-10.
    "growth-cifar-wide": Recipe(
        epochs=200,
        batch_size=128,
        learning_rate=0.1,
        weight_decay=5e-4,
        warmup_epochs=0,
        optimizer=_PLAIN_MOMENTUM,
        schedule=Steps(milestones=(60, 120, 160), factor=0.2),
    ),
    # One pass over 2.5 billion tokens in windows of 2,048, 256 windows a step.
    "gpt3-small": Recipe(
        epochs=1,
        batch_size=256,
        learning_rate=6e-4,
        weight_decay=0.1,
        warmup_epochs=_GPT3_WARMUP_SHARE,
        warmup_start=0.0,
        clip_norm=1.0,
        optimizer=AdamW(beta1=0.9, beta2=0.95, epsilon=1e-8),
        schedule=Cosine(final_share=0.1),
    ),
    # Without dropout, 200 units a layer.
    "lstm-ptb-small": _zaremba(window=20, epochs=13, first_drop=4, factor=0.5, clip_norm=5.0),
    # Half of the activations dropped, 650 units a layer.
    "lstm-ptb-medium": _zaremba(window=35, epochs=39, first_drop=6, factor=1 / 1.2, clip_norm=5.0),
    # 65 % of the activations dropped, 1,500 units a layer.
    "lstm-ptb-large": _zaremba(
        window=35, epochs=55, first_drop=14, factor=1 / 1.15, clip_norm=10.0
    ),
}


def published_recipe(name: str, *, epochs: int | None = None) -> Recipe:
    """Return a paper's recipe, stretched or shortened to ``epochs`` if they are given.

    Raises:
        UsageError: for an unknown name; the valid ones are listed.

    Example:
        >>> from growsearch.training import RECIPES, published_recipe
        >>> recipe = published_recipe("sparse-ift-cifar", epochs=5)
        >>> recipe.epochs, recipe.batch_size
        (5, 128)
    """
    if name not in RECIPES:
        raise UsageError(f"recipe: unknown {name!r}; valid: {', '.join(sorted(RECIPES))}")
    return RECIPES[name] if epochs is None else RECIPES[name].scaled(epochs)
