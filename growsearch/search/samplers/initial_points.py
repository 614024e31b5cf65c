"""Initial points of a search: baselines, and what a person names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from growsearch.errors import UsageError
from growsearch.kinds import KINDS, TrialKinds
from growsearch.reading import reading
from growsearch.search.samplers.replay import Params, params_of

# What a study may name instead of writing a candidate out.
DENSE_BASELINE, PAPERS = "dense", "papers"
NAMED_POINTS = (DENSE_BASELINE, PAPERS)


def points_to_evaluate(kinds: TrialKinds, points: tuple[Any, ...]) -> list[Params]:
    """Return the sampler's parameters of a study's points, in order and without repeats.

    "dense" is the least sparse untransformed network of every space, "papers" the papers' settings
    as far as the study's space has them.

    Raises:
        UsageError: for a candidate that is not in the space, naming key, value and what is.
    """
    found: list[Params] = []
    for index, point in enumerate(points):
        for params in _params(kinds, point, f"search.points_to_evaluate[{index}]"):
            if params not in found:
                found.append(params)
    return found


def _params(kinds: TrialKinds, point: Any, where: str) -> list[Params]:
    if point in NAMED_POINTS:
        return [
            params_of({"kind": kind.name, **written}, kinds)
            for kind, space in kinds.items()
            for written in kind.initial_points(space, point)
        ]
    if not isinstance(point, Mapping):
        raise UsageError(
            f"{where} = {point!r}: write a candidate such as {{kind: sparse, sparsity: 0.9}}, "
            f"or one of {', '.join(NAMED_POINTS)}"
        )
    try:
        with reading(f"{str(point)[:60]}", "write it with the keys of its kind of trial"):
            return [params_of(_parsed(kinds, point), kinds)]
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _parsed(kinds: TrialKinds, point: Mapping[str, Any]) -> dict[str, Any]:
    """Read a candidate as a kind of trial with one value a key; the study gives what it fixes."""
    kind = point.get("kind", kinds.names[0] if len(kinds.names) == 1 else None)
    own = kinds.get(kind)
    if own is None:
        raise UsageError(f"kind = {kind!r}; this study has: {', '.join(kinds.names)}")
    fixed = {
        name: value
        for name, value in own.model_dump(mode="json", exclude_none=True).items()
        if not isinstance(value, list | dict)
    }
    data = {**fixed, **{key: value for key, value in point.items() if key != "kind"}}
    try:
        read = type(own).model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UsageError(f"{key}: {str(first['msg']).removeprefix('Value error, ')}") from error
    return {"kind": kind, **KINDS[kind].written(read)}
