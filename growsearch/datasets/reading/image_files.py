"""Image files of one folder: which are read, which are left out, and which may not be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from growsearch.datasets.reading.boundary import shown
from growsearch.datasets.reading.regular_file import kind_of
from growsearch.errors import UsageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif")

# Images all the same, which a folder is not read without.
_OTHER_IMAGES = re.compile(
    r"\.(apng|avif|bmp|cr2|cr3|cur|dcm|dds|dib|dng|eps|exr|fits|gif|hdr|heic|heif|hif|icns|ico|j2k|jp2|"
    r"jpf|jpx|jxl|nef|nii|orf|pbm|pcx|pfm|pgm|pnm|ppm|psd|qoi|raw|sgi|svg|tga|tif|tiff|webp|xbm|xpm)"
)
# What operating systems and tools leave between a person's files, beside all hidden ones.
_LEFT_BEHIND = frozenset(
    {
        "__macosx",
        "__pycache__",
        "@eadir",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
    }
)
HIDDEN = "hidden, or left by an operating system"
NO_IMAGE = "no image"
EMPTY_FOLDER = "a folder without images"
_LOOP = "a link to a folder above it"
_DANGLING = "a link that leads nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderOfImages:
    """Image files, in an order that no file system changes; (reason, path) of what is left out."""

    images: tuple[Path, ...]
    skipped: tuple[tuple[str, Path], ...]


def image_files(folder: Path) -> FolderOfImages:
    """Return the PNG and JPEG files that lie in ``folder`` itself.

    Raises:
        UsageError: for images of another format, images in folders below, and what has an image's
            name and is no regular file: nobody means to leave those out.
        OSError: if the folder cannot be listed.
    """
    images, other, below = [], [], []
    skipped: list[tuple[str, Path]] = []
    for path in sorted(folder.iterdir()):
        reason = _why_not(path)
        if reason is None:
            images.append(path)
        elif reason == NO_IMAGE and _OTHER_IMAGES.fullmatch(path.suffix.lower()):
            other.append(path)
        elif reason == EMPTY_FOLDER and (deeper := _images_below(path)):
            below.extend(deeper)
        else:
            skipped.append((reason, path))
    if other:
        raise _unread(folder, other)
    if below:
        raise UsageError(
            f"{shown(folder)}: {_some(below)} in folders below it, which are not read (the first: "
            f"{shown(below[0])}); move them into {shown(folder.name)} itself, or elsewhere"
        )
    return FolderOfImages(images=tuple(images), skipped=tuple(skipped))


def is_left_behind(name: str) -> bool:
    """Is this a hidden file or folder, or one that a system leaves between a person's own?"""
    return name.startswith(".") or name.lower() in _LEFT_BEHIND


def is_image(path: Path) -> bool:
    """Has the file an image's name, whether its format is read or not?"""
    suffix = path.suffix.lower()
    return suffix in SUFFIXES or _OTHER_IMAGES.fullmatch(suffix) is not None


def folder_above(path: Path) -> bool:
    """Is ``path`` a link to a folder that it lies in?"""
    return path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())


def _why_not(path: Path) -> str | None:
    """Return why a file or folder is not read; None for an image.

    Raises:
        UsageError: for what has an image's name and is neither a file nor a folder.
    """
    if is_left_behind(path.name):
        return HIDDEN
    if path.is_dir():
        return _LOOP if folder_above(path) else EMPTY_FOLDER
    if path.is_file():
        return None if path.suffix.lower() in SUFFIXES else NO_IMAGE
    kind = kind_of(path.stat().st_mode) if path.exists() else _DANGLING
    if is_image(path):
        raise UsageError(f"{shown(path)}: {kind}, where an image is due; remove it")
    return kind


# Enough to say how many; a tree may be endless.
_MAX_LOOKED_AT = 10_000


def _images_below(folder: Path) -> list[Path]:
    """Return the images among the first 10,000 files below ``folder``; links are not followed."""
    return [path for path in islice(_files_below(folder), _MAX_LOOKED_AT) if is_image(path)]


def _files_below(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_left_behind(name))
        yield from (Path(root) / name for name in sorted(names) if not is_left_behind(name))


def _unread(folder: Path, files: list[Path]) -> UsageError:
    kinds = ", ".join(sorted({shown(path.suffix.lower()) for path in files}))
    return UsageError(
        f"{shown(folder)}: {_some(files)} of {kinds}, which are not read (the first: "
        f"{shown(files[0].name)}); save them as PNG or JPEG, or move them elsewhere"
    )


def _some(files: list[Path]) -> str:
    return "1 image" if len(files) == 1 else f"{len(files):,} images"
