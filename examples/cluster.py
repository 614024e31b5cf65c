"""The same search on a Ray cluster, from one of its nodes.

ray start --head                            # on the head
ray start --address=HEAD:6379               # on every other node
python examples/cluster.py auto /shared/runs/digits    # a folder that all nodes share
"""

import sys

from growsearch import Study, StudyOptions

STUDY = {
    "name": "digits-cluster",
    "dataset": "digits",
    "trials": {
        "growth": {
            "space": "mlp-digits",
            "budget": {"parameters": {"low": "4%", "high": "60%"}},
            "epochs": 10,
        }
    },
    "objectives": {"accuracy": "maximize", "macs": "minimize"},
    "search": {"trials": 16, "parallel": 8},
}

if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    address, folder = sys.argv[1:]
    if address == "none":  # a dry run on this machine, to see that the study is right
        STUDY["search"] = {"trials": 1, "backend": "serial"}
        front = Study(STUDY, folder).run()
    else:
        front = Study(STUDY, folder).run(StudyOptions(address=address))
    print(front.to_pandas())
