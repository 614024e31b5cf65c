"""Does a search work on a cluster? Two nodes that train, one that measures, and a submitted job.

Real processes on this machine, with token authentication: `growsearch submit` sends a study with
latency[cpu] to the cluster's head, trials run on both training nodes, and every latency is measured
on the node that is kept for it. The job gets our packages from the submission, not from here.

    python benchmarks/cluster.py
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from growsearch.files import write_json

RESULTS = Path(__file__).parent / "results" / "cluster.json"
MEASURE = "growsearch_measure_cpu"


def settings(trials: int) -> dict[str, Any]:
    return {
        "name": "cluster",
        "dataset": "digits",
        "trials": {
            "sparse": {
                "space": "mlp-digits",
                "transform": "none",
                "sparsity": {"low": 0.5, "high": 0.9},
                "epochs": 1,
            }
        },
        "objectives": {"accuracy": "maximize", "latency[cpu]": "minimize"},
        "search": {"trials": trials, "parallel": 2, "seed": 1, "sampler": "random"},
    }


@contextlib.contextmanager
def cluster(temporary: Path) -> Iterator[tuple[str, str]]:
    """Start head, second node and measuring node; give the dashboard and the measuring node's id.

    This process must have the token in its environment before it imports Ray.
    """
    from ray.cluster_utils import Cluster

    port = _free_port()
    head = {
        "num_cpus": 1,
        "include_dashboard": True,
        "dashboard_host": "127.0.0.1",
        "dashboard_port": port,
        # Whose usual port another Ray of this machine may have; without it no job is taken.
        "dashboard_agent_listen_port": _free_port(),
        "temp_dir": str(temporary / "r"),
    }
    found = Cluster(initialize_head=True, head_node_args=head)
    try:
        found.add_node(num_cpus=1)
        measuring = found.add_node(num_cpus=0, resources={MEASURE: 1})
        found.wait_for_nodes()
        yield f"http://127.0.0.1:{port}", measuring.node_id
    finally:
        found.shutdown()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def submit(study: Path, address: str, out: Path, token: Path) -> subprocess.CompletedProcess[str]:
    """Run `growsearch submit` as a person would, from a shell with the token's file."""
    command = [sys.executable, "-c", "from growsearch.cli import main; main()", "submit"]
    return subprocess.run(
        [*command, str(study), "--address", address, "--out", str(out), "--python", sys.executable],
        env={**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)},
        capture_output=True,
        text=True,
        timeout=500,
    )


def tried(folder: Path, trials: int, wrong_ones: int) -> dict[str, Any]:
    """Submit a search, and before it some with a wrong token; return what came of both."""
    study, out = folder / "study.yaml", folder / "shared" / "run"
    study.write_text(yaml.safe_dump(settings(trials)))
    wrong = folder / "wrong-token"
    wrong.write_text(secrets.token_hex(32))
    with cluster(folder) as (address, measuring):
        for _ in range(wrong_ones):
            refused = submit(study, address, out, wrong)
        done = submit(study, address, out, Path(os.environ["RAY_AUTH_TOKEN_PATH"]))
    # What was refused, or failed, has no ledger.
    ledger, study_file = out / "trials.jsonl", out / "study.yaml"
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    entries = [json.loads(line)["latency"]["cpu"] for line in lines]
    resolved = yaml.safe_load(study_file.read_text()) if study_file.exists() else {}
    return {
        "exit_code": done.returncode,
        "output": (done.stdout + done.stderr).splitlines(),
        "trials": len(lines),
        "measured_on_the_measuring_node": sum(measuring[:8] in str(e["note"]) for e in entries),
        # Only a checkout has a revision: without one the packages are those that were sent.
        "git_revision": resolved.get("provenance", {}).get("git_revision"),
        "wrong_token": {"exit_code": refused.returncode, "message": refused.stderr.strip()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--refused", type=int, default=1, help="submissions with a wrong token")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gc"))
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    # Before Ray is imported: it reads them once.
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    try:
        found = tried(folder, chosen.trials, max(1, chosen.refused))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(found, indent=2))
    if found["exit_code"]:
        sys.exit("the submitted search failed; nothing was written")
    write_json(chosen.out, {key: value for key, value in found.items() if key != "output"})


if __name__ == "__main__":
    main()
