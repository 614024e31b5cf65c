"""The page's analyses: what made a difference, how the search went on and when trials ran."""

import json

import pytest

from growsearch.report import read_run, write_report
from growsearch.report.analysis.influence import influences

pytestmark = pytest.mark.browser


def text(browser, selector: str) -> str:
    return browser.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


def count(browser, selector: str) -> int:
    return browser.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")


def dots(browser, selector: str) -> int:
    return browser.evaluate(
        f"[...document.querySelectorAll({json.dumps(selector)})]"
        ".reduce((sum, path) => sum + path.getAttribute('d').split('M').length - 1, 0)"
    )


def change(folder, edit) -> None:
    path = folder / "trials.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    edit(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def with_times(lines) -> None:
    """Two at once: pairs of trials of 10 seconds each, and the second half a day later."""
    for place, line in enumerate(lines):
        late = 86_400 if place >= len(lines) / 2 else 0
        line["duration_s"] = 10.0
        line["ended_at"] = 1_700_000_000.0 + 10 * (place // 2) + late


def test_what_made_a_difference_is_told_with_numbers_and_slices(browser, run_folder):
    browser.open(write_report(run_folder, ["html"])["html"])
    found = influences(read_run(run_folder))
    first = found.metrics[0]
    figure = text(browser, "#influence-plots figure")
    assert f"({first.trials} trials)" in figure
    name, mean, _ = first.settings[0]
    assert text(browser, "#influence-plots th") == name.replace(".", ": ")
    assert text(browser, "#influence-plots td") == f"{mean:.2f}"
    assert "Permutation importance" in text(browser, "#influence-note")
    assert count(browser, "#slice-plots figure") == len(found.columns)
    kinds = [trial for trial in found.trials if trial.config.get("sparsity") is not None]
    place = [s[0] for s in first.settings].index("sparsity") + 1
    assert dots(browser, f"#slice-plots figure:nth-child({place}) .dots") == len(kinds)
    assert browser.problems() == []


def test_of_few_trials_the_page_ranks_no_setting(browser, run_maker):
    browser.open(write_report(run_maker(count=11), ["html"])["html"])
    assert text(browser, "#influence-note").startswith("Told from 12 finished trials on")
    assert count(browser, "#influence-plots figure") == 0
    assert browser.evaluate("document.querySelector('#slices').hidden")


def test_the_history_has_a_dot_a_trial(browser, run_folder):
    browser.open(write_report(run_folder, ["html"])["html"])
    assert dots(browser, "#history-plot .dots") == len(read_run(run_folder).finished)
    assert text(browser, "#history-title") == "Accuracy over trials"


def test_the_timeline_has_lanes_and_leaves_a_night_out(browser, run_maker):
    folder = run_maker(count=20)
    change(folder, with_times)
    browser.open(write_report(folder, ["html"])["html"])
    note = text(browser, "#timeline-note")
    assert "20 trials, at most 2 at once" in note
    assert "They were busy 100 % of 100 s." in note
    assert "Left out: 1 pause, 24.0 h in all" in note
    box = browser.evaluate(
        "(() => { const host = document.querySelector('#timeline-plot'); host.scrollIntoView();"
        "const r = host.getBoundingClientRect(); return [r.x, r.y, r.width]; })()"
    )
    # The second of ten pairs, in the upper lane.
    x, y = box[0] + box[2] * 0.15, box[1] + 7
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    browser.settle()
    assert text(browser, "#details h2 .mono") == read_run(folder).trials[2].id
    assert browser.problems() == []


def test_names_of_settings_are_text_and_a_run_without_times_has_no_timeline(browser, run_maker):
    hostile = "<img src=x onerror=\"document.title='owned'\">"

    def edit(lines):
        for place, line in enumerate(lines):
            line["config"][hostile] = hostile if place % 4 else "__proto__"
            line["config"]["__proto__"] = place % 5

    folder = run_maker(count=30)
    change(folder, edit)
    browser.open(write_report(folder, ["html"])["html"])
    assert browser.problems() == []
    assert count(browser, "img") == 0
    assert "<img src=x" in text(browser, "#slice-plots")
    assert browser.evaluate("document.title") == "digits: growsearch report"
    assert browser.evaluate("document.querySelector('#timeline').hidden")
