"""growsearch: which network should I train for this budget on this hardware?"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from growsearch.datasets import Dataset, Images, from_tensors, from_torch
    from growsearch.pareto import Front
    from growsearch.search.study.study import Study, StudyOptions

__version__ = "0.1.0"

# Where each name lives. It is imported when it is asked for: torch and Ray take seconds.
_HOMES = {
    "Dataset": "growsearch.datasets",
    "Front": "growsearch.pareto",
    "Study": "growsearch.search.study.study",
    "StudyOptions": "growsearch.search.study.study",
    "Images": "growsearch.datasets",
    "from_tensors": "growsearch.datasets",
    "from_torch": "growsearch.datasets",
}

__all__ = [
    "Dataset",
    "Front",
    "Images",
    "Study",
    "StudyOptions",
    "__version__",
    "from_tensors",
    "from_torch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
