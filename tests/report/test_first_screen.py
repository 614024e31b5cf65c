"""The page's first screen: the answer, the plot and the person's own network, at every width."""

import json

import pytest

from growsearch.report import read_run, write_report

pytestmark = pytest.mark.browser

_CUT_OFF = """[...document.querySelectorAll('th, td, svg text, dd, button, select, input')]
  .filter((node) => node.getClientRects().length)
  .filter((node) => {
    const scrolls = (found) => ['auto', 'scroll'].includes(getComputedStyle(found).overflowX);
    for (let found = node; found; found = found.parentElement)
      if (scrolls(found) && found.getBoundingClientRect().right <= innerWidth) return false;
    return node.getBoundingClientRect().right > innerWidth + 1;
  }).map((node) => node.textContent)"""


def text(browser, selector: str) -> str:
    return browser.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


def texts(browser, selector: str) -> list[str]:
    return browser.evaluate(
        f"[...document.querySelectorAll({json.dumps(selector)})].map((node) => node.textContent)"
    )


def change(folder, edit):
    path = folder / "trials.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    edit(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return write_report(folder, ["html"])["html"]


def make_baseline(line: dict, which: str) -> None:
    line["kind"] = "baseline"
    line["config"] = {"kind": "baseline", "which": which, "space": "resnet-digits"}


@pytest.fixture
def with_baselines(run_maker):
    def edit(lines):
        make_baseline(lines[4], "dense")
        make_baseline(lines[7], "mine")

    folder = run_maker()
    return folder, change(folder, edit)


def test_the_first_screen_holds_the_answer_the_plot_and_the_own_network(browser, with_baselines):
    folder, page = with_baselines
    mine = next(t for t in read_run(folder).finished if t.config.get("which") == "mine")
    browser.open(page, size=(1280, 800))
    assert browser.problems() == []
    for selector in ("#headline", "#compare", "#rule", "#plot", "#legend", "#budget"):
        bottom = browser.evaluate(
            f"document.querySelector('{selector}').getBoundingClientRect().bottom"
        )
        assert 0 < bottom <= 800, selector
    assert texts(browser, "#compare th[scope=col]") == ["The choice", "★ Yours", "Smallest"]
    assert texts(browser, "#compare .link")[1] == mine.id
    assert text(browser, "#beside").startswith("Against yours ★: accuracy ")
    stars = texts(browser, "#plot svg text.title")
    assert "yours" in stars
    assert "dense" in stars
    assert "baseline" in text(browser, "#legend")


def test_a_smallest_that_is_no_smaller_than_the_choice_is_not_shown(browser, run_maker):
    def edit(lines):
        for line in lines:
            if line["status"] == "finished":
                line["metrics"]["parameters"] = 9000

    browser.open(change(run_maker(), edit))
    assert texts(browser, "#compare th[scope=col]") == ["The choice", "Most accurate"]


def test_the_budget_stops_at_every_compared_trial_and_tells_the_nearest_miss(
    browser, run_maker, study
):
    select = {"max": {"latency[cpu]": "0.14 ms"}, "min": {"accuracy": 0.96}}
    folder = run_maker(study={**study, "select": select})
    run = read_run(folder)
    browser.open(write_report(folder, ["html"])["html"])
    latencies = {point.values["latency[cpu]"] for point in run.front().points}
    assert int(browser.evaluate("document.querySelector('#budget-range').max")) + 1 == len(
        latencies
    )
    nearest = run.front().choose(run.wishes).nearest
    assert nearest is not None
    headline = text(browser, "#headline")
    assert f"No network fits on cpu. The nearest miss is {nearest.id} " in headline
    assert "misses its bound by" in headline
    assert texts(browser, "#compare th[scope=col]")[0] == "Nearest miss"


def test_a_run_without_latencies_has_an_answer_too(browser, run_maker, study):
    objectives = {"accuracy": "maximize", "macs": "minimize"}
    folder = run_maker(study={**study, "objectives": objectives, "select": {}})

    def edit(lines):
        for line in lines:
            line["latency"] = {}
            for name in [n for n in line["metrics"] if n.startswith("latency")]:
                del line["metrics"][name]

    page = change(folder, edit)
    chosen = read_run(folder).front().select([]).chosen
    browser.open(page, size=(1280, 800))
    assert browser.problems() == []
    assert text(browser, "#headline").startswith(f"Take {chosen.id} (")
    assert browser.evaluate("document.querySelector('#devices').hidden")


@pytest.mark.parametrize("width", [390, 700, 1280, 1920])
def test_no_column_is_cut_off_at_any_width(browser, with_baselines, width):
    browser.open(with_baselines[1], size=(width, 844))
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(_CUT_OFF) == []
