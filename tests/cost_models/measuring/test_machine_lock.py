import multiprocessing
import os
import signal
import threading
from pathlib import Path

import pytest

from cost_models import CostModelError, MachineLock
from cost_models.measuring import machine_lock

# Python 3.12 warns of forking beside threads; these children only lock files.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

FORK = multiprocessing.get_context("fork")
PATIENCE_S = 20.0  # only a hang takes this long


def child(work, *arguments):
    process = FORK.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def _step_and_tell(folder: Path, entered) -> None:
    with MachineLock(folder).step():
        entered.set()


def _step_in_a_loop(folder: Path, stop, started) -> None:
    lock = MachineLock(folder)
    while not stop.is_set():
        with lock.step():
            started.set()


def _hold(folder: Path, kind: str, held) -> None:
    with getattr(MachineLock(folder), kind)():
        held.set()
        signal.pause()


def test_no_training_step_begins_while_somebody_measures(tmp_path):
    entered = FORK.Event()
    with MachineLock(tmp_path).exclusive():
        process = child(_step_and_tell, tmp_path, entered)
        assert not entered.wait(0.3)
    assert entered.wait(PATIENCE_S)
    process.join(PATIENCE_S)
    assert process.exitcode == 0


def test_a_step_may_be_left_to_measure_and_is_taken_up_again(tmp_path):
    lock = MachineLock(tmp_path)
    with lock.shared(), lock.shared():
        with lock.released(), lock.exclusive():
            pass
        with pytest.raises(CostModelError, match="inside a shared"), lock.exclusive():
            pass
    with lock.released(), lock.exclusive():
        pass


def test_others_measure_while_a_step_is_left(tmp_path):
    measured = FORK.Event()

    def measure() -> None:
        with MachineLock(tmp_path).exclusive():
            measured.set()

    lock = MachineLock(tmp_path)
    with lock.shared():
        process = child(measure)
        assert not measured.wait(0.3)
        with lock.released():
            assert measured.wait(PATIENCE_S)
    process.join(PATIENCE_S)
    assert process.exitcode == 0


def test_a_measurer_waits_for_the_step_that_runs(tmp_path):
    lock, measured = MachineLock(tmp_path), threading.Event()

    def measure() -> None:
        with lock.exclusive():
            measured.set()

    with lock.step():
        thread = threading.Thread(target=measure)
        thread.start()
        assert not measured.wait(0.2)
    assert measured.wait(PATIENCE_S)
    thread.join(PATIENCE_S)


def test_a_measurer_is_not_starved_by_two_busy_trainers(tmp_path):
    stop, started = FORK.Event(), [FORK.Event(), FORK.Event()]
    processes = [child(_step_in_a_loop, tmp_path, stop, event) for event in started]
    assert all(event.wait(PATIENCE_S) for event in started)
    turns, done = [], threading.Event()

    def measure() -> None:
        for _ in range(5):
            with MachineLock(tmp_path).exclusive():
                turns.append(1)
        done.set()

    threading.Thread(target=measure, daemon=True).start()
    finished = done.wait(PATIENCE_S)
    stop.set()
    for process in processes:
        process.join(PATIENCE_S)
    assert finished
    assert len(turns) == 5


@pytest.mark.parametrize("kind", ["shared", "exclusive"])
def test_a_holder_that_is_killed_releases_the_lock(tmp_path, kind):
    held, free = FORK.Event(), threading.Event()
    process = child(_hold, tmp_path, kind, held)
    assert held.wait(PATIENCE_S)
    process.kill()
    process.join(PATIENCE_S)

    def measure() -> None:
        with MachineLock(tmp_path).exclusive():
            free.set()

    threading.Thread(target=measure, daemon=True).start()
    assert free.wait(PATIENCE_S)


def test_steps_of_different_processes_run_side_by_side(tmp_path):
    entered = FORK.Event()
    with MachineLock(tmp_path).step():
        process = child(_step_and_tell, tmp_path, entered)
        assert entered.wait(PATIENCE_S)
    process.join(PATIENCE_S)
    assert process.exitcode == 0


def test_two_threads_of_one_instance_do_not_release_each_others_step(tmp_path):
    lock = MachineLock(tmp_path)
    left, measured = threading.Event(), threading.Event()

    def step() -> None:
        with lock.step():
            pass
        left.set()

    def measure() -> None:
        with lock.exclusive():
            measured.set()

    with lock.step():
        threading.Thread(target=step, daemon=True).start()
        assert left.wait(PATIENCE_S)
        threading.Thread(target=measure, daemon=True).start()
        assert not measured.wait(0.2)
    assert measured.wait(PATIENCE_S)


def _hold_and_fork(folder: Path, survivor, held) -> None:
    with MachineLock(folder).step():
        process = os.fork()
        if process:
            survivor.value = process
            held.set()
        signal.pause()


def test_a_child_forked_inside_a_step_does_not_keep_it_open_for_its_dead_parent(tmp_path):
    survivor, held, free = FORK.Value("i", 0), FORK.Event(), threading.Event()
    process = child(_hold_and_fork, tmp_path, survivor, held)
    assert held.wait(PATIENCE_S)
    process.kill()

    def measure() -> None:
        with MachineLock(tmp_path).exclusive():
            free.set()

    threading.Thread(target=measure, daemon=True).start()
    released = free.wait(PATIENCE_S)
    os.kill(survivor.value, signal.SIGKILL)
    process.join(PATIENCE_S)  # not before: the survivor holds the pipe that join waits for
    assert released


def test_a_forked_child_that_leaves_the_step_does_not_release_its_parents(tmp_path):
    lock, measured = MachineLock(tmp_path), threading.Event()

    def measure() -> None:
        with MachineLock(tmp_path).exclusive():
            measured.set()

    with lock.step():
        process = child(_leave_all)
        process.join(PATIENCE_S)
        assert process.exitcode == 0
        threading.Thread(target=measure, daemon=True).start()
        assert not measured.wait(0.2)
    assert measured.wait(PATIENCE_S)


def _leave_all() -> None:
    for files in list(machine_lock._ALL):
        files.leave()


def test_steps_may_be_nested_and_the_outer_one_is_kept(tmp_path):
    lock, measured = MachineLock(tmp_path), threading.Event()

    def measure() -> None:
        with MachineLock(tmp_path).exclusive():
            measured.set()

    with lock.step():
        with lock.shared():
            pass
        threading.Thread(target=measure, daemon=True).start()
        assert not measured.wait(0.2)
    assert measured.wait(PATIENCE_S)


def test_waiting_for_oneself_is_refused(tmp_path):
    lock = MachineLock(tmp_path)
    with lock.step(), pytest.raises(CostModelError, match="wait for itself"), lock.exclusive():
        pass
    with lock.exclusive(), pytest.raises(CostModelError, match="inside a measurement"), lock.step():
        pass
    with lock.exclusive(), pytest.raises(CostModelError, match="wait for itself"), lock.exclusive():
        pass
    with lock.exclusive():
        assert (tmp_path / "room.lock").exists()


def test_an_exception_in_a_section_releases_the_lock(tmp_path):
    lock, free = MachineLock(tmp_path / "made" / "here"), threading.Event()
    for section in (lock.step, lock.exclusive):
        with pytest.raises(ValueError, match="oops"), section():
            raise ValueError("oops")

    def measure() -> None:
        with lock.exclusive():
            free.set()

    threading.Thread(target=measure, daemon=True).start()
    assert free.wait(PATIENCE_S)
