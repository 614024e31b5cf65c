import sys

import pytest

from growsearch.errors import UsageError
from growsearch.pareto import Front

DIRECTIONS = {"accuracy": "maximize", "macs": "minimize"}
VALUES = [
    {"accuracy": 0.9, "macs": 100.0, "parameters": 3.0},
    {"accuracy": 0.8, "macs": 200.0, "parameters": 4.0},
    {"accuracy": 0.7, "macs": 50.0, "parameters": 5.0},
]


def test_the_table_has_a_row_a_network_and_objectives_first():
    table = Front.of(VALUES, DIRECTIONS).to_pandas()
    assert list(table.index) == ["0", "2"]
    assert list(table.columns) == ["accuracy", "macs", "parameters"]
    assert table.loc["2", "macs"] == 50


def test_all_points_say_whether_they_are_on_the_front():
    table = Front.of(VALUES, DIRECTIONS).to_pandas(all_points=True)
    assert table["on_front"].tolist() == [True, False, True]


def test_an_empty_front_is_an_empty_table():
    assert list(Front.of([], DIRECTIONS).to_pandas().columns) == ["accuracy", "macs"]


def test_without_pandas_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"pip install 'growsearch\[notebook\]'"):
        Front.of(VALUES, DIRECTIONS).to_pandas()


def test_a_notebook_shows_the_front_and_escapes_names():
    name = "latency[<b>]"
    page = Front.of([{name: 0.002}, {name: 0.001}], {name: "minimize"})._repr_html_()
    assert "1 of 2 networks are on the front" in page
    assert "<b>" not in page
    assert "latency[&lt;b&gt;] ↓" in page
    assert "1.00 ms" in page


def test_a_long_front_is_cut_short_and_says_so():
    many = [{"accuracy": k / 100, "macs": float(k)} for k in range(1, 31)]
    page = Front.of(many, DIRECTIONS)._repr_html_()
    assert page.count("<tr><td>") == 20
    assert "and 10 more" in page
