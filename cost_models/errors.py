"""Errors of counting, measuring and estimating a network."""

from collections.abc import Iterable


class CostModelError(Exception):
    """Base of every error that this package raises on purpose."""


class UnknownNameError(CostModelError):
    """A device, cost model or phase was named that does not exist."""


class UnsupportedLayerError(CostModelError):
    """A layer does work that cannot be counted or costed; nothing is guessed for it."""


class NoisyMeasurementError(CostModelError):
    """The repeats of a measurement disagree by more than the accepted bound."""


class ProfileError(CostModelError):
    """A latency profile cannot be read, or was not measured for what is asked of it."""


def unknown_name(what: str, name: object, valid: Iterable[str]) -> UnknownNameError:
    """Build the error for a name that is in no registry; it lists the valid ones."""
    return UnknownNameError(f"unknown {what} {name!r}; valid: {', '.join(sorted(valid))}")
