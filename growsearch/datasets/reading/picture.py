"""Picture in a PNG or JPEG file that nobody vouches for, as a person sees it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from growsearch.datasets.reading import picture_pixels
from growsearch.datasets.reading.boundary import shown
from growsearch.datasets.reading.picture_pixels import FORMATS, PictureError, Seen
from growsearch.datasets.reading.regular_file import open_regular
from growsearch.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A picture's file that lies within another one: its bytes, and where they are from."""

    place: str
    content: bytes

    def __str__(self) -> str:
        return self.place


@contextmanager
def _file_of(source: Path | Embedded) -> Iterator[BinaryIO]:
    """Open a picture's file; what is wrong with the picture is said with its name."""
    opening = open_regular(source) if isinstance(source, Path) else io.BytesIO(source.content)
    try:
        with opening as file:
            yield file
    except PictureError as error:
        raise UsageError(f"{shown(source)}: {error}") from error


@contextmanager
def opened(path: Path | Embedded, formats: tuple[str, ...] = FORMATS) -> Iterator[Image.Image]:
    """Open one still image of bounded size; a PNG's checksums are right.

    Raises:
        UsageError: for an animation, too many pixels, sides that are too unlike, or no regular
            file.
        Exception: whatever Pillow raises for a damaged file.
    """
    with _file_of(path) as file, picture_pixels.opened(file, formats) as image:
        yield image


def size_in_header(path: Path | Embedded) -> tuple[int, int]:
    """Return (width, height) of a picture, by its header alone: upright as its EXIF data say.

    Raises:
        UsageError: for no regular file.
        Exception: whatever Pillow raises for a damaged file, or one of too many pixels.
    """
    with _file_of(path) as file:
        return picture_pixels.size_in_header(file)


def read_picture(path: Path | Embedded, height: int, width: int) -> Seen:
    """Return the middle of a picture, resized so that it just covers ``height`` x ``width``.

    Raises:
        UsageError: as `opened`, or for a transparent colour of 16 bits.
        Exception: whatever Pillow raises for a damaged file.
    """
    with _file_of(path) as file:
        return picture_pixels.read_at(file, height, width)
