"""Keys of a study's data section: how files become splits, at which size, in memory or streamed."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from growsearch.errors import UsageError

Layout = Literal["folders", "classes"]
# Above this share of the machine's memory images are streamed.
USUAL_MEMORY = 0.5
USUAL_SHARE = 0.1
_EXACT = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class DataKeys:
    """What a study says of its files; None is the default of the data set.

    ``image_size`` is (height, width) in pixels. ``validation`` and ``test`` are a share of the
    training examples, or the name of a folder (a split of Hugging Face's). ``layout`` is "folders"
    (train/CLASS/ beside others) or "classes" (CLASS/). ``memory`` is the share of the machine's
    memory above which images are streamed, ``copies`` how often they would lie there. ``input``
    and ``label`` are names of columns.
    """

    image_size: tuple[int, int] | None = None
    validation: float | str | None = None
    test: float | str | None = None
    layout: Layout | None = None
    memory: float | None = None
    copies: int = 1
    input: str | None = None
    label: str | None = None


NO_KEYS = DataKeys()


def held_out_count(key: str, share: float, count: int) -> int:
    """Return how many of ``count`` examples are held out as a ``share``, rounded down.

    Raises:
        UsageError: if that is none.
    """
    held = int(Fraction(round(share * _EXACT), _EXACT) * count)
    if held < 1:
        raise UsageError(
            f"data.{key} = {share_in_words(share)}: of {count:,} examples that is none; "
            "give a larger share"
        )
    return held


def share_in_words(share: float) -> str:
    """Return "12.5%" of 0.125."""
    return f"{100 * share:.6g}%"
