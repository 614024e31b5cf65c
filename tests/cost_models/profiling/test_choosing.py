import pytest

from cost_models.counting.operator_call import Operator, TensorArgument
from cost_models.profiling.choosing import choose_operators
from cost_models.profiling.features import kind_of


def relu(size: int) -> Operator:
    return Operator(name="aten::relu", arguments=(TensorArgument((size,)),), output=(size,))


def product(size: int) -> Operator:
    matrix = TensorArgument((size, size))
    return Operator(name="aten::mm", arguments=(matrix, matrix), output=(size, size), macs=size**3)


NETWORKS = [[product(n), relu(n), product(n), relu(n + 100)] for n in range(1, 61)]


def by_kind(chosen) -> dict[str, list[Operator]]:
    kinds: dict[str, list[Operator]] = {}
    for operator in chosen:
        kinds.setdefault(kind_of(operator), []).append(operator)
    return kinds


@pytest.mark.parametrize("count", [30, 60, 100])
def test_as_many_different_operators_are_chosen_as_were_asked_for(count):
    chosen = choose_operators(NETWORKS, count, seed=0)
    assert len(set(chosen)) == len(chosen)
    assert abs(len(chosen) - count) <= 1


def test_all_are_chosen_when_there_are_no_more():
    chosen = choose_operators(NETWORKS, 1000, seed=0)
    assert set(chosen) == {operator for network in NETWORKS for operator in network}


def test_the_smallest_and_the_largest_of_each_kind_are_among_them():
    chosen = set(choose_operators(NETWORKS, 24, seed=0))
    assert {product(1), product(60), relu(1), relu(160)} <= chosen


def test_most_are_operators_that_do_macs():
    products, relus = (len(found) for found in by_kind(choose_operators(NETWORKS, 60, 0)).values())
    assert products > relus


def test_a_rare_kind_is_not_left_out():
    networks = [*NETWORKS, [Operator(name="aten::tanh", arguments=(), output=())]]
    assert any(each.name == "aten::tanh" for each in choose_operators(networks, 30, seed=0))


def test_the_seed_decides():
    first, again, other = (choose_operators(NETWORKS, 40, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_what_is_called_often_is_chosen_more_often():
    often = [product(n) for n in range(1, 11)]
    networks = [*[often] * 500, [product(n) for n in range(11, 101)]]
    chosen = choose_operators(networks, 20, seed=0)
    assert sum(operator in chosen for operator in often) >= 8
