"""Resuming a run that was killed, as if nothing had happened: all that changes is kept.

The rest of a run depends on the model, the optimizer, the random streams and what the hooks hold.
With all of these back to the bit, a resumed run ends where an uninterrupted one does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from growsearch.errors import GrowsearchError, UsageError
from growsearch.metrics.placement import device_of
from growsearch.reading import reading
from growsearch.training.checkpoints.checkpoint import (
    Checkpoint,
    read_checkpoint,
    tensors_under,
    write_checkpoint,
)
from growsearch.training.devices import beside_parameter, random_state, set_random_state
from growsearch.training.settings import differences, plain
from growsearch.training.state import EpochRecord, Hook, TrainingState

_MODEL, _OPTIMIZER, _RANDOM, _HOOK = "model/", "optimizer/", "random/", "hook/"
_SCALING = "scaling/"
_REMEDY = "delete it to start the run again from its first epoch"
_COUNTERS = ("epoch", "step", "training_macs", "forward_macs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Writes a checkpoint of a run and takes the run up again from it.

    ``settings`` are the run's, beside the hooks' own; a checkpoint with others is refused.
    """

    path: Path
    hooks: Sequence[Hook]
    settings: Mapping[str, Any]

    def save(self, state: TrainingState, history: Sequence[EpochRecord]) -> None:
        """Write the checkpoint of the epoch that just ended, in one atomic step.

        Raises:
            GrowsearchError: if the file cannot be written.
            UsageError: if a hook does not say what it holds.
        """
        tensors = _model_and_optimizer(state)
        tensors[_RANDOM + "batches"] = state.generator.get_state()
        tensors[_RANDOM + "torch"] = torch.get_rng_state()
        accelerator = random_state(device_of(state.model))
        if accelerator is not None:
            tensors[_RANDOM + "accelerator"] = accelerator
        if state.scaling is not None:
            tensors |= {_SCALING + key: value for key, value in state.scaling.state().items()}
        for prefix, hook in self._named():
            tensors |= {prefix + key: value for key, value in hook.state().items()}
        facts = {
            "settings": self._settings(),
            "counters": {name: getattr(state, name) for name in _COUNTERS},
            "history": [dataclasses.asdict(record) for record in history],
        }
        # A folder that was deleted in the middle of a run is not made anew.
        checkpoint = Checkpoint(tensors=tensors, facts=facts)
        write_checkpoint(self.path, checkpoint, make_folder=False)

    def resume(self, state: TrainingState) -> list[dict[str, Any]]:
        """Bring a fresh run to where the checkpoint was written; return its history as fields.

        Without a checkpoint nothing happens and the history is empty.

        Raises:
            GrowsearchError: if the file is damaged.
            UsageError: if it is of a run with other settings, or of another network.
        """
        if not self.path.exists():
            return []
        checkpoint = read_checkpoint(self.path)
        with reading(self.path, _REMEDY, GrowsearchError):
            self._check(checkpoint.facts["settings"])
            for prefix, hook in self._named():
                hook.load_state(tensors_under(prefix, checkpoint.tensors), state)
            _restore(state, checkpoint.tensors)
            for name in _COUNTERS:
                setattr(state, name, checkpoint.facts["counters"][name])
            history: list[dict[str, Any]] = checkpoint.facts["history"]
        return history

    def _named(self) -> list[tuple[str, Hook]]:
        return [(_prefix(place, hook), hook) for place, hook in enumerate(self.hooks)]

    def _settings(self) -> dict[str, Any]:
        hooks = {type(hook).__name__: plain(hook.settings()) for hook in self.hooks}
        return {**plain(self.settings), **{name: value for name, value in hooks.items() if value}}

    def _check(self, before: Mapping[str, Any]) -> None:
        for key, old, new in differences(before, self._settings()):
            raise UsageError(
                f"{self.path} is of a run with other settings: {key} was {old!r} and is {new!r} "
                "now; use the old value, or another file"
            )


