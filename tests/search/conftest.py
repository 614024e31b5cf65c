import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TINY: dict[str, Any] = {
    "name": "tiny",
    "dataset": "digits",
    "trials": {
        "growth": {
            "space": "mlp-digits",
            "budget": {"parameters": {"low": "5%", "high": "30%"}},
            "epochs": 2,
        },
        "sparse": {
            "space": "mlp-digits",
            "transform": ["none", "sparse_wide"],
            "sparsity": {"low": 0.5, "high": 0.8},
            "distribution": ["uniform", "erk"],
            "updater": ["static", "rigl"],
            "epochs": 1,
        },
    },
    "objectives": {"accuracy": "maximize", "macs": "minimize", "latency[wafer-cs2]": "minimize"},
    "search": {"trials": 4, "seed": 3, "backend": "serial"},
}


@pytest.fixture(scope="session")
def new_tiny() -> Callable[[], dict[str, Any]]:
    """Makes studies that train for a second: deterministic objectives, serial backend."""
    return lambda: copy.deepcopy(TINY)


@pytest.fixture
def tiny(new_tiny: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Such a study."""
    return new_tiny()


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return tmp_path / "run"
