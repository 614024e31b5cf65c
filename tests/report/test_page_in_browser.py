"""The page in a real browser: it draws, answers to mouse and keys, and asks nobody anything."""

import json

import pytest

from growsearch.pareto import format_quantity
from growsearch.report import read_run, write_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(run_folder):
    return write_report(run_folder, ["html"])["html"]


@pytest.fixture(scope="module")
def run(run_folder):
    return read_run(run_folder)


def text(browser, selector: str) -> str:
    return browser.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


def count(browser, selector: str) -> int:
    return browser.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")


def painted(browser) -> int:
    """Pixels of the scatter that are not empty."""
    return browser.evaluate(
        "(() => { const c = document.querySelector('#plot canvas');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; })()"
    )


def test_the_page_draws_everything_and_nothing_goes_wrong(browser, page, run):
    browser.open(page)
    assert browser.problems() == []
    assert browser.requests() == [page.as_uri()]
    assert text(browser, "h1") == "digits"
    assert "38 trials finished · 2 failed" in text(browser, "#summary")
    assert count(browser, "#front-table tbody tr") == len(run.front())
    assert count(browser, "#failed-table tbody tr") == 2
    assert count(browser, "#progress-plot svg path.curve") == 1
    assert "sampler: auto" in text(browser, "#settings-text")
    assert "git_revision: 31d34a6" in text(browser, "#provenance-text")
    assert painted(browser) > 500


def test_the_answer_is_the_studys_choice_with_its_method(browser, page):
    browser.open(page)
    headline = text(browser, "#headline")
    assert "On cpu, take 90d3ac94af (grown 25 %): 94.33 % accuracy in 134 µs (measured)" in headline
    assert "gives up 2.00 points and is 1.3 times as fast" in headline
    assert "130 µs to 140 µs, noise 3.0 %" in text(browser, "#compare")


def test_another_device_has_its_own_answer_and_axis(browser, page):
    browser.open(page)
    browser.evaluate("document.querySelectorAll('#devices button')[1].click()")
    assert "On wafer-cs2, take" in text(browser, "#headline")
    assert "(analytic)" in text(browser, "#headline")
    assert browser.evaluate("document.querySelector('#axis-x').value") == "latency[wafer-cs2]"
    assert browser.problems() == []


