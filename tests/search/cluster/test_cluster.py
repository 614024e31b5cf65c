"""A search on a cluster, for real: nodes of this machine, tokens, a submitted job."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "cluster.py"

# Minutes of Ray nodes on one machine: `make test-cluster`.
on_a_cluster = pytest.mark.skipif(
    os.environ.get("GROWSEARCH_CLUSTER_TESTS") != "1",
    reason="starts clusters for minutes: GROWSEARCH_CLUSTER_TESTS is not 1 (make test-cluster)",
)

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray"), on_a_cluster]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if importlib.util.find_spec("aiohttp") is None:
        pytest.skip("ray[default] is not installed: pip install 'growsearch[cluster]'")
    out = tmp_path_factory.mktemp("cluster") / "cluster.json"
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--trials", "2", "--out", str(out)],
        env={k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {**json.loads(out.read_text()), "shown": done.stdout}


def test_a_submitted_search_runs_to_its_end_with_the_packages_that_were_sent(
    found: dict[str, Any],
) -> None:
    assert found["exit_code"] == 0, found["shown"]
    assert found["trials"] == 2
    assert found["git_revision"] is None


def test_every_latency_is_measured_on_the_node_that_is_kept_for_it(found: dict[str, Any]) -> None:
    assert found["measured_on_the_measuring_node"] == found["trials"] == 2


def test_a_wrong_token_is_refused_and_the_message_says_what_to_set(found: dict[str, Any]) -> None:
    assert found["wrong_token"]["exit_code"] == 1
    assert "RAY_AUTH_TOKEN_PATH" in found["wrong_token"]["message"]
    assert "Traceback" not in found["wrong_token"]["message"]
