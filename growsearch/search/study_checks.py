"""Which studies would fail in every trial? Those are told before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

from growsearch.datasets import Dataset, load_beside
from growsearch.errors import UsageError
from growsearch.growth import Budget, build_full
from growsearch.growth.costs import Costs
from growsearch.growth.fits import check_fits
from growsearch.growth.gate import insert_gates
from growsearch.search.decisions import values_of
from growsearch.search.own_networks import check_own_network
from growsearch.search.study_config import StudyConfig
from growsearch.search.trial_kinds import GrowthBudget, TicketKind, TrialKinds
from growsearch.tickets import check_backbone, check_one_label_each
from search_spaces import SearchSpaceError, channel_groups, search_space, units
from search_spaces.own_code import is_own


def check_spaces(config: StudyConfig, dataset: Dataset) -> tuple[str, ...]:
    """Refuse networks that cannot be made, fed with the data, judged by its labels or trained.

    Returns:
        What is worth knowing of the networks before they train.

    Raises:
        UsageError: naming the key and the remedy.
    """
    notes: list[str] = []
    sparse = config.trials.sparse
    updaters = () if sparse is None else tuple(map(str, values_of(sparse.updater)))
    for key, name, grown in _spaces(config.trials):
        try:
            space = search_space(name).for_data(dataset.input_shape, dataset.num_classes)
            module = check_fits(space, dataset)
            if grown and is_own(name):
                insert_gates(module, channel_groups(module), units(module))
            if is_own(name):
                found = check_own_network(
                    build_full(space, seed=0),
                    dataset,
                    masked=key != "growth.space",
                    updaters=updaters if key == "sparse.space" else (),
                )
                notes += [f"trials.{key}: {name.partition('@')[0]}: {note}" for note in found]
        except (SearchSpaceError, UsageError) as error:
            raise UsageError(f"trials.{key}: {error}") from error
    return tuple(dict.fromkeys(notes))


def _spaces(kinds: TrialKinds) -> Iterator[tuple[str, str, bool]]:
    """Yield the key and the name of every space of networks for the study's data; is it grown?"""
    growth, sparse, tickets = kinds.growth, kinds.sparse, kinds.tickets
    if growth is not None:
        yield from (("growth.space", str(name), True) for name in values_of(growth.space))
    if sparse is not None:
        grown = sparse.grow is not None
        yield from (("sparse.space", str(name), grown) for name in values_of(sparse.space))
    if tickets is not None and tickets.target_space is None:
        yield from (("tickets.space", str(name), False) for name in values_of(tickets.space))
    elif tickets is not None and tickets.target_space is not None:
        names = values_of(tickets.target_space)
        yield from (("tickets.target_space", str(name), False) for name in names)


def check_budgets(config: StudyConfig, dataset: Dataset) -> None:
    """Refuse a growth budget that no network of the space can meet.

    Raises:
        UsageError: naming the key, the value and the least budget.
    """
    growth, sparse = config.trials.growth, config.trials.sparse
    if growth is not None:
        for name in values_of(growth.space):
            _check_growth("growth", growth.budget, str(name), dataset)
    if sparse is not None and sparse.grow is not None:
        for name in values_of(sparse.space):
            _check_growth("sparse.grow", sparse.grow.budget, str(name), dataset)


def check_source(config: StudyConfig, dataset: Dataset) -> None:
    """Refuse data to pretrain tickets on that is not there, or whose images do not fit the study's.

    Raises:
        UsageError: naming the key, the value and the rule.
    """
    tickets = config.trials.tickets
    if tickets is None:
        return
    for name in values_of(tickets.source):
        try:
            source = load_beside(str(name), config.ticket_source_dir)
            check_one_label_each(source)
        except UsageError as error:
            raise UsageError(f"trials.tickets.source: {error}") from error
        shape = source.input_shape
        if len(shape) != len(dataset.input_shape) or shape[0] != dataset.input_shape[0]:
            raise UsageError(
                f"trials.tickets.source: {name} has inputs of {shape}, {config.dataset} of "
                f"{dataset.input_shape}; a ticket keeps its number of channels"
            )
        for space in values_of(tickets.space):
            _check_pretraining(str(space), tickets, source, dataset)


def _check_pretraining(name: str, tickets: TicketKind, source: Dataset, dataset: Dataset) -> None:
    """Refuse a space that cannot be pretrained, or whose backbone the target's networks lack."""
    try:
        space = search_space(name).for_data(source.input_shape, source.num_classes)
        below = check_fits(space, source)
    except (SearchSpaceError, UsageError) as error:
        raise UsageError(f"trials.tickets.space: {error}") from error
    for target in () if tickets.target_space is None else values_of(tickets.target_space):
        networks = search_space(str(target)).for_data(dataset.input_shape, dataset.num_classes)
        try:
            check_backbone(below, check_fits(networks, dataset), name, str(target))
        except UsageError as error:
            raise UsageError(f"trials.tickets.target_space: {error}") from error


def _check_growth(key: str, bound: GrowthBudget, name: str, dataset: Dataset) -> None:
    space = search_space(name).for_data(dataset.input_shape, dataset.num_classes)
    module = build_full(space, seed=0)
    for value in values_of(bound.decision):
        assert not isinstance(value, str)
        budget = Budget(parameters=value) if bound.metric == "parameters" else Budget(macs=value)
        try:
            Costs.of(space, module, budget)
        except UsageError as error:
            raise UsageError(f"trials.{key}.{error} (space {name})") from error
