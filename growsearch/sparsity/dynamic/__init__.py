"""Registry of dynamic sparse training methods, MASK_UPDATERS: one line each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from growsearch.errors import UsageError
from growsearch.sparsity.dynamic.drop_and_grow import rigl_updater, set_updater
from growsearch.sparsity.dynamic.gmp import GradualMagnitudePruning
from growsearch.sparsity.dynamic.granet import GraNet
from growsearch.sparsity.dynamic.mac_schedule import MacSchedule
from growsearch.sparsity.dynamic.schedule import CubicSchedule, PruningSchedule
from growsearch.sparsity.dynamic.static import StaticMasks
from growsearch.sparsity.dynamic.timetable import Timetable
from growsearch.sparsity.dynamic.updater import Connections, MaskUpdater
from growsearch.sparsity.patterns import Pattern

MASK_UPDATERS: dict[str, Callable[..., MaskUpdater]] = {
    "static": StaticMasks,
    "set": set_updater,
    "rigl": rigl_updater,
    "granet": GraNet,
    "gmp": GradualMagnitudePruning,
}


def make_updater(
    name: str,
    *,
    alpha: float | None = None,
    until: float | None = None,
    schedule: PruningSchedule | None = None,
    pattern: Pattern | None = None,
) -> MaskUpdater:
    """Build the updater called ``name``; an option that is None takes the method's default.

    Args:
        name: a key of MASK_UPDATERS.
        alpha: share of connections dropped at the first update ("set", "rigl", "granet").
        until: share of training after which the masks stay ("set", "rigl").
        schedule: sparsity of the masked layers over training (`CubicSchedule`) or their MACs over
            one run (`MacSchedule`); required by "granet" and "gmp".
        pattern: which weights may be active together ("set", "rigl").

    Raises:
        UsageError: for an unknown name, an option that the method does not have, or one missing.

    Example:
        >>> from growsearch.sparsity import MASK_UPDATERS, CubicSchedule, make_updater
        >>> list(MASK_UPDATERS)
        ['static', 'set', 'rigl', 'granet', 'gmp']
        >>> make_updater("rigl", alpha=0.2).alpha
        0.2
        >>> make_updater("granet", schedule=CubicSchedule(final=0.9)).needs_gradients
        True
    """
    if name not in MASK_UPDATERS:
        raise UsageError(f"updater: unknown {name!r}; valid: {', '.join(MASK_UPDATERS)}")
    options = {"alpha": alpha, "until": until, "schedule": schedule, "pattern": pattern}
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    parameters = inspect.signature(MASK_UPDATERS[name]).parameters
    for key in given:
        if key not in parameters:
            raise UsageError(f"updater: {name} has no option {key}; leave it out")
    if "schedule" in parameters and schedule is None:
        raise UsageError(f"updater: {name} needs schedule=CubicSchedule(final=...)")
    return MASK_UPDATERS[name](**given)


__all__ = [
    "MASK_UPDATERS",
    "Connections",
    "CubicSchedule",
    "GraNet",
    "GradualMagnitudePruning",
    "MacSchedule",
    "MaskUpdater",
    "PruningSchedule",
    "StaticMasks",
    "Timetable",
    "make_updater",
    "rigl_updater",
    "set_updater",
]
