"""Pixels of a PNG or JPEG picture as a person sees it: upright, opaque, RGB of 8 bits, at one size.

It needs Pillow alone, since it goes along with every exported network (read_pictures.py), so that a
network in use sees what it saw in training, pixel by pixel.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

from PIL import ExifTags, Image, PngImagePlugin

# As in Pillow: what a quarter of a GB holds, 3 bytes a pixel.
MAX_PIXELS = 89_478_485
# The middle square of a longer one says nothing about it.
LONGEST_SIDES = 100

TURNED = "turned upright by their EXIF orientation"
ON_WHITE = "laid on white where they are transparent"
FROM_16_BITS = "of 16 bits a channel, scaled to 8"
FROM_CMYK = "of CMYK colours, converted to RGB"
ODD_EXIF = "with EXIF data that cannot be read, taken as they lie"

FORMATS = ("PNG", "JPEG")
# Grey of 16 bits, by its name in this Pillow and in earlier ones.
_SIXTEEN = ("I;16", "I")
_COLOURS = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", *_SIXTEEN})
# PNG names a transparent grey in the file's own levels, of which Pillow stretches the few to 255.
_LEVEL_STEPS = {"L;2": 85, "L;4": 17}
_WHITE = (255, 255, 255, 255)
_LEVELS = 2**16
_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Of these orientations width is width; the others lie on their side.
_UPRIGHT_AXES = (1, 2, 3, 4)


class PictureError(ValueError):
    """A picture that would not be read as it is meant; the message has the remedy."""


class Seen(NamedTuple):
    """An RGB image, the size (width, height) it has upright in its file, and what was changed."""

    image: Image.Image
    size: tuple[int, int]
    changes: tuple[str, ...]


def read_at(file: BinaryIO, height: int, width: int) -> Seen:
    """Return the middle of a picture, resized so that it just covers ``height`` x ``width``.

    Raises:
        PictureError: for a picture that would not be read as it is meant.
        Exception: whatever Pillow raises for a damaged file.
    """
    seen = upright(file, least=(2 * width, 2 * height))
    return seen._replace(image=covering(seen.image, height, width, Image.Resampling.BILINEAR))


def covering(
    image: Image.Image, height: int, width: int, resampling: Image.Resampling
) -> Image.Image:
    """Return the middle of ``image``, resized so that it just covers ``height`` x ``width``."""
    if image.size == (width, height):
        return image
    if image.width * height <= image.height * width:
        scale = width / image.width
        sides = width, max(height, round(image.height * scale))
    else:
        scale = height / image.height
        sides = max(width, round(image.width * scale)), height
    image = image.resize(sides, resampling)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


@contextmanager
def opened(file: BinaryIO, formats: tuple[str, ...] = FORMATS) -> Iterator[Image.Image]:
    """Open one still image of bounded size; a PNG's checksums are right.

    Raises:
        PictureError: for an animation, too many pixels, or sides that are too unlike.
        Exception: whatever Pillow raises for a damaged file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image: Image.Image = Image.open(file, formats=formats)
            _check_size(image)
            if isinstance(image, PngImagePlugin.PngImageFile):
                image.verify()
                # Verifying uses an image up.
                file.seek(0)
                image = Image.open(file, formats=formats)
            with image:
                _check_content(image)
                yield image
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise PictureError(f"more than {MAX_PIXELS:,} pixels; make it smaller") from error


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"{width:,} x {height:,} pixels; at most {MAX_PIXELS:,} are read. Make it smaller"
        )
    if max(width, height) > LONGEST_SIDES * min(width, height):
        raise PictureError(
            f"{width:,} x {height:,} pixels; one side is more than {LONGEST_SIDES} "
            "times the other, and only the middle square is read. Cut it yourself"
        )


def _check_content(image: Image.Image) -> None:
    if isinstance(image, PngImagePlugin.PngImageFile) and getattr(image, "n_frames", 1) > 1:
        raise PictureError(
            f"an animation of {getattr(image, 'n_frames', 1)} frames; save the "
            "frames that count as images"
        )
    if image.mode not in _COLOURS:
        raise PictureError(f"an image of mode {image.mode}; save it as RGB")
    if image.mode == "P":
        _check_palette(image)


def _check_palette(image: Image.Image) -> None:
    colours = 0 if image.palette is None else len(image.palette.palette) // 3
    (largest,) = image.getextrema()[1:]
    if not isinstance(largest, int | float) or largest >= colours:
        raise PictureError(
            f"a pixel has colour {largest} of a palette of {colours}; save it as RGB"
        )


def size_in_header(file: BinaryIO) -> tuple[int, int]:
    """Return (width, height) of a picture, by its header alone: upright as its EXIF data say.

    PNG files keep EXIF data behind the pixels, where it is not looked for.

    Raises:
        Exception: whatever Pillow raises for a damaged file, or one of too many pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(file, formats=FORMATS) as image:
            size = image.size
            jpeg = image.format == "JPEG"
            turn = _orientation(image)[0] if jpeg else 1
    return size[::-1] if turn > max(_UPRIGHT_AXES) else size


def upright(file: BinaryIO, *, least: tuple[int, int]) -> Seen:
    """Return the picture; a large JPEG is decoded at a reduced size, ``least`` sides or more.

    Raises:
        PictureError: as `opened`, or for a transparent colour of 16 bits.
        Exception: whatever Pillow raises for a damaged file.
    """
    with opened(file) as image:
        size = image.size
        # JPEG decodes straight to a smaller size, much faster.
        image.draft("RGB", least)
        stored = stored_mode(image)
        # Before EXIF is asked for, which would load a PNG and hide what is wrong with it.
        image.load()
        turn, odd = _orientation(image)
        rgb, changes = _opaque_rgb(image, stored)
    method = _TRANSPOSED.get(turn)
    if method is not None:
        changes = (*changes, TURNED)
        rgb = rgb.transpose(method)
        size = size[::-1] if turn > max(_UPRIGHT_AXES) else size
    return Seen(image=rgb, size=size, changes=(*changes, ODD_EXIF) if odd else changes)


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


def _opaque_rgb(image: Image.Image, stored: str) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the image in RGB, on white, and what that changed; ``stored`` is its stored mode."""
    changes = [FROM_16_BITS] if image.mode in _SIXTEEN or "16B" in stored else []
    if image.mode == "CMYK":
        changes.append(FROM_CMYK)
    if image.mode in _SIXTEEN:
        image = _of_eight_bits(image)
    elif "transparency" in image.info and "16B" in stored:
        raise PictureError(
            "a transparent colour of 16 bits a channel, which cannot be told from "
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
    levels = image.convert("I")
    grey = levels.point([(level + 128) // 257 for level in range(_LEVELS)], "L")
    if "transparency" not in image.info:
        return grey
    clear = image.info["transparency"]
    alpha = levels.point([0 if level == clear else 255 for level in range(_LEVELS)], "L")
    return Image.merge("LA", (grey, alpha))
