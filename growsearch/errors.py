"""Errors that a person can act on: what went wrong, the value, the rule, the remedy."""


class GrowsearchError(Exception):
    """A problem that a person can act on; the command line prints it without a traceback."""

    exit_code = 1


class UsageError(GrowsearchError):
    """Wrong input: a YAML key, a name, a path or an option."""

    exit_code = 2


class CandidateError(GrowsearchError):
    """A candidate cannot be trained: its trial fails, and the search goes on with others."""


class DivergedError(CandidateError):
    """Training met a loss that is not finite."""


class TimeLimitError(CandidateError):
    """A trial took longer than its study allows."""


class MachineError(GrowsearchError):
    """The machine, its storage or the data failed, whatever was trained: the search stops.

    What was under way stays unfinished, and is run again by the next start.
    """
