"""Values of a study: parsers that say what is wrong with one and how to put it right."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, ValidationInfo

from growsearch.datasets import DATASETS
from growsearch.datasets.task_choice import BUILT_IN
from growsearch.errors import UsageError
from growsearch.growth import ALLOCATIONS as GROWTH_ALLOCATIONS
from growsearch.growth import (
    BIRTHS,
    LENGTHS,
    PACES,
    POLICIES,
    RELAXATIONS,
    STEERINGS,
    TEMPERATURES,
)
from growsearch.growth import NORMS as ROW_NORMS
from growsearch.kinds.domain import Domain, Scalar, domain_to_plain, parse_domain
from growsearch.kinds.recipe_choice import OPTIMIZERS, RECIPE_NAMES, SCHEDULES
from growsearch.metrics.adversarial import NORMS
from growsearch.pareto.quantities import parse_quantity, parse_share
from growsearch.pruning import ALLOCATIONS, IMPORTANCES
from growsearch.sparsity import (
    MASK_UPDATERS,
    SPARSITY_DISTRIBUTIONS,
    parse_pattern,
    pattern_name,
)
from growsearch.tickets import GRANULARITIES, MODES, ROBUSTNESS, TICKET_SCHEMES
from growsearch.training.recipes.recipe import PRECISIONS
from growsearch.transforms import NO_TRANSFORM, POSITIONS, TRANSFORMS
from search_spaces import SEARCH_SPACES, SearchSpaceError
from search_spaces.user_code import is_own, pinned

NO_PATTERN = "none"
# In the context of a validation: the study is that of a run, and may be somebody else's.
OF_RUN = "of_run"

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
# Up to here a float holds every whole number: 1e2 is one, as YAML 1.2 writes it.
_EXACT = 2**53
# A number is never longer; regular expressions take squared time of what is.
_LONGEST = 64
# Generators of numpy take no larger seed.
_MAX_SEED = 2**32 - 1


def _domain(parse: Callable[[Any], Scalar]) -> BeforeValidator:
    """Return a validator of domains; what a study leaves out stays None where it may be."""
    return BeforeValidator(lambda raw: None if raw is None else parse_domain(raw, parse))


def _one_of(key: str, registry: Iterable[str]) -> BeforeValidator:
    """Return a validator of the names in ``registry``, as it is when a study is read."""
    return _domain(lambda value: _listed(key, value, registry))


def _one_of_or_own(key: str, registry: Iterable[str], *before: str) -> BeforeValidator:
    """Return a validator of the names in ``registry``, those ``before`` it, and of own code.

    Own code, "module:attribute", gets its hash. In the study of a run it stays as it is: nothing is
    imported for it.
    """

    def validate(raw: Any, info: ValidationInfo) -> Any:
        run = of_run(info)

        def parse(value: Any) -> Scalar:
            if isinstance(value, str) and is_own(value):
                return value if run else _pinned(value)
            return _listed(key, value, (*before, *registry), ", or your own as MODULE:ATTRIBUTE")

        return None if raw is None else parse_domain(raw, parse)

    return BeforeValidator(validate)


def _listed(key: str, value: Any, valid: Iterable[str], more: str = "") -> str:
    names = tuple(valid)
    if value not in names:
        raise ValueError(f"unknown {key} {value!r}; valid: {', '.join(names)}{more}")
    return str(value)


def _pinned(value: str) -> str:
    try:
        return pinned(value)
    except SearchSpaceError as error:
        raise ValueError(str(error)) from error


def _matched(pattern: str, text: str) -> re.Match[str] | None:
    return re.fullmatch(pattern, text) if len(text) <= _LONGEST else None


def parse_duration(value: Any) -> Any:
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
            share = parse_share(value, "budget")
            if share > 0:
                return share
            value = share
        number = parse_quantity(value, "parameters") if isinstance(value, str) else value
    except UsageError as error:
        # The key stands before it already, and may be another.
        rule = str(error).removeprefix(f"parameters = {value!r}: ")
        raise ValueError(rule) from error
    if isinstance(number, bool) or not isinstance(number, int | float) or number <= 0:
        raise ValueError(f"{value!r} is no budget; write a share (10%) or a count (20k)")
    if isinstance(value, float) and number <= 1:
        return number
    # Factors such as 1.001k are off in the last bit.
    if not math.isfinite(number) or abs(number - round(number)) > 1e-12 * number:
        raise ValueError(
            f"{value!r}: a count is a whole number above 0 such as 20M, a share has a per cent "
            "sign such as 36%"
        )
    return round(number)


def _parse_share_of_epochs(value: Any) -> float:
    try:
        share = parse_share(value, "share")
    except (UsageError, TypeError) as error:
        raise ValueError(str(error)) from error
    if not 0 < share <= 1:
        raise ValueError(f"{value} is not in (0, 1]; write for example 0.5 or 50%")
    return share


def _parse_share_from_zero(value: Any) -> float:
    try:
        share = parse_share(value, "share")
    except (UsageError, TypeError) as error:
        raise ValueError(str(error)) from error
    if not 0 <= share <= 1:
        raise ValueError(f"{value} is not in [0, 1]; write for example 0.5 or 50%")
    return share


def _whole(value: Any) -> Any:
    exact = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT
    return int(value) if exact else value


def _parse_count(value: Any) -> int:
    count = _whole(value)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"{value!r} is no whole number above 0")
    return count


def _parse_lengths(raw: Any) -> tuple[int, ...] | None:
    """Read one whole number, or a list of them."""
    if raw is None:
        return None
    found = raw if isinstance(raw, list | tuple) else [raw]
    if not found:
        raise ValueError("an empty list has no numbers; give one a budget")
    return tuple(_parse_count(value) for value in found)


def _parse_rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{value!r} is no number above 0")
    return float(value)


def _parse_from_zero(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{value!r} is no number from 0 on")
    return float(value)


def _parse_fraction(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"{value!r} is not in [0, 1)")
    return float(value)


def _parse_decay(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise ValueError(f"{value!r} is not between 0 and 1; write for example 0.999")
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
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= _MAX_SEED:
        raise ValueError(f"{value!r} is no whole number from 0 to {_MAX_SEED}")
    return seed


def _parse_norm(value: Any) -> str:
    """Return the name of a norm; YAML reads 2 and .inf as numbers."""
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
    if value == NO_PATTERN:
        return NO_PATTERN
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is no pattern; write "2:4", "4:8-t" or "16x16", in quotes')
    try:
        return pattern_name(parse_pattern(value))
    except UsageError as error:
        raise ValueError(str(error).removeprefix("pattern: ")) from error


def _to_plain(domain: Domain | None) -> Any:
    return None if domain is None else domain_to_plain(domain)


_plain = PlainSerializer(_to_plain)
_count, _rate, _sparsity = (_domain(f) for f in (_parse_count, _parse_rate, _parse_sparsity))
Count = Annotated[Domain, _count, _plain]
Rate = Annotated[Domain, _rate, _plain]
Sparsity = Annotated[Domain, _sparsity, _plain]
OptionalCount = Annotated[Domain | None, _count, _plain]
OptionalRate = Annotated[Domain | None, _rate, _plain]
OptionalSparsity = Annotated[Domain | None, _sparsity, _plain]
OptionalFromZero = Annotated[Domain | None, _domain(_parse_from_zero), _plain]
OptionalFraction = Annotated[Domain | None, _domain(_parse_fraction), _plain]
OptionalDecay = Annotated[Domain | None, _domain(_parse_decay), _plain]
Strength = Annotated[Domain | None, _domain(_parse_strength), _plain]
Seed = Annotated[Domain, _domain(_parse_seed), _plain]
FromZero = Annotated[Domain, _domain(_parse_from_zero), _plain]
ShareFromZero = Annotated[Domain, _domain(_parse_share_from_zero), _plain]
Truth = Annotated[Domain, _domain(_parse_truth), _plain]
BudgetRange = Annotated[Domain, _domain(_parse_budget), _plain]
ShareOfEpochs = Annotated[Domain, _domain(_parse_share_of_epochs), _plain]
PatternName = Annotated[Domain, _domain(_parse_pattern), _plain]
NormName = Annotated[Domain, _domain(_parse_norm), _plain]
Lengths = Annotated[
    tuple[int, ...] | None,
    BeforeValidator(_parse_lengths),
    PlainSerializer(lambda numbers: list(numbers) if numbers else None),
]
Share = Annotated[float | None, BeforeValidator(_parse_confidence)]
Duration = Annotated[float | None, BeforeValidator(parse_duration)]


def of_run(info: ValidationInfo) -> bool:
    """Tell whether a run's study is read: nothing may be imported for a name then."""
    return bool((info.context or {}).get(OF_RUN))


