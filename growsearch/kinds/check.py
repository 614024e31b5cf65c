"""Checks before a search: networks that cannot be made, fed or judged are refused by key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.growth.fits import check_fits
from growsearch.kinds.domain import Domain, values_of
from search_spaces import SearchSpace, SearchSpaceError, search_space


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext:
    """What a study's check needs: its data and their folder; ``key`` is the kind's in the study."""

    dataset: Dataset
    data_dir: Path | None
    key: str

    @contextmanager
    def naming(self, key: str) -> Iterator[None]:
        """Let what is refused inside name the key of the study."""
        try:
            yield
        except (SearchSpaceError, UsageError) as error:
            raise UsageError(f"trials.{self.key}.{key}: {error}") from error


def space_for(name: str, dataset: Dataset) -> SearchSpace:
    """Return the search space of that name, made for the data.

    Raises:
        SearchSpaceError: for an unknown name, or data that do not fit.
    """
    return search_space(name).for_data(dataset.input_shape, dataset.num_classes)


def check_networks(spaces: Domain, context: CheckContext, key: str = "space") -> None:
    """Refuse spaces whose networks cannot be made, fed with the data or judged by its labels.

    Raises:
        UsageError: naming the key and the remedy.
    """
    for name in map(str, values_of(spaces)):
        with context.naming(key):
            check_fits(space_for(name, context.dataset), context.dataset)
