"""Kinds of trial in a study: which of them it searches over, and the space of each."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    RootModel,
    SerializeAsAny,
    ValidationInfo,
    create_model,
    model_validator,
)

from growsearch.kinds.candidate import CandidateConfig
from growsearch.kinds.domain import Categorical
from growsearch.kinds.kind import TrialKind
from growsearch.kinds.questions import Questions, Suggester, suggest
from growsearch.kinds.registry import KINDS
from growsearch.kinds.space import KindSpace, Strict
from growsearch.training.initial_weights import note_file


class TrialKinds(RootModel[dict[str, SerializeAsAny[KindSpace]]]):
    """The kinds of trial to search over, by name and in the order of KINDS; at least one."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_kinds(cls, data: Any, info: ValidationInfo) -> Any:
        """Read each kind's keys by its own model; errors keep their place in the study."""
        if isinstance(data, TrialKinds):
            return data.root
        read = kinds_model().model_validate(data, context=info.context)
        found = {name: getattr(read, name) for name in KINDS}
        spaces = {name: space for name, space in found.items() if space is not None}
        if not spaces:
            raise ValueError(f"name at least one kind of trial: {', '.join(KINDS)}")
        for name, space in spaces.items():
            problem = KINDS[name].problem(space)
            if problem is not None:
                raise ValueError(f"{name}.{problem}")
        return spaces

    def __getitem__(self, name: str) -> KindSpace:
        return self.root[name]

    def get(self, name: Any) -> KindSpace | None:
        """Return a kind's space, if the study has that kind."""
        return self.root.get(name)

    def items(self) -> Iterator[tuple[TrialKind[Any, Any], KindSpace]]:
        """Yield every kind that is there, with its space."""
        yield from ((KINDS[name], space) for name, space in self.root.items())

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds that are there."""
        return tuple(self.root)

    @property
    def max_epochs(self) -> int:
        """The epochs of the longest trial that there can be."""
        return max(space.longest for space in self.root.values())

    @property
    def places(self) -> Mapping[str, Path | None]:
        """Where the kinds' files lie, by key of the study."""
        return {
            f"trials.{name}.{key}": getattr(space, key)
            for name, space in self.root.items()
            for key in space.whereabouts
        }

    def note_files(self) -> None:
        """Let this process know where the files of initial weights lie; a worker calls it."""
        for space in self.root.values():
            if space.init is not None and space.init_file is not None:
                note_file(space.init_file, space.init)

    def resolved(self, folder: Path) -> TrialKinds:
        """Return the same kinds with relative paths as seen from ``folder``."""
        # They are read already, those of a run by other rules than new ones.
        spaces = {name: space.resolved(folder) for name, space in self.root.items()}
        return TrialKinds.model_construct(spaces)


def kinds_model() -> type[BaseModel]:
    """Return the model of a study's ``trials``: a key a kind of KINDS, unknown keys are errors."""
    return _model(tuple((name, kind.space) for name, kind in KINDS.items()))


@functools.lru_cache(maxsize=8)
def _model(spaces: tuple[tuple[str, type[KindSpace]], ...]) -> type[BaseModel]:
    fields: dict[str, Any] = {name: (space | None, None) for name, space in spaces}
    return create_model("TrialKinds", __base__=Strict, **fields)


def suggest_candidate(trial: Suggester, kinds: TrialKinds) -> CandidateConfig:
    """Ask for every choice that the chosen kind of trial needs, and for no other."""
    name = str(suggest(trial, "kind", Categorical(values=kinds.names)))
    candidate: CandidateConfig = KINDS[name].suggest(Questions(trial, name), kinds[name])
    return candidate


def suggest_for_ray(trial: Suggester, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Return the candidate as Tune's config; module-level, since Tune pickles it by name."""
    return {"candidate": suggest_candidate(trial, TrialKinds.model_validate(kinds)).to_json()}
