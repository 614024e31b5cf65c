"""Search networks that name several labels of an image: python examples/multi_label.py [--quick]"""

import sys

import numpy as np
from sklearn.datasets import load_digits

from growsearch import Study

LABELS = {
    "even": (0, 2, 4, 6, 8),
    "prime": (2, 3, 5, 7),
    "square": (0, 1, 4, 9),
    "with a loop": (0, 6, 8, 9),
}


def properties():
    """Return digits (N, 1, 8, 8), and which of LABELS each of them has (N, 4)."""
    found = load_digits()
    labels = np.stack([np.isin(found.target, some) for some in LABELS.values()], axis=1)
    return found.images[:, None].astype("float32") / 16, labels.astype("int64")


KIND = {
    "space": "mlp-digits",
    "recipe": {"learning_rate": 0.1, "batch_size": 64, "ema": [0.9, 0.99], "epochs": 12},
}
STUDY = {
    "name": "multi-label",
    "dataset": properties,
    "task": "multi-label",
    "trials": {
        "sparse": {
            **KIND,
            "transform": ["none", "sparse_wide"],
            "sparsity": {"low": 0.5, "high": 0.95},
            "updater": ["static", "rigl"],
        },
    },
    "objectives": {"mAP": "maximize", "macs": "minimize"},
    "search": {"trials": 16, "parallel": 2, "stop_early": {"first": 3}},
}

if __name__ == "__main__":
    if "--quick" in sys.argv:
        STUDY["search"] = {"trials": 2, "backend": "serial"}
        KIND["recipe"]["epochs"] = 6
    front = Study(STUDY).run()
    print(front.to_pandas()[["mAP", "macs"]])
