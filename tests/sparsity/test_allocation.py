import pytest
from hypothesis import given
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.sparsity.allocation import allocate, solve_densities
from growsearch.sparsity.layers import PrunableLayer


def layers_of(*sizes):
    return [
        PrunableLayer(name=f"l{i}", shape=(size, 1), is_linear=True) for i, size in enumerate(sizes)
    ]


def test_densities_follow_the_proportions():
    # 10 e + 30 (2 e) = 35: e = 1/2, both below 1 or at it.
    densities = solve_densities(layers_of(10, 30), 35, {"l0": 1.0, "l1": 2.0}, {})
    assert densities == pytest.approx({"l0": 0.5, "l1": 1.0})


def test_a_layer_that_would_pass_one_is_dense_and_the_rest_is_solved_again():
    # Unbounded: e = 20 / (10 x 4 + 30) = 2/7, l0 at 8/7. So l0 = 1 and l1 = 10/30.
    densities = solve_densities(layers_of(10, 30), 20, {"l0": 4.0, "l1": 1.0}, {})
    assert densities == pytest.approx({"l0": 1.0, "l1": 1 / 3})


def test_floors_hold_and_the_others_pay():
    densities = solve_densities(
        layers_of(10, 10, 10), 12, {"l0": 1.0, "l1": 1.0, "l2": 1.0}, {"l0": 1.0}
    )
    assert densities == pytest.approx({"l0": 1.0, "l1": 0.1, "l2": 0.1})


def test_floors_above_the_target_are_refused_by_name():
    with pytest.raises(UsageError, match=r"only 5 weights may stay, but 10 are fixed .*\(l0\)"):
        solve_densities(layers_of(10, 10), 5, {"l0": 1.0, "l1": 1.0}, {"l0": 1.0})


def test_largest_remainders_get_the_odd_weights():
    densities = {"l0": 0.33, "l1": 0.37, "l2": 0.30}  # 3.3, 3.7 and 3.0 of 10 weights
    assert allocate(layers_of(10, 10, 10), densities, 10) == {"l0": 3, "l1": 4, "l2": 3}


def test_no_layer_is_emptied_while_weights_remain():
    counts = allocate(layers_of(2, 1000), {"l0": 0.01, "l1": 0.01}, 10)
    assert counts == {"l0": 1, "l1": 9}


def test_fewer_weights_than_layers_are_refused():
    with pytest.raises(UsageError, match="2 weights cannot keep 3 layers alive"):
        allocate(layers_of(10, 10, 10), dict.fromkeys(("l0", "l1", "l2"), 0.06), 2)


@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=8),
    seeds=st.lists(st.floats(0.01, 50), min_size=8, max_size=8),
    share=st.floats(0.0, 1.0),
    floor=st.floats(0.0, 1.0),
)
def test_densities_are_legal_and_sum_to_the_target(sizes, seeds, share, floor):
    layers = layers_of(*sizes)
    proportions = {layer.name: seeds[i] for i, layer in enumerate(layers)}
    floors = {"l0": floor}
    target = max(share * sum(sizes), floor * sizes[0])
    densities = solve_densities(layers, target, proportions, floors)
    assert all(0 <= density <= 1 for density in densities.values())
    assert densities["l0"] >= floor
    assert sum(densities[x.name] * x.weights for x in layers) == pytest.approx(target, abs=1e-6)
    free = [x.name for x in layers if floors.get(x.name, 0) < densities[x.name] < 1]
    scales = [densities[name] / proportions[name] for name in free]
    assert scales == pytest.approx(scales[:1] * len(scales), rel=1e-6)


@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=8),
    share=st.floats(0.0, 1.0),
)
def test_whole_counts_sum_to_the_target_and_stay_within_one_weight(sizes, share):
    layers = layers_of(*sizes)
    nonzeros = max(len(sizes), round(share * sum(sizes)))
    density = nonzeros / sum(sizes)
    counts = allocate(layers, {layer.name: density for layer in layers}, nonzeros)
    assert sum(counts.values()) == nonzeros
    assert all(1 <= counts[layer.name] <= layer.weights for layer in layers)
    if all(density * size >= 1 for size in sizes):
        assert all(abs(counts[x.name] - density * x.weights) < 1 + 1e-6 for x in layers)
