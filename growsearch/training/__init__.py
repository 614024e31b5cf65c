"""How is a network trained? A seeded loop, its recipes and its hooks."""

from growsearch.training.loop import (
    TRAINING_PASSES,
    EpochRecord,
    Hook,
    TrainingOptions,
    TrainingState,
    make_optimizer,
    parameter_groups,
    train,
)
from growsearch.training.optimizers import SGD, AdamW, OptimizerRule
from growsearch.training.recipe import Recipe
from growsearch.training.recipes import RECIPES, published_recipe
from growsearch.training.schedule import Cosine, Schedule, Steps

__all__ = [
    "RECIPES",
    "SGD",
    "TRAINING_PASSES",
    "AdamW",
    "Cosine",
    "EpochRecord",
    "Hook",
    "OptimizerRule",
    "Recipe",
    "Schedule",
    "Steps",
    "TrainingOptions",
    "TrainingState",
    "make_optimizer",
    "parameter_groups",
    "published_recipe",
    "train",
]
