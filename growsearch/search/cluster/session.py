"""Ray session of a search: one of its own on this machine, or a cluster that is there."""

from __future__ import annotations

import logging
import os
import platform
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import optuna
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cost_models.profiling.host import host_facts
from growsearch.errors import GrowsearchError, UsageError
from growsearch.search.cluster.address import check_reachable
from growsearch.search.cluster.loopback import check_loopback, guard_token, loopback_only
from growsearch.trial.task import TrialTask

_PROBE_S = 120.0
# A node may fail to fetch what a job brings along, as when several on one machine do it at once.
# For ten seconds it then answers the same unasked.
_AGAIN_AFTER_S = (11.0, 11.0)
# On a busy machine Ray gives up after 30 s; the second time what it needs is in memory.
_STARTS = 2
_TOKEN = (
    "a cluster with token authentication needs RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH=FILE "
    "with the cluster's token in every process, this one included"
)


@contextmanager
def ray_session(cpus: int, gpus: float, address: str | None) -> Iterator[None]:
    """Start a Ray of this machine's of ``cpus`` cores, or join the one at hand.

    One of our own can be reached from this machine alone.

    Args:
        cpus: what the trials at a time take together.
        gpus: what one trial takes of a GPU; a Ray of our own sees the machine's if it is above 0.
        address: "auto" or HOST:PORT of a running cluster that this machine is a node of.

    Raises:
        UsageError: if Ray runs in this process, or the address is of another kind.
        GrowsearchError: if Ray does not start or is not there, or has no such GPU.
    """
    _quiet()
    if ray.is_initialized():
        raise UsageError("Ray runs in this process already; call ray.shutdown() first")
    with loopback_only() if address is None else nullcontext():
        if address is None:
            _start(cpus, gpus)
        else:
            _join(address)
        try:
            if address is None:
                check_loopback()
            check_gpus(gpus)
            yield
        finally:
            ray.shutdown()


def check_gpus(share: float) -> None:
    """Refuse a share of a GPU that no node has: Ray would wait for one without an end.

    Raises:
        GrowsearchError: with the remedy.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if share and not any(node["Resources"].get("GPU", 0) >= share for node in nodes):
        raise GrowsearchError(
            f"search.gpus_per_trial = {share:g}, but no node of {len(nodes)} has so much of a GPU; "
            "add one that has, or lower the value"
        )


def _start(cpus: int, gpus: float) -> None:
    # Other users of this machine reach the loopback, too: a token, which Ray makes by itself for an
    # instance of one's own, keeps them out. The dashboard, which takes jobs, is not started.
    guard_token()
    for left in reversed(range(_STARTS)):
        try:
            ray.init(
                address="local",
                num_cpus=cpus,
                num_gpus=None if gpus else 0,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except Exception as error:
            # Ray raises plain exceptions, too, such as on a machine too busy to start it in time.
            ray.shutdown()
            if left:
                continue
            raise GrowsearchError(
                f"Ray did not start: {error}. Try again, or run with --backend serial"
            ) from error
        return


def _join(address: str) -> None:
    if "://" in address:
        raise UsageError(
            f"--address {address}: a search's driver runs on a node of the cluster, with auto or "
            "HOST:PORT; to send it there from outside, use growsearch submit --address http://HEAD:8265"
        )
    check_reachable(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ConnectionError, ValueError, ray.exceptions.RayError) as error:
        reason = " ".join(str(error).split())[:400]
        raise GrowsearchError(
            f"--address {address}: no Ray cluster could be joined ({reason}). Start one with: "
            f"ray start --head; {_TOKEN}"
        ) from error


def check_nodes(task: TrialTask) -> tuple[str, ...]:
    """Ask every node that can run trials whether it sees the run's folder and the data.

    A node that dies before it answers is none: searches live through that. One that fails to run
    anything is asked again, twice.

    Returns:
        The processors of these nodes.

    Raises:
        GrowsearchError: naming the node, what it lacks and the remedy.
    """
    able = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU", 0) >= 1]
    if not able:
        raise GrowsearchError(f"the cluster has no node with a CPU; {_ADD_ONE}")
    answers = _answers(task, able)
    for wait_s in _AGAIN_AFTER_S:
        failed = [node for node, answer in answers if answer.failed]
        if not failed:
            break
        time.sleep(wait_s)
        others = [(node, answer) for node, answer in answers if not answer.failed]
        answers = others + _answers(task, failed)
    if not answers:
        raise GrowsearchError(f"the cluster has lost its nodes with a CPU; {_ADD_ONE}")
    problems = [f"{n['NodeManagerHostname']}: {a.problem}" for n, a in answers if a.problem]
    if problems:
        more = f" (and {len(problems) - 1} more nodes)" if len(problems) > 1 else ""
        raise GrowsearchError(f"node {problems[0]}{more}")
    return tuple(answer.processor for _, answer in answers)


def _answers(task: TrialTask, nodes: Sequence[Mapping[str, Any]]) -> list[_Reply]:
    """Ask nodes at once; those that are no more have no answer."""
    asked = {}
    for node in nodes:
        place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        remote = ray.remote(num_cpus=0, max_retries=0)(_describe)
        asked[remote.options(scheduling_strategy=place).remote(task)] = node
    answered, late = ray.wait(list(asked), num_returns=len(asked), timeout=_PROBE_S)
    replies = [(asked[ref], _answer(ref)) for ref in answered]
    replies += [(asked[ref], _SILENT) for ref in late]
    return [(node, answer) for node, answer in replies if answer is not None]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What keeps a node from running trials, if anything does, and its processor.

    One that ``failed`` could not even be asked.
    """

    problem: str
    processor: str = ""
    failed: bool = False


_Reply = tuple[Mapping[str, Any], _Answer]


_ADD_ONE = "add one and run again"
_SILENT = _Answer(f"no answer in {_PROBE_S:.0f} s; see Ray's logs there, or take it out")


def _describe(task: TrialTask) -> tuple[str, str]:
    return node_problem(task), host_facts()["processor"]


def _answer(ref: Any) -> _Answer | None:
    """Return what a node said, None if it is no more."""
    try:
        return _Answer(*ray.get(ref))
    except (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError):
        return None
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]
        return _Answer(
            f"growsearch does not run there ({last[:200]}); install the same version on every "
            "node, or use growsearch submit, which brings it along",
            failed=True,
        )


def node_problem(task: TrialTask) -> str:
    """Return what keeps this node from running the task's trials, or nothing."""
    if not (task.folder / "study.yaml").exists():
        return (
            f"{task.folder} is not there: a run on a cluster needs a folder that all nodes share; "
            "give one with --out"
        )
    folders = {} if task.kinds is None else task.kinds.places
    for key, folder in {"data_dir": task.data.folder, **folders}.items():
        if folder is not None and not folder.exists():
            return f"{folder} ({key}) is not there: put the data on every node, at one path"
    return ""


def check_here(task: TrialTask) -> None:
    """Raise GrowsearchError, naming this node, if it cannot run trials; nodes come and go."""
    problem = node_problem(task)
    if problem:
        raise GrowsearchError(f"node {platform.node()}: {problem}")


def _quiet() -> None:
    """Leave the terminal to our own progress line, and Ctrl-C to us."""
    # Tune would end as if all were well.
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    # A worker reports its ledger line; the searcher reads the objectives out of it.
    os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for name in ("ray", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # It shows a traceback for every worker that dies; the recorder says so in a line.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="ray.*")
