"""Which candidates are tried before the sampler has its say? Baselines, and what a person names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from growsearch.errors import UsageError
from growsearch.reading import reading
from growsearch.search.decisions import Decision, Options, Range, Scalar, values_of
from growsearch.search.samplers.replay import Params, params_of
from growsearch.search.study_values import NO_PATTERN
from growsearch.search.trial_kinds import GrowthKind, SparseKind, TrialKinds
from growsearch.transforms import DENSE, NO_TRANSFORM

# What a study may name instead of writing a candidate out.
DENSE_BASELINE, PAPERS = "dense", "papers"
NAMED_POINTS = (DENSE_BASELINE, PAPERS)

# RigL (Evci et al., arXiv 1911.11134): 90 % sparse, ERK. Sparse-IFT (Thangarasa et al., arXiv
# 2303.11525): Sparse Wide at 90 % with RigL. Growth (Yuan et al., arXiv 2007.15353): a network of
# 36 % of the parameters.
_RIGL = {"transform": NO_TRANSFORM, "sparsity": 0.9, "distribution": "erk", "updater": "rigl"}
_SPARSE_WIDE = {"transform": "sparse_wide", "sparsity": 0.9, "updater": "rigl"}
_GROWTH_SHARE = 0.36


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
    if point == DENSE_BASELINE:
        return [params_of(written, kinds) for written in _dense(kinds)]
    if point == PAPERS:
        return [params_of(written, kinds) for written in _papers(kinds)]
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
    own = getattr(kinds, kind) if kind in kinds.names else None
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
    written: dict[str, Any] = {
        name: _single(name, value)
        for name in type(read).model_fields
        if isinstance(value := getattr(read, name), Options | Range)
    }
    if isinstance(read, GrowthKind):
        written["budget"] = {read.budget.metric: _single("budget", read.budget.decision)}
    return {"kind": kind, **written}


def _single(name: str, decision: Decision) -> Scalar:
    if isinstance(decision, Range) or len(decision.values) > 1:
        raise UsageError(f"{name}: a point has one value a key")
    return decision.values[0]


def _dense(kinds: TrialKinds) -> Iterator[dict[str, Any]]:
    kind = kinds.sparse
    if kind is None or NO_TRANSFORM not in values_of(kind.transform) or kind.sparsity is None:
        return
    for space in values_of(kind.space):
        yield _sparse(
            kind,
            {
                "space": space,
                "transform": NO_TRANSFORM,
                "sparsity": min(values_of(kind.sparsity), key=float),
                "updater": "static",
            },
        )


def _papers(kinds: TrialKinds) -> Iterator[dict[str, Any]]:
    if kinds.sparse is not None:
        for settings in (_RIGL, _SPARSE_WIDE):
            if _offers(kinds.sparse, settings):
                yield _sparse(kinds.sparse, settings)
    if kinds.growth is not None:
        yield _growth(kinds.growth)


def _offers(kind: SparseKind, settings: Mapping[str, Any]) -> bool:
    """Tell whether the study has the setting's names; its numbers are moved into its ranges."""
    names = {key: value for key, value in settings.items() if key != "sparsity"}
    return kind.sparsity is not None and all(
        value in values_of(getattr(kind, key)) for key, value in names.items()
    )


def _sparse(kind: SparseKind, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the candidate nearest to what is wanted, with usual or first values elsewhere."""
    usual = {"pattern": NO_PATTERN, "positions": "random", "activation": True, **wanted}
    names = [name for name in type(kind).model_fields if name != "record"]
    found = {
        name: _nearest(decision, usual.get(name))
        for name in names
        if (decision := getattr(kind, name)) is not None
    }
    if found["transform"] in DENSE:
        found["updater"] = "static"
    return {"kind": "sparse", **found}


def _growth(kind: GrowthKind) -> dict[str, Any]:
    names = [name for name in type(kind).model_fields if name != "budget"]
    found: dict[str, Any] = {
        name: _nearest(decision, None)
        for name in names
        if (decision := getattr(kind, name)) is not None
    }
    decision = kind.budget.decision
    share = all(isinstance(value, float) for value in values_of(decision))
    found["budget"] = {kind.budget.metric: _nearest(decision, _GROWTH_SHARE if share else None)}
    return {"kind": "growth", **found}


def _nearest(decision: Decision, wanted: Any) -> Scalar:
    """Return the wanted value, or the nearest number; else the first option or the upper end."""
    if isinstance(decision, Range):
        if wanted is None:
            return decision.high
        within: Scalar = min(max(wanted, decision.low), decision.high)
        return within
    if wanted in decision.values:
        return next(value for value in decision.values if value == wanted)
    numbers = isinstance(wanted, float) and all(isinstance(v, int | float) for v in decision.values)
    if numbers:
        return min(decision.values, key=lambda value: abs(float(value) - wanted))
    return decision.values[0]
