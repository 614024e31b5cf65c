"""Class names that a person gives: one a class, in the order of the classes' numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from growsearch.datasets.reading.boundary import shown
from growsearch.errors import UsageError

_RULE = "give one text a class, in the order of their numbers, such as ('cat', 'dog')"


def check_class_names(names: object, num_classes: int) -> tuple[str, ...]:
    """Return the names of ``num_classes`` classes; none where ``names`` is None.

    Raises:
        UsageError: for what is no sequence of texts, another number of them than classes, an empty
            one, or one that stands twice.
    """
    if names is None:
        return ()
    if isinstance(names, str | bytes) or not isinstance(names, Sequence):
        raise UsageError(f"dataset: classes is a {type(names).__name__}; {_RULE}")
    for number, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise UsageError(f"dataset: classes[{number}] = {shown(repr(name)[:60])}; {_RULE}")
    if len(names) != num_classes:
        raise UsageError(
            f"dataset: classes has {len(names):,} names, and the labels have {num_classes:,} "
            "classes; give as many, or state num_classes where some have no example"
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(
            f"dataset: classes has {shown(repr(twice[0])[:60])} twice; give each class a name of "
            "its own"
        )
    return tuple(names)