def take_over(path: Path, state: TrainingState, hook: Hook) -> None:
    """Begin a run where another one, whose checkpoint lies in ``path``, had come to.

    What is taken over are weights, optimizer, random streams and MACs spent; ``hook``, the first of
    either run, gets back what it held and gives the model its shape. Steps and epochs start anew.

    Raises:
        GrowsearchError: if the file is damaged.
        UsageError: if it is of another network.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import Hook, Recipe, TrainingOptions, take_over, train
        >>> class Plain(Hook):
        ...     def state(self):
        ...         return {}
        >>> class Later(Plain):
        ...     def on_start(self, state):
        ...         take_over(file, state, plain)
        >>> data = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
        >>> file, plain = Path(tempfile.mkdtemp()) / "run.safetensors", Plain()
        >>> options = TrainingOptions(checkpoint=file, hooks=(plain,))
        >>> _ = train(torch.nn.Linear(4, 4), data, Recipe(epochs=1), seed=0, forward_macs=16,
        ...           options=options)
        >>> later = TrainingOptions(hooks=(Later(),))
        >>> history, _ = train(torch.nn.Linear(4, 4), data, Recipe(epochs=1), seed=0,
        ...                    forward_macs=16, options=later)
        >>> history[0].training_macs  # of both runs
        3168
    """
    checkpoint = read_checkpoint(path)
    with reading(path, _REMEDY, GrowsearchError):
        hook.load_state(tensors_under(_prefix(0, hook), checkpoint.tensors), state)
        _restore(state, checkpoint.tensors)
        state.training_macs = checkpoint.facts["counters"]["training_macs"]


def read_history(path: Path) -> list[EpochRecord]:
    """Return the epochs that a checkpoint's run has behind it.

    Raises:
        GrowsearchError: if the file is damaged.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import Recipe, TrainingOptions, read_history, train
        >>> data = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
        >>> options = TrainingOptions(checkpoint=Path(tempfile.mkdtemp()) / "run.safetensors")
        >>> history, _ = train(torch.nn.Linear(4, 4), data, Recipe(epochs=2), seed=0,
        ...                    forward_macs=16, options=options)
        >>> read_history(options.checkpoint) == history
        True
    """
    checkpoint = read_checkpoint(path)
    with reading(path, _REMEDY, GrowsearchError):
        return [EpochRecord(**fields) for fields in checkpoint.facts["history"]]


def _prefix(place: int, hook: Hook) -> str:
    return f"{_HOOK}{place}.{type(hook).__name__}/"


def _model_and_optimizer(state: TrainingState) -> dict[str, Tensor]:
    tensors = {_MODEL + name: tensor for name, tensor in _model_tensors(state.model).items()}
    for name, parameter in state.model.named_parameters():
        for key, value in state.optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{_OPTIMIZER}{name}/{key}"] = value
            elif value is not None:
                raise UsageError(
                    f"optimizer: {type(state.optimizer).__name__} keeps {key} as a "
                    f"{type(value).__name__}, and a checkpoint holds tensors alone; let it be a "
                    "tensor"
                )
    return tensors


def _restore(state: TrainingState, tensors: Mapping[str, Tensor]) -> None:
    """Put the tensors back; hooks have given the model its shape again already."""
    saved, own = tensors_under(_MODEL, tensors), _model_tensors(state.model)
    for name in dict.fromkeys([*own, *saved]):
        if name not in own or name not in saved or own[name].shape != saved[name].shape:
            raise UsageError(
                f"the checkpoint is of another network: {name!r} does not fit; "
                "use another folder, or delete the checkpoint to start again"
            )
        _put(own[name], saved[name])
    state.optimizer.state.clear()
    parameters = dict(state.model.named_parameters())
    for key, value in tensors_under(_OPTIMIZER, tensors).items():
        name, _, entry = key.rpartition("/")
        kept = beside_parameter(entry, value, parameters[name])
        state.optimizer.state[parameters[name]][entry] = kept
    state.generator.set_state(tensors[_RANDOM + "batches"])
    torch.set_rng_state(tensors[_RANDOM + "torch"])
    if _RANDOM + "accelerator" in tensors:
        set_random_state(device_of(state.model), tensors[_RANDOM + "accelerator"])
    scaling = tensors_under(_SCALING, tensors)
    if state.scaling is not None and scaling:
        state.scaling.load_state(scaling)


@torch.no_grad()
def _put(own: Tensor, saved: Tensor) -> None:
    """Give ``own`` the values of ``saved``: on the CPU its memory as well, with that layout."""
    if own.is_cpu:
        own.data = saved
    else:
        own.copy_(saved)


def _model_tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}
