"""Picture in a PNG or JPEG file, as a person sees it: upright, opaque, RGB of 8 bits a channel."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from growsearch.datasets.reading.boundary import shown
from growsearch.datasets.reading.regular_file import open_regular
from growsearch.errors import UsageError

# As in Pillow: what a quarter of a GB holds, 3 bytes a pixel.
MAX_PIXELS = 89_478_485
# The middle square of a longer one says nothing about it.
LONGEST_SIDES = 100

TURNED = "turned upright by their EXIF orientation"
ON_WHITE = "laid on white where they are transparent"
FROM_16_BITS = "of 16 bits a channel, scaled to 8"
FROM_CMYK = "of CMYK colours, converted to RGB"
ODD_EXIF = "with EXIF data that cannot be read, taken as they lie"

_FORMATS = ("PNG", "JPEG")
# Grey of 16 bits, by its name in this Pillow and in earlier ones.
_SIXTEEN = ("I;16", "I")
_COLOURS = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", *_SIXTEEN})
# PNG names a transparent grey in the file's own levels, of which Pillow stretches the few to 255.
_LEVEL_STEPS = {"L;2": 85, "L;4": 17}
_WHITE = (255, 255, 255, 255)
_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An RGB image, the size (width, height) it has upright in its file, and what was changed."""

    image: Image.Image
    size: tuple[int, int]
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A picture's file that lies within another one: its bytes, and where they are from."""

    place: str
    content: bytes

    def __str__(self) -> str:
        return self.place


def _file_of(source: Path | Embedded) -> BinaryIO:
    if isinstance(source, Path):
        return open_regular(source)
    return io.BytesIO(source.content)


