"""Error of an architecture or a search space, said in one line."""


class SearchSpaceError(Exception):
    """A choice, architecture or module that the search space does not allow."""


class OwnCodeError(SearchSpaceError):
    """Own code that a name means is not there, cannot be imported, or is not what it was."""
