"""Canary of the fuzz benchmark: an input that gets this module imported has run code."""


def run() -> None:
    """Do nothing: to be imported is enough."""


class Net:
    """A name that an input may give for a network."""
