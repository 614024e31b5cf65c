"""The page's table of networks: what it shows, in which order, and by which keys."""

import json

import pytest

from growsearch.report import read_run, write_report

pytestmark = pytest.mark.browser


def names(browser) -> list[str]:
    return browser.evaluate(
        "[...document.querySelectorAll('#front-table tbody .link')].map((link) => link.textContent)"
    )


def choose(browser, selector: str, value: str, event: str = "change") -> None:
    browser.evaluate(
        f"(() => {{ const node = document.querySelector('{selector}');"
        f"node.value = {json.dumps(value)}; node.dispatchEvent(new Event('{event}')); }})()"
    )


@pytest.fixture
def page(run_folder):
    return write_report(run_folder, ["html"])["html"]


def test_the_table_filters_by_kind_and_by_text_and_says_how_many(browser, page, run_folder):
    run = read_run(run_folder)
    browser.open(page)
    assert set(names(browser)) == {member.id for member in run.front().members}
    choose(browser, "#table-scope", "compared")
    assert set(names(browser)) == {point.id for point in run.front().points}
    choose(browser, "#table-scope", "all")
    assert len(names(browser)) == len(run.finished)
    choose(browser, "#table-kind", "growth")
    grown = {trial.id for trial in run.finished if trial.kind == "growth"}
    assert set(names(browser)) == grown
    choose(browser, "#table-kind", "")
    choose(browser, "#table-words", "ERK  rigl", "input")
    wanted = {
        trial.id
        for trial in run.finished
        if trial.config.get("distribution") == "erk" and trial.config.get("updater") == "rigl"
    }
    assert wanted
    assert set(names(browser)) == wanted
    said = browser.evaluate("document.querySelector('#table-tools [role=status]').textContent")
    assert said == f"{len(wanted)} of {len(run.finished)} networks"
    browser.evaluate("document.querySelectorAll('#front-table .sort')[0].click()")
    assert names(browser) == sorted(wanted)
    choose(browser, "#table-words", "<b>", "input")
    assert names(browser) == []
    assert browser.problems() == []


def test_the_table_is_walked_and_chosen_from_with_keys_alone(browser, page):
    browser.open(page)
    browser.evaluate("document.querySelector('#front-table tbody .link').focus()")
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp"):
        browser.key(key)
    third = names(browser)[2]
    assert browser.evaluate("document.activeElement.textContent") == third
    browser.evaluate("document.activeElement.click()")
    shown = browser.evaluate("document.querySelector('#details h2 .mono').textContent")
    assert shown == third


def test_a_long_table_is_shown_in_parts(browser, run_maker):
    folder = run_maker(count=130, histories=False)
    browser.open(write_report(folder, ["html"])["html"])
    choose(browser, "#table-scope", "all")
    assert len(names(browser)) == 100
    assert browser.evaluate("document.querySelector('#table-more').textContent") == "Show 28 more"
    browser.evaluate("document.querySelector('#table-more').click()")
    assert len(names(browser)) == len(set(names(browser))) == 128
    assert browser.evaluate("document.querySelector('#table-more').hidden")
