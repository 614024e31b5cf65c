"""How is each value of a study written? Parsers that say what is wrong and how to put it right."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from growsearch.errors import UsageError
from growsearch.pareto.quantities import parse_quantity, parse_share
from growsearch.search.decisions import Decision, Scalar, decision_to_plain, parse_decision
from search_spaces import SearchSpaceError
from search_spaces.user_code import is_own, pinned

NO_PATTERN = "none"

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
# Up to here a float holds every whole number: 1e2 is one, as YAML 1.2 writes it.
_EXACT = 2**53
# A number is never longer; regular expressions take squared time of what is.
_LONGEST = 64
# Generators of numpy take no larger seed.
_MOST_SEED = 2**32 - 1


def _decision(parse: Callable[[Any], Scalar]) -> BeforeValidator:
    """Return a validator of decisions; what a study leaves out stays None where it may be."""
    return BeforeValidator(lambda raw: None if raw is None else parse_decision(raw, parse))


def _one_of(key: str, valid: Callable[[], Iterable[str]], *, own: bool = False) -> BeforeValidator:
    """Return a validator of the names that ``valid`` lists; it is asked once a study is read.

    With ``own`` names of own code, "module:attribute", are valid, and get the hash of the code.
    """

    def parse(value: Any) -> Scalar:
        if own and isinstance(value, str) and is_own(value):
            return _pinned(value)
        names = tuple(valid())
        if value not in names:
            more = ", or your own as MODULE:ATTRIBUTE" if own else ""
            raise ValueError(f"unknown {key} {value!r}; valid: {', '.join(names)}{more}")
        return str(value)

    return _decision(parse)


def _pinned(value: str) -> str:
    try:
        return pinned(value)
    except SearchSpaceError as error:
        raise ValueError(str(error)) from error


def _matched(pattern: str, text: str) -> re.Match[str] | None:
    return re.fullmatch(pattern, text) if len(text) <= _LONGEST else None


def _parse_duration(value: Any) -> Any:
    """Return seconds; None is no limit."""
    if value is None:
        return None
    number, unit = value, "s"
    if isinstance(value, str):
        match = _matched(r"\s*(\d+\.?\d*|\.\d+)\s*(s|min|h)\s*", value)
        if match is None:
            raise ValueError(f"{value!r} is no duration; write for example 90 s, 30 min or 2 h")
        number, unit = float(match[1]), match[2]
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < math.inf:
        raise ValueError(f"{value!r} is no duration; write for example 90 s, 30 min or 2 h")
    return float(number) * _SECONDS[unit]


def _parse_confidence(value: Any) -> float | None:
    if value is None:
        return None
    try:
        share = parse_share(value, "confidence")
    except (UsageError, TypeError, ValueError) as error:
        raise ValueError(str(error)) from error
    if not 0 < share < 1:
        raise ValueError(f"{value} is not between 0 and 1; write 0.9 or 90%")
    return share


def _parse_sparsity(value: Any) -> float:
    try:
        share = parse_share(value, "sparsity")
    except (UsageError, TypeError) as error:
        raise ValueError(str(error)) from error
    if not 0 <= share < 1:
        raise ValueError(f"sparsity {value} is not in [0, 1); write for example 0.9 or 90%")
    return share


def _parse_budget(value: Any) -> int | float:
    """A percentage or a float in (0, 1] is a share of the full configuration, else a count."""
    try:
        if isinstance(value, str) and value.strip().endswith("%"):
            return parse_share(value, "budget")
        number = parse_quantity(value, "parameters") if isinstance(value, str) else value
    except UsageError as error:
        raise ValueError(str(error)) from error
    if isinstance(number, bool) or not isinstance(number, int | float) or number <= 0:
        raise ValueError(f"{value!r} is no budget; write a share (10%) or a count (20k)")
    if isinstance(value, float) and number <= 1:
        return number
    # Factors such as 1.001k are off in the last bit.
    if not math.isfinite(number) or abs(number - round(number)) > 1e-12 * number:
        raise ValueError(f"{value!r} is no whole count; write a share (10%) or a count (20k)")
    return round(number)


def _whole(value: Any) -> Any:
    exact = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT
    return int(value) if exact else value


def _parse_count(value: Any) -> int:
    count = _whole(value)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"{value!r} is no whole number above 0")
    return count


def _parse_rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{value!r} is no number above 0")
    return float(value)


def _parse_strength(value: Any) -> float:
    """Read a share of the range of a pixel: 0.03, or 8/255 as papers write it."""
    number = value
    if isinstance(value, str) and (match := _matched(r"\s*(\d+\.?\d*)\s*/\s*255\s*", value)):
        number = float(match[1]) / 255
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number <= 1:
        raise ValueError(f"{value!r} is not in (0, 1]; write for example 8/255 or 0.03")
    return float(number)


def _parse_seed(value: Any) -> int:
    seed = _whole(value)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= _MOST_SEED:
        raise ValueError(f"{value!r} is no whole number from 0 to {_MOST_SEED}")
    return seed


def _parse_norm(value: Any) -> str:
    """Return the name of a norm; YAML reads 2 and .inf as numbers."""
    from growsearch.metrics.adversarial import NORMS

    number = isinstance(value, int | float) and not isinstance(value, bool)
    name = {2: "2", math.inf: "inf"}.get(value, value) if number else value
    if not isinstance(name, str) or name not in NORMS:
        raise ValueError(f"unknown norm {value!r}; valid: {', '.join(NORMS)}")
    return str(name)


def _parse_truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _parse_pattern(value: Any) -> str:
    """Return the usual spelling of a pattern, or "none"."""
    from growsearch.sparsity import parse_pattern, pattern_name

    if value == NO_PATTERN:
        return NO_PATTERN
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is no pattern; write "2:4", "4:8-t" or "16x16", in quotes')
    try:
        return pattern_name(parse_pattern(value))
    except UsageError as error:
        raise ValueError(str(error).removeprefix("pattern: ")) from error


def _spaces() -> Iterable[str]:
    from search_spaces import SEARCH_SPACES

    return SEARCH_SPACES


def _transforms() -> Iterable[str]:
    from growsearch.transforms import NO_TRANSFORM, TRANSFORMS

    return (NO_TRANSFORM, *TRANSFORMS)


def _distributions() -> Iterable[str]:
    from growsearch.sparsity import SPARSITY_DISTRIBUTIONS

    return SPARSITY_DISTRIBUTIONS


def _positions() -> Iterable[str]:
    from growsearch.transforms import POSITIONS

    return POSITIONS


def _updaters() -> Iterable[str]:
    from growsearch.sparsity import MASK_UPDATERS

    return MASK_UPDATERS


def _recipes() -> Iterable[str]:
    from growsearch.trial.recipe_choice import RECIPE_NAMES

    return RECIPE_NAMES


def _schemes() -> Iterable[str]:
    from growsearch.tickets import TICKET_SCHEMES

    return TICKET_SCHEMES


def _granularities() -> Iterable[str]:
    from growsearch.tickets import GRANULARITIES

    return GRANULARITIES


def _robustness() -> Iterable[str]:
    from growsearch.tickets import ROBUSTNESS

    return ROBUSTNESS


def _modes() -> Iterable[str]:
    from growsearch.tickets import MODES

    return MODES


def _datasets() -> Iterable[str]:
    from growsearch.datasets import DATASETS

    return DATASETS


def _to_plain(decision: Decision | None) -> Any:
    return None if decision is None else decision_to_plain(decision)


_plain = PlainSerializer(_to_plain)
Count = Annotated[Decision, _decision(_parse_count), _plain]
Rate = Annotated[Decision, _decision(_parse_rate), _plain]
OptionalCount = Annotated[Decision | None, _decision(_parse_count), _plain]
OptionalRate = Annotated[Decision | None, _decision(_parse_rate), _plain]
OptionalSparsity = Annotated[Decision | None, _decision(_parse_sparsity), _plain]
Share = Annotated[float | None, BeforeValidator(_parse_confidence)]
Duration = Annotated[float | None, BeforeValidator(_parse_duration)]
BudgetRange = Annotated[Decision, _decision(_parse_budget), _plain]
Truth = Annotated[Decision, _decision(_parse_truth), _plain]
Space = Annotated[Decision, _one_of("space", _spaces, own=True), _plain]
TransformName = Annotated[Decision, _one_of("transform", _transforms, own=True), _plain]
DistributionName = Annotated[Decision, _one_of("distribution", _distributions), _plain]
PositionsName = Annotated[Decision, _one_of("positions", _positions), _plain]
UpdaterName = Annotated[Decision, _one_of("updater", _updaters), _plain]
Strength = Annotated[Decision | None, _decision(_parse_strength), _plain]
Seed = Annotated[Decision, _decision(_parse_seed), _plain]
SchemeName = Annotated[Decision, _one_of("scheme", _schemes), _plain]
GranularityName = Annotated[Decision, _one_of("granularity", _granularities), _plain]
RobustnessName = Annotated[Decision, _one_of("robustness", _robustness), _plain]
ModeName = Annotated[Decision, _one_of("mode", _modes), _plain]
NormName = Annotated[Decision, _decision(_parse_norm), _plain]
SourceName = Annotated[Decision, _one_of("data set", _datasets), _plain]
Sparsity = Annotated[Decision, _decision(_parse_sparsity), _plain]
PatternName = Annotated[Decision, _decision(_parse_pattern), _plain]
RecipeName = Annotated[Decision, _one_of("recipe", _recipes), _plain]
