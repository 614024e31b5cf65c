"""Proxies for the accuracy of untrained networks, which cost a few passes.

Each is a number that is to be compared among networks of comparable cost only: all of them grow
with the network (Abdelfattah et al., arXiv 2101.08134, on zero-cost proxies).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from cost_models.counting.plain_calls import no_checkpointing
from growsearch.datasets import Dataset
from growsearch.fault_origin import machine_error, of_the_machine, origin_of
from growsearch.kinds import (
    CandidateConfig,
    DataChoice,
    ForecastContext,
    Learning,
    forecast,
    kind_of,
    trial_seed,
)
from growsearch.metrics.gradient_flow import effective_gradient_flow
from growsearch.metrics.placement import beside
from growsearch.sparsity import Batch, Masks
from growsearch.sparsity.distributions.distribution import SparsityRequest
from growsearch.sparsity.distributions.saliency import probe
from growsearch.sparsity.distributions.snip import snip_scores
from growsearch.sparsity.distributions.synflow import synaptic_flow
from growsearch.training import loss_on, task_of
from growsearch.training.devices import placed, training_device
from growsearch.trial.task import TrialTask, machine_lock

# Early in training: the gradient's flow is the mean over so many steps.
GRADIENT_FLOW_STEPS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyInput:
    """A sparse network at its initialisation, and what it would see first.

    ``batches`` has `GRADIENT_FLOW_STEPS` batches of the training data; the step size is
    ``learning_rate``.
    """

    module: nn.Module
    masks: Masks
    batches: Sequence[Batch]
    learning_rate: float


def synflow(given: ProxyInput) -> float:
    """Return the synaptic flow of all weights together (arXiv 2101.08134, eq. 2), no data read."""
    flow = synaptic_flow(given.module, given.batches[0].inputs[:1])
    return math.fsum(float(scores.sum()) for scores in flow.values())


def snip(given: ProxyInput) -> float:
    """Return the sum of |g w| over all weights on one batch (arXiv 2101.08134, eq. 1)."""
    request = SparsityRequest.of(given.module, 0.0, (), given.batches[0])
    return math.fsum(float(scores.sum()) for scores in snip_scores(request).values())


def gradient_flow(given: ProxyInput) -> float:
    """Return the effective gradient flow, the mean over the first steps of plain SGD.

    After Tessera et al. (arXiv 2102.01670, section 3.2): only active weights count, and only they
    move. The given module stays as it is.
    """
    twin = probe(given.module)
    masks = {name: given.masks[name] for name in given.masks.nonzeros()}
    flows = []
    for batch in given.batches:
        flows.append(
            effective_gradient_flow(twin, batch.inputs, batch.labels, masks, loss=batch.loss)
        )
        _step(twin, batch, masks, given.learning_rate)
    return math.fsum(flows) / len(flows)


def _step(
    twin: nn.Module, batch: Batch, masks: Mapping[str, torch.Tensor], learning_rate: float
) -> None:
    names = dict(twin.named_parameters(remove_duplicate=False))
    # A mask may bear another name of a shared weight than its first.
    active = {id(names[name]): mask for name, mask in masks.items()}
    parameters = list(twin.parameters())
    inputs, labels = beside(twin, batch.inputs, batch.labels)
    with no_checkpointing():
        loss = batch.loss(twin(inputs), labels)
    gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
    with torch.no_grad():
        for weight, gradient in zip(parameters, gradients, strict=True):
            mask = active.get(id(weight))
            weight.sub_(learning_rate * (gradient if mask is None else gradient * mask))


PROXIES: dict[str, Callable[[ProxyInput], float]] = {
    "synflow": synflow,
    "snip": snip,
    "gradient_flow": gradient_flow,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A candidate's proxy, None where there is none, and its costs that are known beforehand."""

    score: float | None
    costs: Mapping[str, float] = field(default_factory=dict)


_UNSCORED = Scored(score=None)


def can_score(config: CandidateConfig) -> bool:
    """Tell whether a candidate starts with the network that it would end with."""
    return kind_of(config).fixed_network(config)


def score_candidate(
    config: CandidateConfig, task: TrialTask, study_seed: int, proxy: str
) -> Scored:
    """Return the proxy of one candidate with its own seed, as its trial would start.

    A candidate whose network grows, cannot be built, or has no finite proxy comes back without a
    score: the trial itself will say why. Measurements on this host wait meanwhile.

    Raises:
        MachineError: for trouble of the machine or the data.
    """
    if not can_score(config):
        return _UNSCORED
    task.bring_code()
    torch.set_num_threads(1)
    if task.kinds is not None:
        task.kinds.note_files()
    seed, dataset = trial_seed(config, study_seed), _data(task.data).dataset
    devices = {device: task.profiles.get(device) for device in task.devices}
    context = ForecastContext(dataset=dataset, seed=seed, devices=devices)
    try:
        with machine_lock().shared():
            given = _input(config, dataset, seed)
            with placed(given.module, training_device(task.computing.device)):
                score = PROXIES[proxy](given)
            known = forecast(config, context)
    except Exception as error:
        if origin_of(error) == "machine":
            raise machine_error(error) from error
        return _UNSCORED
    if known is None or not math.isfinite(score):
        return _UNSCORED
    return Scored(score=score, costs=known.metrics)


# A batch of candidates has one data set.
@functools.lru_cache(maxsize=1)
def _data(choice: DataChoice) -> Learning:
    with of_the_machine():
        return choice.load()


def _input(config: CandidateConfig, dataset: Dataset, seed: int) -> ProxyInput:
    found = kind_of(config).untrained(config, dataset, seed)
    task, recipe = task_of(dataset), found.recipe
    generator = torch.Generator().manual_seed(seed)
    samples = [task.sample(recipe.batch_size, generator) for _ in range(GRADIENT_FLOW_STEPS)]
    return ProxyInput(
        module=found.module,
        masks=Masks.of(found.module),
        batches=[Batch(inputs=x, labels=y, loss=loss_on(task, x)) for x, y in samples],
        learning_rate=recipe.learning_rate,
    )
