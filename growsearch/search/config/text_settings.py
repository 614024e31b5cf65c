"""Text of a study: its key "text", how a text is read as a whole."""

from __future__ import annotations

from pydantic import Field, StrictBool

from growsearch.datasets.texts.text_windows import WINDOW_WORDS
from growsearch.kinds import Strict
from growsearch.search.config.numbers import Whole


class TextSettings(Strict):
    """How a text is read: as a whole, in windows that follow one another.

    ``carried`` lets recurrent networks read on from the state in which the last window left them;
    without it each window is read alone. ``epoch_tokens`` makes an epoch a stretch of so many
    tokens, from a random place each time.
    """

    carried: StrictBool = Field(
        default=True,
        description="Let recurrent networks read on from the state in which the last window left "
        "them; without it each window is read alone.",
    )
    window: Whole = Field(default=WINDOW_WORDS, ge=1, description="Tokens that are read at once.")
    epoch_tokens: Whole | None = Field(
        default=None,
        ge=2,
        description="Make an epoch a stretch of so many tokens, from a random place each time. "
        "Default: an epoch is the whole text.",
    )
