import itertools
import time

import torch

from cost_models.executors.choosing import fastest


def test_each_way_is_timed_by_name():
    assert set(fastest({"a": lambda: None, "b": lambda: None})) == {"a", "b"}


def test_the_way_that_computes_more_takes_longer():
    matrix = torch.ones(64, 64)
    seconds = fastest(
        {"once": lambda: matrix @ matrix, "often": lambda: [matrix @ matrix for _ in range(50)]}
    )
    assert seconds["often"] > 5 * seconds["once"] > 0


def test_ways_take_turns():
    order: list[str] = []

    def run(name: str) -> None:
        order.append(name)
        end = time.process_time() + 3e-4
        while time.process_time() < end:
            pass

    fastest({"a": lambda: run("a"), "b": lambda: run("b")})
    changes = sum(first != second for first, second in itertools.pairwise(order))
    assert changes >= 8
