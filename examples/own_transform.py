"""Search with a transform of your own: python examples/own_transform.py [--quick]"""

import sys

from growsearch import Study
from growsearch.transforms import Expansion, ExpansionRequest, draw_weights, sparse_names
from search_spaces import channel_groups, resize


def wide_end(request: ExpansionRequest) -> Expansion:
    """Widen the last channel group alone, by 1/(1-s); zeros bring the MACs back to the dense."""
    last = channel_groups(request.module)[-1]
    resize(request.module, {last.name: round(last.size * request.expansion)})
    draw_weights(request.module)
    return Expansion(module=request.module, sparse=sparse_names(request))


STUDY = {
    "name": "own-transform",
    "dataset": "digits",
    "trials": {
        "sparse": {
            "space": "mlp-digits",
            "transform": [wide_end, "sparse_wide"],
            "sparsity": {"low": 0.5, "high": 0.9},
            "epochs": 8,
        }
    },
    "objectives": {"accuracy": "maximize", "latency[wafer-cs2]": "minimize"},
    "search": {"trials": 8, "parallel": 2},
}

if __name__ == "__main__":
    if "--quick" in sys.argv:
        STUDY["search"] = {"trials": 2, "backend": "serial"}
    front = Study(STUDY).run()
    print(front.to_pandas())
