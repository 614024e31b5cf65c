"""Training of ticket candidates; pretraining and drawing are shared in their run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from growsearch.datasets import Dataset, load_beside
from growsearch.fault_origin import of_the_machine
from growsearch.growth import build_full
from growsearch.kinds.artifact_cache import cached, drop_damaged, shared_file
from growsearch.kinds.initial_weights import initial_weights
from growsearch.kinds.network import Network
from growsearch.kinds.space import KindSpace
from growsearch.kinds.tickets.candidate import TicketCandidate
from growsearch.kinds.tickets.space import TicketSpace
from growsearch.kinds.trained import TrainedCandidate, TrainingContext
from growsearch.sparsity import Masks
from growsearch.tickets import (
    SOURCE,
    TARGET,
    Drawn,
    Pretrained,
    Transferred,
    draw,
    pretrain,
    read_drawn,
    read_pretrained,
    transfer,
    write_drawn,
    write_pretrained,
)
from growsearch.training import TRAINING_PASSES, EpochRecord, TrainingOptions
from growsearch.transforms import MacProfile
from search_spaces import search_space


def train_ticket(
    config: TicketCandidate, context: TrainingContext, options: TrainingOptions
) -> TrainedCandidate:
    """Pretrain, draw and transfer; what the run has of it already is taken from there.

    The MACs of pretraining and drawing are the trial's whether it did the work or found it done.
    ``options`` hear of the epochs of the transfer.
    """
    dataset = context.dataset
    pretrained = _pretrained(config, options, context)
    drawn = _drawn(config, pretrained, options, context)
    before = pretrained.training_macs + drawn.training_macs
    listen = options.on_epoch
    transferred = transfer(
        pretrained,
        drawn.ticket,
        dataset,
        config.transferring(),
        seed=context.seed,
        options=options
        if listen is None
        else dataclasses.replace(options, on_epoch=lambda epoch: listen(_behind(epoch, before))),
    )
    Masks.of(transferred.model).detach()
    return TrainedCandidate(
        model=transferred.model,
        network=Network(
            architecture=transferred.space.largest(),
            input_shape=dataset.input_shape,
            num_classes=dataset.num_classes,
        ),
        history=tuple(_behind(epoch, before) for epoch in transferred.history),
        training_macs=before + transferred.training_macs,
        dense_training_macs=_dense_macs(config, pretrained, drawn, transferred),
        ticket=drawn.ticket,
    )


def source_dir(space: KindSpace | None, data_dir: Path | None) -> Path | None:
    """Return the folder of the source's data: the study's, if none is named."""
    named = space.source_dir if isinstance(space, TicketSpace) else None
    return named or data_dir


def _behind(epoch: EpochRecord, macs: int) -> EpochRecord:
    return dataclasses.replace(epoch, training_macs=macs + epoch.training_macs)


def _pretrained(
    config: TicketCandidate, options: TrainingOptions, context: TrainingContext
) -> Pretrained:
    path = shared_file(context.run, "pretrained", config.pretraining_key())
    space = search_space(config.space)

    def make(checkpoint: Path) -> None:
        made = pretrain(
            space,
            _source(config, context),
            config.recipe(config.pretrain_epochs).recipe(),
            robustness=config.pretraining(),
            seed=config.pretrain_seed,
            options=_quiet(options, checkpoint),
            init=initial_weights(config.init),
        )
        write_pretrained(path, made)

    return cached(path, make, read_pretrained)


def _drawn(
    config: TicketCandidate,
    pretrained: Pretrained,
    options: TrainingOptions,
    context: TrainingContext,
) -> Drawn:
    dataset = context.dataset
    path = shared_file(context.run, "ticket", config.drawing_key(dataset.name))

    def make(checkpoint: Path) -> None:
        data = None
        if config.draws_on == SOURCE:
            data = _source(config, context)
        elif config.draws_on == TARGET:
            data = dataset
        made = draw(
            pretrained,
            config.drawing(),
            data=data,
            seed=config.pretrain_seed,
            options=_quiet(options, checkpoint),
            space=config.networks(),
        )
        write_drawn(path, made)

    return cached(path, make, read_drawn)


def _source(config: TicketCandidate, context: TrainingContext) -> Dataset:
    with of_the_machine():
        return load_beside(config.source, source_dir(context.space, context.data_dir))


def _quiet(options: TrainingOptions, checkpoint: Path) -> TrainingOptions:
    """Return options for shared work: whoever listens to the trial hears of its own epochs."""
    drop_damaged(checkpoint)
    return dataclasses.replace(
        options, hooks=(), on_epoch=None, on_resume=None, checkpoint=checkpoint
    )


def _dense_macs(
    config: TicketCandidate, pretrained: Pretrained, drawn: Drawn, transferred: Transferred
) -> int:
    """Return what as many examples take in the dense network, trained naturally as a whole."""
    space = pretrained.space
    on_source = MacProfile.of(build_full(space, 0), space.example_inputs()).dense_macs
    on_target = transferred.dense_macs
    drawing = on_target if config.draws_on == TARGET else on_source
    return TRAINING_PASSES * (
        on_source * pretrained.examples
        + drawing * drawn.examples
        + on_target * transferred.examples
    )
