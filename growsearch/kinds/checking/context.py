"""Checks before a search: networks that cannot be made, fed or judged are refused by key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.growth import build_full
from growsearch.growth.fits import check_fits
from growsearch.kinds.checking.own_networks import check_own_network
from growsearch.kinds.domain import Domain, values_of
from search_spaces import SearchSpace, SearchSpaceError, search_space
from search_spaces.user_code import is_own


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext:
    """What a study's check needs: its data and their folder; ``key`` is the kind's in the study.

    ``notes`` collect what a person should know of networks before they train.
    """

    dataset: Dataset
    data_dir: Path | None
    key: str
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def naming(self, key: str) -> Iterator[None]:
        """Let what is refused inside name the key of the study."""
        try:
            yield
        except (SearchSpaceError, UsageError) as error:
            raise UsageError(f"trials.{self.key}.{key}: {error}") from error

    def look_at(
        self, space: SearchSpace, key: str, *, masked: bool, updaters: tuple[str, ...] = ()
    ) -> None:
        """Look at the largest network of own code before it trains; see `check_own_network`.

        Raises:
            UsageError: if it could not be trained, counted or saved, naming the layer.
        """
        if not is_own(space.name):
            return
        module = build_full(space, seed=0)
        found = check_own_network(module, self.dataset, masked=masked, updaters=updaters)
        name = space.name.partition("@")[0]
        said = (f"trials.{self.key}.{key}: {name}: {note}" for note in found)
        self.notes.extend(note for note in said if note not in self.notes)


def space_for(name: str, dataset: Dataset) -> SearchSpace:
    """Return the search space of that name, made for the data.

    Raises:
        SearchSpaceError: for an unknown name, or data that do not fit.
    """
    return search_space(name).for_data(dataset.input_shape, dataset.num_classes)


def check_networks(
    spaces: Domain, context: CheckContext, key: str = "space", updaters: tuple[str, ...] = ()
) -> None:
    """Refuse spaces whose networks cannot be made, fed with the data or judged by its labels.

    Raises:
        UsageError: naming the key and the remedy.
    """
    for name in map(str, values_of(spaces)):
        with context.naming(key):
            space = space_for(name, context.dataset)
            check_fits(space, context.dataset)
            context.look_at(space, key, masked=True, updaters=updaters)
