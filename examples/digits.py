"""Which network should read handwritten digits? python examples/digits.py [--quick]"""

import sys

from growsearch import Study

STUDY = {
    "name": "digits-py",
    "dataset": "digits",
    "trials": {
        "growth": {
            "space": "mlp-digits",
            "budget": {"parameters": {"low": "4%", "high": "60%"}},
            "epochs": 10,
        },
        "sparse": {"space": "mlp-digits", "transform": ["none", "sparse_wide"],
                   "sparsity": {"low": 0.5, "high": 0.95}, "epochs": 10},
    },
    "objectives": {"accuracy": "maximize", "latency[wafer-cs2]": "minimize", "macs": "minimize"},
    "search": {"trials": 12, "parallel": 2},
}  # fmt: skip

if __name__ == "__main__":
    if "--quick" in sys.argv:
        STUDY["search"] = {"trials": 2, "backend": "serial"}
    front = Study(STUDY).run()
    print(front.to_pandas())
    print(front.select({"macs": 50_000}).chosen)
