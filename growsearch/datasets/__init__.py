"""Data sets by name: one file a data set and one line here."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from growsearch.datasets import arrays, hf_disk, image_folder, mask_folder
from growsearch.datasets.augmentation import (
    AUGMENTATIONS,
    Augmentation,
    Change,
    augmentation_to_plain,
    augmentation_values,
    parse_augmentation,
)
from growsearch.datasets.augmenting import with_augmentation
from growsearch.datasets.checking.arrays import Images
from growsearch.datasets.dataset import (
    UNLABELLED,
    Dataset,
    LabelKind,
    Loader,
    LoaderWithKeys,
    Split,
    labels_are,
)
from growsearch.datasets.from_tensors import content_hash, from_tensors
from growsearch.datasets.keys import NO_KEYS, DataKeys
from growsearch.datasets.known import cifar10, cifar100, digits, fashion_mnist
from growsearch.datasets.known.cifar100 import load_cifar100_test
from growsearch.datasets.normalisation import Normalisation
from growsearch.datasets.own import as_dataset, code_of, load_own
from growsearch.datasets.reading.boundary import reading, shown
from growsearch.datasets.report import DataReport
from growsearch.datasets.stratified import subset
from growsearch.datasets.streams.from_torch import from_torch, loaded_by
from growsearch.datasets.streams.loading import Loading
from growsearch.datasets.summary import summary_lines
from growsearch.datasets.task_choice import BY_LABELS, TaskChoice
from growsearch.datasets.tasks import for_task
from growsearch.datasets.texts import ptb
from growsearch.datasets.texts.text_windows import load_ptb, text_windows
from growsearch.datasets.texts.tokens import TokenDataset, TokenLoader, streams, windows
from growsearch.errors import UsageError
from search_spaces.user_code import is_own

DATASETS: dict[str, Loader] = {
    "digits": digits.load,
    "cifar10": cifar10.load,
    "cifar100": cifar100.load,
    "fashion-mnist": fashion_mnist.load,
    "image-folder": image_folder.load,
    "hf-disk": hf_disk.load,
    "mask-folder": mask_folder.load,
    "arrays": arrays.load,
    "ptb": load_ptb,
}

# These come with a library, and take no folder.
BUNDLED = frozenset({"digits"})

# The name of streamed data that a study in Python has as an object.
GIVEN = "given"

DESCRIPTIONS: dict[str, str] = {
    "digits": "1,797 handwritten digits of 8 x 8, bundled with scikit-learn",
    "cifar10": "60,000 colour images of 32 x 32, 10 classes; needs data_dir",
    "cifar100": "60,000 colour images of 32 x 32, 100 classes; needs data_dir",
    "fashion-mnist": "70,000 grey images of 28 x 28, 10 classes; needs data_dir",
    "image-folder": "your own PNG or JPEG images, a folder a class, of any number; needs data_dir",
    "hf-disk": "images that Hugging Face's datasets saved to disk; needs data_dir and [hf]",
    "mask-folder": "your own images with a class a pixel (PNG masks), at 64 x 64; needs data_dir",
    "arrays": "your own inputs and labels, data.npz or data.safetensors; needs data_dir",
    "ptb": "Penn Treebank, 929,589 words to predict the next of; needs data_dir",
}

TOKEN_DATASETS: dict[str, TokenLoader] = {
    "ptb": ptb.load,
}


# Those of them that a study's data section has keys for, beside the workers.
WITH_KEYS: dict[str, LoaderWithKeys] = {
    "image-folder": image_folder.load,
    "hf-disk": hf_disk.load,
}


def load_dataset(
    name: str,
    data_dir: Path | None = None,
    task: TaskChoice = BY_LABELS,
    *,
    keys: DataKeys | None = None,
) -> Dataset:
    """Load a data set by name: one of DATASETS, or of own code, "module:attribute".

    A name may end in "@hash", as `pinned_dataset` gives it; then the data must be the same. One
    that was read in a run is first checked; see `search_spaces.code_origin`. ``task`` says what
    labels are that a file of arrays, or a pair from own code, leaves open. ``keys`` are of those in
    WITH_KEYS.

    Raises:
        UsageError: for an unknown name (the valid ones are listed), a folder that is not there or
            data that has changed.
    """
    plain, _, wanted = name.partition("@")
    check_dataset_name(plain)
    if plain == GIVEN:
        raise UsageError(
            "dataset: the data of this study are an object in Python, which no file names; run it "
            "from the script that makes it, or write dataset: MODULE:ATTRIBUTE"
        )
    with _whatever_is_there(plain, data_dir):
        _check_folder(plain, data_dir)
        dataset = for_task(_loaded(plain, data_dir, task, keys), task)
    content = wanted.partition("-")[0]
    if content and content_hash(dataset) != content:
        raise UsageError(
            f"dataset: {plain} holds other data than it did ({content} then, "
            f"{content_hash(dataset)} now); restore it, or start anew with --fresh"
        )
    return dataset


def _loaded(name: str, data_dir: Path | None, task: TaskChoice, keys: DataKeys | None) -> Dataset:
    if is_own(name):
        return load_own(name, data_dir, task)
    if name == "arrays":
        return arrays.load(data_dir, task)
    if name == "hf-disk":
        return hf_disk.load(data_dir, keys or NO_KEYS, task)
    if keys is not None and name in WITH_KEYS:
        return WITH_KEYS[name](data_dir, keys)
    return DATASETS[name](data_dir)


def load_beside(name: str, data_dir: Path | None) -> Dataset:
    """Load a data set from the folder of another one; what has none takes no folder.

    Raises:
        UsageError: as `load_dataset`.
    """
    return load_dataset(name, None if name in BUNDLED else data_dir)


def check_dataset_name(name: str) -> None:
    """Refuse a name that `load_dataset` does not know; nothing is loaded.

    Raises:
        UsageError: listing the valid names.
    """
    plain = name.partition("@")[0]
    if plain not in (*DATASETS, GIVEN) and not is_own(plain):
        raise UsageError(
            f"dataset: unknown {plain!r}; valid: {', '.join(sorted(DATASETS))}, or your own as "
            "MODULE:ATTRIBUTE"
        )


def pinned_dataset(name: str, dataset: Dataset) -> str:
    """Return the name of a person's own data with the hash of its content; others as they are.

    Where a function makes the data, the hash of its code comes after it: "my_data:load@DATA-CODE".
    """
    plain = name.partition("@")[0]
    if not is_own(plain) and plain not in ("arrays", GIVEN):
        return name
    code = code_of(plain) if is_own(plain) else ""
    return f"{plain}@{content_hash(dataset)}" + (f"-{code}" if code else "")


def same_dataset(one: object, other: object) -> bool:
    """Tell whether two names mean the same data, whatever code made it."""
    return _without_code(str(one)) == _without_code(str(other))


def _without_code(name: str) -> str:
    """Return a name as `pinned_dataset` gives it, without the hash of code."""
    plain, at, hashes = name.partition("@")
    return plain + at + hashes.partition("-")[0]


def load_token_dataset(name: str, data_dir: Path | None = None) -> TokenDataset:
    """Load a text data set by name.

    Raises:
        UsageError: for an unknown name (the valid ones are listed) or a folder that is not there.
    """
    if name not in TOKEN_DATASETS:
        raise UsageError(f"dataset: unknown {name!r}; valid: {', '.join(sorted(TOKEN_DATASETS))}")
    with _whatever_is_there(name, data_dir):
        _check_folder(name, data_dir)
        return TOKEN_DATASETS[name](data_dir)


def _whatever_is_there(name: str, data_dir: Path | None) -> AbstractContextManager[None]:
    """Every reader has a boundary of its own that names the file; this one is around them all."""
    place = "dataset" if data_dir is None else f"data_dir: {data_dir}"
    return reading(place, f"{name} cannot be read", "look at what lies there")


def _check_folder(name: str, data_dir: Path | None) -> None:
    if data_dir is None:
        return
    remedy = f"give the folder that holds {name}"
    try:
        folder = data_dir.is_dir()
    except OSError as error:
        raise UsageError(f"data_dir: {shown(data_dir)}: {error.strerror}; {remedy}") from error
    if not folder:
        raise UsageError(f"data_dir: {shown(data_dir)} is not a folder; {remedy}")


__all__ = [
    "AUGMENTATIONS",
    "BUNDLED",
    "BY_LABELS",
    "DATASETS",
    "DESCRIPTIONS",
    "GIVEN",
    "NO_KEYS",
    "TOKEN_DATASETS",
    "UNLABELLED",
    "WITH_KEYS",
    "Augmentation",
    "Change",
    "DataKeys",
    "DataReport",
    "Dataset",
    "Images",
    "LabelKind",
    "Loader",
    "Loading",
    "Normalisation",
    "Split",
    "TaskChoice",
    "TokenDataset",
    "TokenLoader",
    "as_dataset",
    "augmentation_to_plain",
    "augmentation_values",
    "check_dataset_name",
    "content_hash",
    "for_task",
    "from_tensors",
    "from_torch",
    "labels_are",
    "load_beside",
    "load_cifar100_test",
    "load_dataset",
    "load_token_dataset",
    "loaded_by",
    "parse_augmentation",
    "pinned_dataset",
    "same_dataset",
    "streams",
    "subset",
    "summary_lines",
    "text_windows",
    "windows",
    "with_augmentation",
]
