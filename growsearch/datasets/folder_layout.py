"""Layout of image folders: which files are whose examples, before any of them is read."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from growsearch.datasets.keys import USUAL_SHARE, DataKeys, held_out_count, share_in_words
from growsearch.datasets.raw_images import check_counts
from growsearch.datasets.reading.boundary import shown
from growsearch.datasets.reading.image_files import (
    HIDDEN,
    NO_IMAGE,
    folder_above,
    image_files,
    is_image,
    is_left_behind,
)
from growsearch.datasets.stratified import check_classes_left, stratified_choice
from growsearch.errors import UsageError

EXPECTED = (
    "Expected: data_dir/train/CLASS/*.png and data_dir/val/CLASS/*.png (or .jpg, .jpeg), or "
    "data_dir/CLASS/*.png with layout: classes"
)
_NAME = "image-folder"
_TRAIN = "train"
_VALIDATIONS = ("val", "validation")
_PARTS = (_TRAIN, *_VALIDATIONS, "test")
_LOOP = "a link to a folder above it"
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Image files with the number of the class (N,) of each."""

    paths: tuple[Path, ...]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.paths)

    def at(self, places: Tensor) -> Files:
        """Return the files at ``places``."""
        return Files(
            paths=tuple(self.paths[place] for place in places.tolist()), labels=self.labels[places]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderLayout:
    """The files of each split; classes in order; what is left out, and what is worth knowing."""

    classes: tuple[str, ...]
    train: Files
    validation: Files
    test: Files
    skipped: tuple[tuple[str, Path], ...]
    notes: tuple[str, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """All files."""
        return (*self.train.paths, *self.validation.paths, *self.test.paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The images of one folder of classes, and (reason, path) of what is left out."""

    folder: Path
    images: dict[str, tuple[Path, ...]]
    skipped: tuple[tuple[str, Path], ...]

    def files(self, classes: tuple[str, ...]) -> Files:
        found = [(p, n) for n, name in enumerate(classes) for p in self.images.get(name, ())]
        labels = torch.tensor([number for _, number in found], dtype=torch.long)
        return Files(paths=tuple(path for path, _ in found), labels=labels)


def layout_of(data_dir: Path, keys: DataKeys) -> FolderLayout:
    """Look through the folders of a data set; see `DataKeys`.

    Raises:
        UsageError: if a folder is missing or empty, has a class that is not trained on or images
            where they would be left out, or there are fewer than two classes.
    """
    flat = keys.layout == "classes" or (keys.layout is None and _is_flat(data_dir))
    held = _shares_of_all(keys) if flat else _places(data_dir, keys)
    folders = {part: place for part, place in held.items() if isinstance(place, str)}
    train = _part(data_dir if flat else data_dir / _TRAIN, data_dir)
    others = {part: _part(data_dir / name, data_dir) for part, name in folders.items()}
    _check_classes(train, others)
    _check_apart([train, *others.values()])
    classes = tuple(sorted(train.images))
    whole = train.files(classes)
    files = {part: other.files(classes) for part, other in others.items()}
    shares = {part: share for part, share in held.items() if isinstance(share, float)}
    rest, taken = _held_out(whole, shares)
    files |= taken
    used = {_TRAIN, *folders.values()}
    beside = [] if flat else [p for p in sorted(data_dir.iterdir()) if p.name not in used]
    names = " and ".join(sorted(used, key=_order))
    return FolderLayout(
        classes=classes,
        train=rest,
        validation=files["validation"],
        test=files["test"],
        skipped=(
            *train.skipped,
            *(entry for other in others.values() for entry in other.skipped),
            *((f"beside {names}", path) for path in beside),
        ),
        notes=(_told(held, flat=flat), *_lacking(train, others)),
    )


def _order(name: str) -> tuple[int, str]:
    return (_PARTS.index(name) if name in _PARTS else len(_PARTS), name)


def _is_flat(data_dir: Path) -> bool:
    """Are there class folders, and none of the names that stand for splits?"""
    names = {p.name for p in data_dir.iterdir() if p.is_dir() and not is_left_behind(p.name)}
    return len(names) > 1 and not names.intersection(_PARTS)


def _shares_of_all(keys: DataKeys) -> dict[str, float | str]:
    held: dict[str, float | str] = {}
    for part, value in (("test", keys.test), ("validation", keys.validation)):
        if isinstance(value, str):
            raise UsageError(
                f"data.{part} = {value!r}: with layout: classes there is one folder a class, and "
                "no other; give a share of them such as 10%"
            )
        held[part] = USUAL_SHARE if value is None else value
    return held


def _places(data_dir: Path, keys: DataKeys) -> dict[str, float | str]:
    """Return where each split comes from: a folder's name, or a share of train/."""
    there = [name for name in _PARTS[1:] if (data_dir / name).is_dir()]
    validation, test = keys.validation, keys.test
    if test is None:
        # With one folder beside train/, that one is the test, as it is ImageNet's.
        free = [name for name in reversed(there) if name != validation]
        test = free[0] if free else "val"
    if validation is None:
        free = [name for name in there if name != test and name in _VALIDATIONS]
        validation = free[0] if free else USUAL_SHARE
    if validation == test and isinstance(test, str):
        raise UsageError(
            f"data.validation and data.test = {test!r}: a search would be judged by what it is "
            "reported on; give two folders, or a share of train such as 10%"
        )
    for key, value in (("validation", validation), ("test", test)):
        if value == _TRAIN:
            raise UsageError(f"data.{key} = 'train': that is learned; give a share of it, or more")
    return {"test": test, "validation": validation}


def _held_out(whole: Files, shares: Mapping[str, float]) -> tuple[Files, dict[str, Files]]:
    """Hold out shares of ``whole``, stratified and always the same; return the rest first."""
    left, taken = torch.arange(len(whole)), {}
    for part, share in shares.items():
        count = held_out_count(part, share, len(whole))
        if count >= len(left):
            raise UsageError(
                f"data.{part} = {share_in_words(share)}: nothing would be left to train on; "
                "give a smaller one"
            )
        chosen = stratified_choice(whole.labels[left], count, seed=_SEED)
        taken[part] = whole.at(left[chosen])
        kept = torch.ones(len(left), dtype=torch.bool)
        kept[chosen] = False
        left = left[kept]
    check_classes_left(_NAME, whole.labels[left], whole.labels)
    return whole.at(left), taken


def _told(held: Mapping[str, float | str], *, flat: bool) -> str:
    def place(part: str) -> str:
        value = held[part]
        return f"{value}/" if isinstance(value, str) else f"{share_in_words(value)} of {source}"

    source = "all" if flat else "train/"
    return f"validation is {place('validation')}, the test {place('test')}"


def _part(folder: Path, data_dir: Path) -> _Part:
    """Look through one folder of class folders; nothing is read yet."""
    if not folder.is_dir():
        raise UsageError(f"data_dir: {shown(folder)} is missing{_found(data_dir)}. {EXPECTED}")
    images: dict[str, tuple[Path, ...]] = {}
    skipped: list[tuple[str, Path]] = []
    for path in sorted(folder.iterdir()):
        reason = _why_no_class(path)
        if reason is not None:
            skipped.append((reason, path))
            continue
        content = image_files(path)
        images[path.name] = content.images
        skipped.extend(content.skipped)
    if not images:
        raise UsageError(
            f"data_dir: {shown(folder)} has no class folders{_found(folder)}. {EXPECTED}"
        )
    return _Part(folder=folder, images=images, skipped=tuple(skipped))


def _why_no_class(path: Path) -> str | None:
    if is_left_behind(path.name):
        return HIDDEN
    if not path.is_dir():
        if is_image(path):
            raise UsageError(
                f"{shown(path)}: an image beside the class folders; move it into its class. "
                f"{EXPECTED}"
            )
        return NO_IMAGE
    return _LOOP if folder_above(path) else None


def _found(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())[:10] if folder.is_dir() else []
    return f" (found there: {', '.join(map(shown, names))})" if names else ""


def _alike(unknown: Iterable[str], known: Iterable[str]) -> str:
    """Return which names look like one of the training classes, and are written in another way."""
    looks = {_look(name): name for name in known}
    pairs = [(name, looks[_look(name)]) for name in unknown if _look(name) in looks]
    if not pairs:
        return ""
    told = "; ".join(f"{name!a} there, {twin!a} in training" for name, twin in pairs)
    return f" (they look alike and are not written alike: {told}; rename one of the folders)"


def _look(name: str) -> str:
    """Return a name without what cannot be seen, or hardly: composition, spaces, capitals."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def _check_classes(train: _Part, others: Mapping[str, _Part]) -> None:
    for other in others.values():
        unknown = set(other.images) - set(train.images)
        if unknown:
            names = ", ".join(map(shown, sorted(unknown)))
            raise UsageError(
                f"{shown(other.folder)}: no training images of {names}"
                f"{_alike(sorted(unknown), train.images)}"
            )
    empty = sorted(name for name, paths in train.images.items() if not paths)
    if empty:
        names = ", ".join(map(shown, empty))
        raise UsageError(
            f"{shown(train.folder)}: no images of class {names}, which would be "
            "counted all the same; add PNG or JPEG images, or remove the folder"
        )
    count = sum(map(len, train.images.values()))
    for part in ("test", "validation"):
        images = others[part].images.values() if part in others else None
        check_counts(_NAME, count, 1 if images is None else sum(map(len, images)), part)
    if len(train.images) == 1:
        raise UsageError(
            f"{shown(train.folder)}: one class, {shown(*train.images)}, can teach nothing; "
            f"give at least two. {EXPECTED}"
        )


def _check_apart(parts: list[_Part]) -> None:
    """Refuse one folder under two names: one image would have two classes, or test what it taught.

    Raises:
        UsageError: naming both.
    """
    known: dict[Path, Path] = {}
    for part in parts:
        for path in sorted(part.folder.iterdir()):
            if not path.is_dir() or is_left_behind(path.name) or folder_above(path):
                continue
            place = path.resolve()
            if place in known:
                raise UsageError(
                    f"{shown(path)} is a link to {shown(known[place])}; give each a folder of "
                    "its own"
                )
            known[place] = path


def _lacking(train: _Part, others: Mapping[str, _Part]) -> list[str]:
    notes = []
    for other in others.values():
        names = sorted(name for name in train.images if not other.images.get(name))
        if names:
            notes.append(f"{other.folder.name} has no images of {', '.join(map(shown, names))}")
    return notes
