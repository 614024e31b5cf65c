"""How is a trial of kind "tickets" trained? Pretraining and drawing are shared in its run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from growsearch.datasets import Dataset, load_beside
from growsearch.errors import GrowsearchError
from growsearch.growth import build_full
from growsearch.tickets import (
    SOURCE,
    TARGET,
    Drawn,
    Pretrained,
    Ticket,
    Transferred,
    draw,
    pretrain,
    read_drawn,
    read_pretrained,
    transfer,
    write_drawn,
    write_pretrained,
)
from growsearch.training import TRAINING_PASSES, EpochRecord, TrainingOptions, read_checkpoint
from growsearch.transforms import MacProfile
from growsearch.trial.shared_work import made_once, shared_file
from growsearch.trial.ticket_trial import TicketTrial
from search_spaces import search_space


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketPlaces:
    """Where the trials of a run share their work, and where the source's files are."""

    run: Path
    source_dir: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketWork:
    """A ticket on its task, and what all three parts of the trial took together."""

    transferred: Transferred
    ticket: Ticket
    history: tuple[EpochRecord, ...]
    training_macs: int
    dense_training_macs: int


def train_ticket(
    config: TicketTrial, dataset: Dataset, seed: int, options: TrainingOptions, places: TicketPlaces
) -> TicketWork:
    """Pretrain, draw and transfer; what the run has of it already is taken from there.

    The MACs of pretraining and drawing are the trial's whether it did the work or found it done.
    ``options`` hear of the epochs of the transfer.
    """
    pretrained = _pretrained(config, options, places)
    drawn = _drawn(config, pretrained, dataset, options, places)
    before = pretrained.training_macs + drawn.training_macs
    listen = options.on_epoch
    transferred = transfer(
        pretrained,
        drawn.ticket,
        dataset,
        config.transferring(),
        seed=seed,
        options=options
        if listen is None
        else dataclasses.replace(options, on_epoch=lambda epoch: listen(_behind(epoch, before))),
    )
    return TicketWork(
        transferred=transferred,
        ticket=drawn.ticket,
        history=tuple(_behind(epoch, before) for epoch in transferred.history),
        training_macs=before + transferred.training_macs,
        dense_training_macs=_dense_macs(config, pretrained, drawn, transferred),
    )


def _behind(epoch: EpochRecord, macs: int) -> EpochRecord:
    return dataclasses.replace(epoch, training_macs=macs + epoch.training_macs)


def _pretrained(config: TicketTrial, options: TrainingOptions, places: TicketPlaces) -> Pretrained:
    path = shared_file(places.run, "pretrained", config.pretraining_key())

    def make(checkpoint: Path) -> None:
        made = pretrain(
            search_space(config.space),
            load_beside(config.source, places.source_dir),
            config.recipe(config.pretrain_epochs).recipe(),
            robustness=config.pretraining(),
            seed=config.pretrain_seed,
            options=_quiet(options, checkpoint),
        )
        write_pretrained(path, made)

    return made_once(path, make, read_pretrained)


def _drawn(
    config: TicketTrial,
    pretrained: Pretrained,
    dataset: Dataset,
    options: TrainingOptions,
    places: TicketPlaces,
) -> Drawn:
    path = shared_file(places.run, "ticket", config.drawing_key(dataset.name))

    def make(checkpoint: Path) -> None:
        data = None
        if config.draws_on == SOURCE:
            data = load_beside(config.source, places.source_dir)
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

    return made_once(path, make, read_drawn)


def _quiet(options: TrainingOptions, checkpoint: Path) -> TrainingOptions:
    """Return options for shared work: whoever listens to the trial hears of its own epochs."""
    for file in checkpoint.parent.glob(f"{checkpoint.stem}*{checkpoint.suffix}"):
        try:
            read_checkpoint(file)
        except GrowsearchError:
            file.unlink()
    return TrainingOptions(
        guard=options.guard, channels_last=options.channels_last, checkpoint=checkpoint
    )


def _dense_macs(
    config: TicketTrial, pretrained: Pretrained, drawn: Drawn, transferred: Transferred
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
