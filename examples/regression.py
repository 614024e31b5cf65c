"""Search networks that predict a number: python examples/regression.py [--quick]"""

import sys

from sklearn.datasets import load_diabetes

from growsearch import Study

RECIPE = {
    "optimizer": "adamw",
    "learning_rate": {"low": 0.001, "high": 0.03},
    "weight_decay": {"low": 0.0, "high": 0.1},
    "schedule": ["cosine", "one-cycle"],
    "batch_size": 32,
    "epochs": 30,
}


def diabetes():
    """Return ten measurements of 442 people (N, 10), and how ill they were a year later (N,)."""
    found = load_diabetes()
    return 20 * found.data.astype("float32"), found.target


STUDY = {
    "name": "regression",
    "dataset": diabetes,
    "task": "regression",
    "trials": {
        "growth": {
            "space": "mlp-digits",
            "budget": {"parameters": {"low": "1%", "high": "30%"}},
            "recipe": RECIPE,
        },
        "sparse": {
            "space": "mlp-digits",
            "transform": "none",
            "sparsity": {"low": 0.5, "high": 0.98},
            "distribution": ["erk", "snip"],
            "recipe": RECIPE,
        },
    },
    "objectives": {"mae": "minimize", "parameters": "minimize"},
    "constraints": {"r2": {"min": 0.0}},  # better than the mean of the training targets
    "search": {"trials": 24, "parallel": 2},
}

if __name__ == "__main__":
    if "--quick" in sys.argv:
        RECIPE["epochs"] = 5
        STUDY["constraints"] = {}
        STUDY["search"] = {"trials": 2, "backend": "serial"}
    front = Study(STUDY).run()
    print(front.to_pandas()[["mae", "parameters"]])
