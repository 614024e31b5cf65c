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
from growsearch.training.recipe import Recipe

__all__ = [
    "TRAINING_PASSES",
    "EpochRecord",
    "Hook",
    "Recipe",
    "TrainingOptions",
    "TrainingState",
    "make_optimizer",
    "parameter_groups",
    "train",
]