@contextmanager
def opened(path: Path | Embedded, formats: tuple[str, ...] = _FORMATS) -> Iterator[Image.Image]:
    """Open one still image of bounded size; a PNG's checksums are right.

    Raises:
        UsageError: for an animation, too many pixels, sides that are too unlike, or no regular
            file.
        Exception: whatever Pillow raises for a damaged file.
    """
    with _file_of(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image: Image.Image = Image.open(file, formats=formats)
            _check_size(path, image)
            if isinstance(image, PngImagePlugin.PngImageFile):
                image.verify()
                # Verifying uses an image up.
                file.seek(0)
                image = Image.open(file, formats=formats)
            with image:
                _check_content(path, image)
                yield image
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise UsageError(
                f"{shown(path)}: more than {MAX_PIXELS:,} pixels; make it smaller"
            ) from error


def _check_size(path: Path | Embedded, image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UsageError(
            f"{shown(path)}: {width:,} x {height:,} pixels; at most {MAX_PIXELS:,} are read. "
            "Make it smaller"
        )
    if max(width, height) > LONGEST_SIDES * min(width, height):
        raise UsageError(
            f"{shown(path)}: {width:,} x {height:,} pixels; one side is more than {LONGEST_SIDES} "
            "times the other, and only the middle square is read. Cut it yourself"
        )


def _check_content(path: Path | Embedded, image: Image.Image) -> None:
    if isinstance(image, PngImagePlugin.PngImageFile) and getattr(image, "n_frames", 1) > 1:
        raise UsageError(
            f"{shown(path)}: an animation of {getattr(image, 'n_frames', 1)} frames; save the "
            "frames that count as images"
        )
    if image.mode not in _COLOURS:
        raise UsageError(f"{shown(path)}: an image of mode {image.mode}; save it as RGB")
    if image.mode == "P":
        _check_palette(path, image)


def _check_palette(path: Path | Embedded, image: Image.Image) -> None:
    colours = 0 if image.palette is None else len(image.palette.palette) // 3
    largest = int(np.asarray(image).max())
    if largest >= colours:
        raise UsageError(
            f"{shown(path)}: a pixel has colour {largest} of a palette of {colours}; save it as RGB"
        )


def size_in_header(path: Path | Embedded) -> tuple[int, int]:
    """Return (width, height) of a picture, by its header alone: upright as its EXIF data say.

    PNG files keep EXIF data behind the pixels, where it is not looked for.

    Raises:
        UsageError: for too many pixels, or no regular file.
        Exception: whatever Pillow raises for a damaged file.
    """
    with _file_of(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(file, formats=_FORMATS) as image:
            size = image.size
            jpeg = image.format == "JPEG"
            turn = _orientation(image)[0] if jpeg else 1
    return size[::-1] if turn > max(_UPRIGHT_AXES) else size


def read_picture(path: Path | Embedded, *, least: tuple[int, int]) -> Picture:
    """Return the picture; a large JPEG is decoded at a reduced size, ``least`` sides or more.

    Raises:
        UsageError: as `opened`, or for a transparent colour of 16 bits.
        Exception: whatever Pillow raises for a damaged file.
    """
    with opened(path) as image:
        size = image.size
        # JPEG decodes straight to a smaller size, much faster.
        image.draft("RGB", least)
        stored = stored_mode(image)
        # Before EXIF is asked for, which would load a PNG and hide what is wrong with it.
        image.load()
        turn, odd = _orientation(image)
        rgb, changes = _opaque_rgb(path, image, stored)
    method = _TRANSPOSED.get(turn)
    if method is not None:
        changes = (*changes, TURNED)
        rgb = rgb.transpose(method)
        size = size[::-1] if turn > max(_UPRIGHT_AXES) else size
    return Picture(image=rgb, size=size, changes=(*changes, ODD_EXIF) if odd else changes)


# Of these orientations width is width; the others lie on their side.
_UPRIGHT_AXES = (1, 2, 3, 4)


def _orientation(image: Image.Image) -> tuple[int, bool]:
    """Return the EXIF orientation, 1 where there is none, and whether EXIF could not be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Cameras write much that no rule allows; viewers show such images as is.
        return 1, True
    return (found, False) if type(found) is int and found in _TRANSPOSED else (1, False)


def stored_mode(image: Image.Image) -> str:
    """Return Pillow's name of how pixels lie in the file, such as "L;4"; gone after loading."""
    tiles = getattr(image, "tile", [])
    return str(tiles[0][3]) if tiles else ""


def _opaque_rgb(
    path: Path | Embedded, image: Image.Image, stored: str
) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the image in RGB, on white, and what that changed; ``stored`` is its stored mode."""
    changes = [FROM_16_BITS] if image.mode in _SIXTEEN or "16B" in stored else []
    if image.mode == "CMYK":
        changes.append(FROM_CMYK)
    if image.mode in _SIXTEEN:
        image = _of_eight_bits(image)
    elif "transparency" in image.info and "16B" in stored:
        raise UsageError(
            f"{shown(path)}: a transparent colour of 16 bits a channel, which cannot be told from "
            "its neighbours in 8; save it with an alpha channel"
        )
    elif "transparency" in image.info and stored in _LEVEL_STEPS:
        image.info["transparency"] *= _LEVEL_STEPS[stored]
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB"), tuple(changes)
    layered = image.convert("RGBA")
    if layered.getchannel("A").getextrema() != (255, 255):
        changes.append(ON_WHITE)
        layered = Image.alpha_composite(Image.new("RGBA", layered.size, _WHITE), layered)
    return layered.convert("RGB"), tuple(changes)


def _of_eight_bits(image: Image.Image) -> Image.Image:
    """Return grey levels up to 65,535 as levels up to 255, rounded; white where transparent."""
    levels = np.asarray(image).astype(np.uint32)
    grey = ((levels + 128) // 257).astype(np.uint8)
    if "transparency" not in image.info:
        return Image.fromarray(grey)
    alpha = np.where(levels == image.info["transparency"], 0, 255).astype(np.uint8)
    return Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha)))
