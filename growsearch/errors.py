"""Errors that a person can act on: what went wrong, the value, the rule, the remedy."""


class GrowsearchError(Exception):
    """A problem that a person can act on; the command line prints it without a traceback."""

    exit_code = 1


class UsageError(GrowsearchError):
    """Wrong input: a YAML key, a name, a path or an option."""

    exit_code = 2


class DivergedError(GrowsearchError):
    """Training met a loss that is not finite."""


class TimeLimitError(GrowsearchError):
    """A trial took longer than its study allows."""
