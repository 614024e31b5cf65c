"""Which nodes may run trials? They are asked, and asked again where they could not answer."""

from pathlib import Path
from typing import Any

import pytest
import ray

from growsearch.errors import GrowsearchError
from growsearch.kinds import DataChoice
from growsearch.search.cluster import session
from growsearch.trial.task import TrialTask

NODES = [
    {"NodeID": name, "NodeManagerHostname": name, "Alive": True, "Resources": {"CPU": 1}}
    for name in ("a", "b")
]
FINE = session._Answer("", "Abacus 9")
FAILED = session._Answer("growsearch does not run there (OSError: no package)", failed=True)
LACKS = session._Answer("/data (data_dir) is not there")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Nodes that answer as planned, round by round; returns who was asked and how long it took."""
    done: list[Any] = []

    def plan(*rounds: dict[str, session._Answer]) -> list[Any]:
        left = list(rounds)

        def answers(_task: TrialTask, nodes: list[dict[str, Any]]) -> list[Any]:
            done.append([node["NodeID"] for node in nodes])
            found = left.pop(0)
            return [(node, found[node["NodeID"]]) for node in nodes if node["NodeID"] in found]

        monkeypatch.setattr(session, "_answers", answers)
        return done

    monkeypatch.setattr(ray, "nodes", lambda: NODES)
    monkeypatch.setattr(session.time, "sleep", done.append)
    return plan


TASK = TrialTask(data=DataChoice(name="digits"), devices=(), folder=Path("run"))


def test_a_node_that_could_not_fetch_what_it_needs_is_asked_again_alone(asked: Any) -> None:
    done = asked({"a": FINE, "b": FAILED}, {"b": FINE})
    assert session.check_nodes(TASK) == ("Abacus 9", "Abacus 9")
    # Ray keeps its failure for ten seconds.
    assert done == [["a", "b"], 11.0, ["b"]]


def test_a_node_that_fails_three_times_is_named_with_the_reason(asked: Any) -> None:
    done = asked({"a": FINE, "b": FAILED}, {"b": FAILED}, {"b": FAILED})
    with pytest.raises(GrowsearchError, match=r"node b: growsearch does not run there .*package"):
        session.check_nodes(TASK)
    assert done == [["a", "b"], 11.0, ["b"], 11.0, ["b"]]


def test_a_node_that_says_what_it_lacks_or_is_no_more_is_not_asked_again(asked: Any) -> None:
    done = asked({"a": FINE, "b": LACKS})
    with pytest.raises(GrowsearchError, match=r"node b: /data \(data_dir\) is not there"):
        session.check_nodes(TASK)
    assert done == [["a", "b"]]
    asked({"a": FINE})
    assert session.check_nodes(TASK) == ("Abacus 9",)
    asked({"a": FAILED, "b": FINE}, {})
    assert session.check_nodes(TASK) == ("Abacus 9",)