def _parse_task(value: Any, info: ValidationInfo) -> Any:
    if value is None or value in BUILT_IN:
        return value
    if isinstance(value, str) and is_own(value):
        return value if of_run(info) else _pinned(value)
    raise ValueError(
        f"unknown task {value!r}; valid: {', '.join(BUILT_IN)}, or your own as MODULE:ATTRIBUTE"
    )


def _parse_own(value: Any, info: ValidationInfo) -> str:
    if isinstance(value, str) and is_own(value):
        return value if of_run(info) else _pinned(value)
    raise ValueError(f"{value!r} is no name of own code; write MODULE:ATTRIBUTE")


OwnName = Annotated[str, BeforeValidator(_parse_own)]
TaskName = Annotated[str | None, BeforeValidator(_parse_task)]

# Names of registries.
Space = Annotated[Domain, _one_of_or_own("space", SEARCH_SPACES), _plain]
TransformName = Annotated[Domain, _one_of_or_own("transform", TRANSFORMS, NO_TRANSFORM), _plain]
DistributionName = Annotated[Domain, _one_of("distribution", SPARSITY_DISTRIBUTIONS), _plain]
PositionsName = Annotated[Domain, _one_of("positions", POSITIONS), _plain]
UpdaterName = Annotated[Domain, _one_of("updater", MASK_UPDATERS), _plain]
SchemeName = Annotated[Domain, _one_of("scheme", TICKET_SCHEMES), _plain]
GranularityName = Annotated[Domain, _one_of("granularity", GRANULARITIES), _plain]
RobustnessName = Annotated[Domain, _one_of("robustness", ROBUSTNESS), _plain]
ModeName = Annotated[Domain, _one_of("mode", MODES), _plain]
SourceName = Annotated[Domain, _one_of("data set", DATASETS), _plain]
RecipeName = Annotated[Domain, _one_of("recipe", RECIPE_NAMES), _plain]
OptimizerName = Annotated[Domain | None, _one_of_or_own("optimizer", OPTIMIZERS), _plain]
ScheduleName = Annotated[Domain | None, _one_of("schedule", SCHEDULES), _plain]
PrecisionName = Annotated[Domain | None, _one_of("precision", PRECISIONS), _plain]
BaselineName = Annotated[Domain, _one_of("baseline", ("mine", "dense", "uniform")), _plain]
ImportanceName = Annotated[Domain, _one_of("importance", IMPORTANCES), _plain]
AllocationName = Annotated[Domain, _one_of("allocation", ALLOCATIONS), _plain]
GrowthAllocationName = Annotated[Domain, _one_of("allocation", GROWTH_ALLOCATIONS), _plain]
PaceName = Annotated[Domain, _one_of("pace", PACES), _plain]
LengthName = Annotated[Domain, _one_of("until", LENGTHS), _plain]
NormsName = Annotated[Domain, _one_of("norms", ROW_NORMS), _plain]
PolicyName = Annotated[Domain, _one_of("policy", POLICIES), _plain]
SteeringName = Annotated[Domain, _one_of("steering", STEERINGS), _plain]
BirthName = Annotated[Domain, _one_of("birth", BIRTHS), _plain]
RelaxationName = Annotated[Domain, _one_of("relaxation", RELAXATIONS), _plain]
TemperatureName = Annotated[Domain, _one_of("temperature", TEMPERATURES), _plain]
