"""Training: a seeded loop, its tasks, recipes and hooks."""

from growsearch.training.checkpoints.checkpoint import (
    Checkpoint,
    read_checkpoint,
    tensors_under,
    write_checkpoint,
)
from growsearch.training.checkpoints.resume import read_history, take_over
from growsearch.training.devices import training_device
from growsearch.training.initial_weights import InitialWeights
from growsearch.training.loop import (
    TRAINING_PASSES,
    TrainingOptions,
    train,
)
from growsearch.training.own_hooks import own_hooks
from growsearch.training.recipes.lion import Lion
from growsearch.training.recipes.optimizers import SGD, Adam, AdamW, OptimizerRule
from growsearch.training.recipes.own_optimizer import OwnOptimizer
from growsearch.training.recipes.parameter_groups import make_optimizer, parameter_groups
from growsearch.training.recipes.presets import RECIPES, published_recipe
from growsearch.training.recipes.recipe import Recipe
from growsearch.training.recipes.schedule import (
    Constant,
    Cosine,
    Linear,
    OneCycle,
    Schedule,
    Steps,
)
from growsearch.training.settings import differences, plain
from growsearch.training.state import EpochRecord, Hook, TrainingState
from growsearch.training.tasks.accumulation import examples_per_step, steps_per_epoch
from growsearch.training.tasks.class_loss import focal_loss
from growsearch.training.tasks.classification import Classification
from growsearch.training.tasks.examples import Examples
from growsearch.training.tasks.language_modelling import CarriesState, LanguageModelling
from growsearch.training.tasks.multi_label import MultiLabel
from growsearch.training.tasks.next_words import NextWords
from growsearch.training.tasks.own_task import OwnTask, own_metrics
from growsearch.training.tasks.regression import Regression
from growsearch.training.tasks.segmentation import Segmentation
from growsearch.training.tasks.target_scale import InUnits, TargetScale
from growsearch.training.tasks.task import Loss, Scores, Task, loss_on, mean_loss
from growsearch.training.tasks.task_of import task_of

__all__ = [
    "RECIPES",
    "SGD",
    "TRAINING_PASSES",
    "Adam",
    "AdamW",
    "CarriesState",
    "Checkpoint",
    "Classification",
    "Constant",
    "Cosine",
    "EpochRecord",
    "Examples",
    "Hook",
    "InUnits",
    "InitialWeights",
    "LanguageModelling",
    "Linear",
    "Lion",
    "Loss",
    "MultiLabel",
    "NextWords",
    "OneCycle",
    "OptimizerRule",
    "OwnOptimizer",
    "OwnTask",
    "Recipe",
    "Regression",
    "Schedule",
    "Scores",
    "Segmentation",
    "Steps",
    "TargetScale",
    "Task",
    "TrainingOptions",
    "TrainingState",
    "differences",
    "examples_per_step",
    "focal_loss",
    "loss_on",
    "make_optimizer",
    "mean_loss",
    "own_hooks",
    "own_metrics",
    "parameter_groups",
    "plain",
    "published_recipe",
    "read_checkpoint",
    "read_history",
    "steps_per_epoch",
    "take_over",
    "task_of",
    "tensors_under",
    "train",
    "training_device",
    "write_checkpoint",
]
