"""Data and text sections of a study: files become splits, in memory or streamed; windows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool

from growsearch.datasets import GIVEN, DataKeys, Loading
from growsearch.datasets.texts.text_windows import WINDOW_WORDS
from growsearch.errors import UsageError
from growsearch.kinds import Strict
from growsearch.pareto.quantities import parse_share
from growsearch.search.config.numbers import Whole
from search_spaces.user_code import is_own

_MIN_SIDE, _MAX_SIDE = 4, 4096
_SIDES = 2

# By data set; own code has the last, and so has what is given as an object.
_KEYS: dict[str, tuple[str, ...]] = {
    "image-folder": ("image_size", "validation", "test", "layout", "memory", "workers"),
    "hf-disk": ("image_size", "validation", "test", "input", "label", "workers"),
}
_OWN_KEYS = ("workers",)


def _parse_size(value: Any) -> Any:
    """Return (height, width) of one number or two."""
    if value is None:
        return None
    sides = value if isinstance(value, (list, tuple)) else (value, value)
    whole = all(type(side) is int and _MIN_SIDE <= side <= _MAX_SIDE for side in sides)
    if len(sides) != _SIDES or not whole:
        raise ValueError(
            f"give one whole number of pixels, or [height, width], from {_MIN_SIDE} to "
            f"{_MAX_SIDE:,}"
        )
    return tuple(sides)


def _parse_part(value: Any) -> Any:
    """Return a share between 0 and 1, or a name."""
    if value is None or (isinstance(value, str) and not value.strip().endswith("%")):
        if value is not None and (not value or value.startswith("/") or ".." in value.split("/")):
            raise ValueError("give the name of a folder below data_dir, or a share such as 10%")
        return value
    return _share(value, most=False)


def _parse_memory(value: Any) -> Any:
    return None if value is None else _share(value, most=True)


def _share(value: Any, *, most: bool) -> float:
    try:
        share = parse_share(value, "share")
    except (UsageError, TypeError, ValueError) as error:
        raise ValueError("no share; write for example 10%") from error
    if not (0 < share < 1 or (most and share == 1)):
        raise ValueError("not above 0% and below 100%; write for example 10%")
    return share


class DataSettings(Strict):
    """How a data set's files are read; each key is for some data sets, and refused for others."""

    image_size: Annotated[tuple[int, int] | None, BeforeValidator(_parse_size)] = Field(
        default=None,
        description=(
            "Pixels of an image: one number, or [height, width]. Default: the images' own size if "
            "all have one, else 224."
        ),
    )
    validation: Annotated[float | str | None, BeforeValidator(_parse_part)] = Field(
        default=None,
        description=(
            "What a search judges by: a share of the training examples (10%), or a folder. "
            "Default: 10%, or val where there is a test beside it."
        ),
    )
    test: Annotated[float | str | None, BeforeValidator(_parse_part)] = Field(
        default=None,
        description=(
            "What is reported, and never searched by: a share (10%), or a folder. Default: test, "
            "else val; 10% with layout: classes."
        ),
    )
    layout: Literal["folders", "classes"] | None = Field(
        default=None,
        description=(
            "folders: train/CLASS/ with others beside it; classes: CLASS/ alone. Default: folders, "
            "unless no folder is named for a split."
        ),
    )
    memory: Annotated[float | None, BeforeValidator(_parse_memory)] = Field(
        default=None,
        description=(
            "Images that would take more than this share of the machine's memory, in all trials "
            "at a time, are streamed. Default: 50%."
        ),
    )
    input: str | None = Field(
        default=None, description="hf-disk: the column of images. Default: the only one."
    )
    label: str | None = Field(
        default=None,
        description="hf-disk: the column of labels: classes, or what the task learns. Default: the "
        "only ClassLabel.",
    )
    workers: Whole | None = Field(
        default=None,
        ge=0,
        le=256,
        description=(
            "Processes a trial that read streamed data; 0 reads in the trial's own. Default: the "
            "machine's cores, shared between trials at a time, 8 at most."
        ),
    )

    def check_for(self, dataset: str) -> None:
        """Refuse keys that the data set has no use for.

        Raises:
            ValueError: naming the key.
        """
        plain = dataset.partition("@")[0]
        valid = _OWN_KEYS if is_own(plain) or plain == GIVEN else _KEYS.get(plain, ())
        for key in type(self).model_fields:
            if getattr(self, key) is not None and key not in valid:
                there = f"valid for it: {', '.join(valid)}" if valid else "it has no such keys"
                raise ValueError(f"data.{key}: not for {plain} ({there}); remove the key")

    def keys(self, trials: int) -> DataKeys:
        """Return what the loader of the data needs, with so many trials at a time."""
        return DataKeys(
            image_size=self.image_size,
            validation=self.validation,
            test=self.test,
            layout=self.layout,
            memory=self.memory,
            input=self.input,
            label=self.label,
            # The process that searches has looked at the data, too.
            copies=trials + 1,
        )

    def loading(self, trials: int) -> Loading:
        """Return how streamed data are read, with so many trials at a time."""
        return Loading(workers=self.workers, trials=trials)


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