def test_a_larger_budget_takes_a_more_accurate_network_and_leads_back(browser, page):
    browser.open(page)
    browser.evaluate(
        "(() => { const r = document.querySelector('#budget-range'); r.value = r.max;"
        "r.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    assert "take f181fc069e" in text(browser, "#headline")
    assert text(browser, "#details h2").startswith("f181fc069e")
    browser.evaluate("document.querySelector('#budget button').click()")
    assert "take 90d3ac94af" in text(browser, "#headline")


def test_axes_can_be_chosen_and_the_front_follows(browser, page):
    browser.open(page)
    before = browser.evaluate("document.querySelector('#plot path.step').getAttribute('d')")
    browser.evaluate(
        "(() => { const s = document.querySelector('#axis-x'); s.value = 'macs';"
        "s.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    browser.settle()
    after = browser.evaluate("document.querySelector('#plot path.step').getAttribute('d')")
    assert after != before
    assert "MACs (zeros skipped)" in text(browser, "#plot svg")
    assert "x=macs" in browser.evaluate("location.hash")


def test_the_front_in_the_page_is_the_front_in_python(browser, page, run):
    for x in ("latency[cpu]", "macs"):
        browser.open(page, f"x={x}&y=accuracy&log=")
        browser.evaluate("document.querySelector('#plot').focus()")
        browser.key("Home")
        seen = []
        for _ in range(len(run.finished)):
            name = text(browser, "#details h2 .mono")
            if seen and seen[-1] == name:
                break
            seen.append(name)
            browser.key("ArrowRight")
        directions = {"accuracy": "maximize", x: "minimize"}
        expected = type(run.front()).of(run.front().points, directions)
        assert set(seen) == {member.id for member in expected.members}


def test_a_click_on_a_row_shows_that_networks_layers_and_settings(browser, page, run):
    browser.open(page)
    browser.evaluate("document.querySelectorAll('#front-table tbody tr')[2].click()")
    name = text(browser, "#front-table tbody tr[aria-selected=true] td")
    trial = run.trial(name)
    assert text(browser, "#details h2").startswith(name)
    assert count(browser, "#details .layers tbody tr") == len(trial.layers)
    assert "Validation accuracy by epoch" in text(browser, "#details")
    assert str(trial.seed) in text(browser, "#details")


def test_a_grown_network_shows_its_widths_over_epochs(browser, page, run):
    grown = next(t for t in run.finished if t.kind == "growth")
    browser.open(page, f"trial={grown.id}")
    assert count(browser, "#details svg[aria-label^='Channels'] path") == 4


def test_a_click_on_a_point_selects_it(browser, page):
    browser.open(page, "size=fixed")
    box = browser.evaluate(
        "(() => { document.querySelector('#plot').scrollIntoView();"
        "const r = document.querySelector('#plot .ring').getBoundingClientRect();"
        "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
    )
    chosen = text(browser, "#details h2 .mono")
    browser.evaluate("document.querySelectorAll('#front-table tbody tr')[0].click()")
    browser.evaluate("document.querySelector('#plot').scrollIntoView()")
    assert text(browser, "#details h2 .mono") != chosen
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        browser.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=box[0],
            y=box[1],
            button="left",
            clickCount=int(kind != "mouseMoved"),
        )
    browser.settle()
    assert text(browser, "#details h2 .mono") == chosen
    assert not browser.evaluate("document.querySelector('.tip').hidden")
    assert "measured" in text(browser, ".tip")


def test_the_table_sorts_both_ways(browser, page):
    browser.open(page)
    cells = (
        "[...document.querySelectorAll('#front-table tbody tr')].map(r => "
        "parseFloat(r.children[2].textContent))"
    )
    assert browser.evaluate(cells) == sorted(browser.evaluate(cells), reverse=True)
    browser.evaluate("document.querySelectorAll('#front-table .sort')[2].click()")
    assert browser.evaluate(cells) == sorted(browser.evaluate(cells))


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_window(browser, page, width):
    browser.open(page, size=(width, 800))
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_dark_and_light_differ_and_follow_the_system(browser, page):
    colours = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.call("Emulation.setEmulatedMedia", features=[feature])
        browser.open(page)
        colours.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert colours[0] != colours[1]


def test_hostile_text_is_shown_and_not_run(browser, run_maker, study):
    hostile = "<img src=x onerror=\"document.title='owned'\">"
    folder = run_maker(count=6, study={**study, "name": "x", "dataset": hostile})
    lines = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    for line in lines:
        line["config"]["updater"] = hostile
        line["kind"] = hostile
    (folder / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    browser.open(write_report(folder, ["html"])["html"])
    assert browser.problems() == []
    assert browser.evaluate("document.title") == "x: growsearch report"
    assert count(browser, "img") == 0
    assert hostile in text(browser, "#summary")


@pytest.mark.parametrize("trials", [0, 1, 2])
def test_a_run_that_has_hardly_begun_is_drawn_too(browser, run_maker, trials):
    browser.open(write_report(run_maker(count=trials), ["html"])["html"])
    assert browser.problems() == []
    assert f"{trials} trials finished" in text(browser, "#summary")


def test_values_are_written_as_python_writes_them(browser, page):
    samples = [
        ("latency[cpu]", [0.00031, 0.0012, 0.0009996, 1e-7, 2e-10, 5000.0, 0.0]),
        ("macs", [1234, 9999, 10_000, 123_456, 999_999, 10**10]),
        ("accuracy", [0.9767, 1.0, 0.5]),
    ]
    browser.open(page)
    # The functions live inside the page's closure, so their source is run once more.
    kinds = {"latency[cpu]": ("time", "s"), "macs": ("count", ""), "accuracy": ("share", "")}
    script = page.read_text().partition("const SMALL")[2].partition("const SECONDS")[0]
    for name, values in samples:
        kind, base = kinds[name]
        call = (
            f"(() => {{ const SMALL{script}; return {json.dumps(values)}.map(v => "
            f"formatValue(v, {{kind: '{kind}', base: '{base}'}})); }})()"
        )
        assert browser.evaluate(call) == [format_quantity(value, name) for value in values]
