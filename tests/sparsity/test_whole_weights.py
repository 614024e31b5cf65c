from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.sparsity.whole_weights import Countable, tune_counts


def item(count, cost, least=0, most=50):
    return Countable(count=count, least=least, most=most, cost=cost)


def cost(items, counts):
    return sum(counts[name] * items[name].cost for name in items)


def test_steps_without_a_common_divisor_reach_every_number():
    items = {"a": item(20, 5), "b": item(20, 7)}
    # 1 = 3 x 5 - 2 x 7.
    assert tune_counts(items, 1) == {"a": 23, "b": 18}
    assert tune_counts(items, -1) == {"a": 17, "b": 22}


def test_what_cannot_be_reached_is_met_as_nearly_as_can_be():
    assert tune_counts({"a": item(3, 4)}, 6) == {"a": 4}
    assert tune_counts({"a": item(3, 4), "b": item(0, 10)}, 6) == {"a": 2, "b": 1}


def test_any_item_of_a_cost_can_make_room():
    # The larger layer of 36 is full: the smaller one has to give the weight back.
    items = {
        "large": item(50, 36, most=50),
        "small": item(4, 36, most=5),
        "cheap": item(9, 9, least=1, most=9),
    }
    # 27 = 36 - 9, and no 9 can be added.
    assert tune_counts(items, 27) == {"large": 50, "small": 5, "cheap": 8}


def test_a_layer_that_costs_nothing_stays():
    assert tune_counts({"idle": item(3, 0), "a": item(1, 2)}, 4) == {"idle": 3, "a": 3}


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_tuning_never_worsens_and_stays_within_bounds(data):
    items = {}
    for name in "abc"[: data.draw(st.integers(1, 3))]:
        least = data.draw(st.integers(0, 3))
        most = least + data.draw(st.integers(0, 20))
        items[name] = item(
            data.draw(st.integers(least, most)), data.draw(st.integers(0, 12)), least, most
        )
    missing = data.draw(st.integers(-60, 60))
    start = {name: entry.count for name, entry in items.items()}
    counts = tune_counts(items, missing)
    left = missing - (cost(items, counts) - cost(items, start))
    assert abs(left) <= abs(missing)
    assert all(items[n].least <= counts[n] <= items[n].most for n in items)
