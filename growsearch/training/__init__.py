"""Training: a seeded loop, its tasks, recipes and hooks."""

from growsearch.training.checkpoint import (
    Checkpoint,
    read_checkpoint,
    tensors_under,
    write_checkpoint,
)
from growsearch.training.classification import Classification
from growsearch.training.examples import Examples
from growsearch.training.language_modelling import CarriesState, LanguageModelling
from growsearch.training.loop import (
    TRAINING_PASSES,
    TrainingOptions,
    make_optimizer,
    parameter_groups,
    train,
)
from growsearch.training.next_words import NextWords
from growsearch.training.optimizers import SGD, AdamW, OptimizerRule
from growsearch.training.recipe import Recipe
from growsearch.training.recipes import RECIPES, published_recipe
from growsearch.training.schedule import Cosine, Schedule, Steps
from growsearch.training.segmentation import Segmentation
from growsearch.training.settings import differences, plain
from growsearch.training.state import EpochRecord, Hook, TrainingState
from growsearch.training.task import Scores, Task, mean_loss
from growsearch.training.task_of import task_of

__all__ = [
    "RECIPES",
    "SGD",
    "TRAINING_PASSES",
    "AdamW",
    "CarriesState",
    "Checkpoint",
    "Classification",
    "Cosine",
    "EpochRecord",
    "Examples",
    "Hook",
    "LanguageModelling",
    "NextWords",
    "OptimizerRule",
    "Recipe",
    "Schedule",
    "Scores",
    "Segmentation",
    "Steps",
    "Task",
    "TrainingOptions",
    "TrainingState",
    "differences",
    "make_optimizer",
    "mean_loss",
    "parameter_groups",
    "plain",
    "published_recipe",
    "read_checkpoint",
    "task_of",
    "tensors_under",
    "train",
    "write_checkpoint",
]
