"""Which data can be trained on? One file a data set and one line here."""

from __future__ import annotations

from pathlib import Path

from growsearch.datasets import digits
from growsearch.datasets.dataset import Dataset, Loader, Split
from growsearch.errors import UsageError

DATASETS: dict[str, Loader] = {
    "digits": digits.load,
}

DESCRIPTIONS: dict[str, str] = {
    "digits": "1,797 handwritten digits of 8 x 8, bundled with scikit-learn",
}


def load_dataset(name: str, data_dir: Path | None = None) -> Dataset:
    """Load a data set by name.

    Raises:
        UsageError: for an unknown name (the valid ones are listed) or a folder that is not there.
    """
    if name not in DATASETS:
        raise UsageError(f"dataset: unknown {name!r}; valid: {', '.join(sorted(DATASETS))}")
    if data_dir is not None and not data_dir.is_dir():
        raise UsageError(f"data_dir: {data_dir} is not a folder; give the folder that holds {name}")
    return DATASETS[name](data_dir)


__all__ = ["DATASETS", "DESCRIPTIONS", "Dataset", "Loader", "Split", "load_dataset"]
