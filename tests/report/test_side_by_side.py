"""The page's comparison of two networks: what is pointed at or clicked beside the kept one."""

import json

import pytest

from growsearch.pareto import format_quantity
from growsearch.report import read_run, write_report

pytestmark = pytest.mark.browser


def cells(browser, row: str) -> list[str]:
    return browser.evaluate(
        "[...[...document.querySelectorAll('#versus-figures tbody tr')]"
        f".find((row) => row.cells[0].textContent === {json.dumps(row)}).cells]"
        ".slice(1).map((cell) => cell.textContent)"
    )


def pair(browser) -> list[str]:
    return browser.evaluate(
        "[...document.querySelectorAll('#versus-figures thead .link')].map((x) => x.textContent)"
    )


@pytest.fixture
def opened(browser, run_folder):
    run = read_run(run_folder)
    browser.open(write_report(run_folder, ["html"])["html"])
    return browser, run, run.front().choose(run.wishes).chosen.id


def test_a_click_sets_the_network_beside_the_studys_choice(opened):
    browser, run, chosen = opened
    other = next(member.id for member in run.front().members if member.id != chosen)
    browser.evaluate(
        "[...document.querySelectorAll('#front-table tbody .link')]"
        f".find((link) => link.textContent === '{other}').click()"
    )
    assert pair(browser) == [chosen, other]
    for name, title in (("accuracy", "Accuracy"), ("macs", "MACs (zeros skipped)")):
        figures = [format_quantity(run.trial(n).metrics[name], name) for n in (chosen, other)]
        assert cells(browser, title)[:2] == figures
    points = 100 * (run.trial(other).metrics["accuracy"] - run.trial(chosen).metrics["accuracy"])
    assert cells(browser, "Accuracy")[2] == f"{points:+.2f} points".replace("-", "−")
    browser.evaluate("document.querySelector('#versus-keep').click()")
    assert pair(browser)[0] == other


def test_layers_stand_side_by_side_with_shares_of_each_device(opened):
    browser, run, chosen = opened
    other = pair(browser)[1]
    heads = browser.evaluate(
        "[...document.querySelectorAll('#versus-layers th[scope=col]')].map((x) => x.textContent)"
    )
    assert heads == ["Layer, outputs", "MACs", "Time, cpu", "Time, wafer-cs2"]
    shown = browser.evaluate(
        "[...document.querySelectorAll('#versus-layers tbody tr')].map((row) => "
        "[...row.cells[2].querySelectorAll('.bar')].map((bar) => parseFloat(bar.textContent)))"
    )
    layers = [run.trial(name).layers for name in (chosen, other)]
    expected = [
        [100 * layer.latency_share["cpu"] for layer in both] for both in zip(*layers, strict=True)
    ]
    assert shown == [pytest.approx(row, rel=0.051) for row in expected]


def test_pointing_shows_another_network_only_as_long_as_it_lasts(opened):
    browser, _, chosen = opened
    before = pair(browser)
    rows = browser.evaluate(
        "[...document.querySelectorAll('#front-table tbody .link')].map((x) => x.textContent)"
    )
    place = next(i for i, name in enumerate(rows) if name not in before)
    row = f"document.querySelectorAll('#front-table tbody tr')[{place}]"
    browser.evaluate(f"{row}.dispatchEvent(new PointerEvent('pointerover', {{bubbles: true}}))")
    assert pair(browser) == [chosen, rows[place]]
    browser.evaluate(
        "document.querySelector('#front-table').dispatchEvent(new PointerEvent('pointerleave'))"
    )
    assert pair(browser) == before
    assert browser.problems() == []
