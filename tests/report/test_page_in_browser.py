"""The page in a real browser: it draws, answers to mouse and keys, and asks nobody anything."""

import dataclasses
import json
import random
import shlex

import numpy as np
import pytest
from scipy.stats import kendalltau

from growsearch.pareto import format_quantity, parse_bound
from growsearch.report import read_run, write_report
from growsearch.trial.judged_examples import write_judged

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
    assert (
        "On cpu, take 90d3ac94af (resnet-digits, 25 % of parameters, grown): 94.33 % accuracy in "
        "134 µs (measured)"
    ) in headline
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


def test_with_few_examples_the_budget_takes_the_cheapest_within_a_standard_error(
    browser, run_maker
):
    folder = run_maker(count=60)
    for each in read_run(folder).finished:
        right = np.arange(300) < round(300 * each.metrics["accuracy"])
        write_judged(folder / "trials" / each.id, right)
    run = read_run(folder)
    browser.open(write_report(folder, ["html"])["html"])
    for share in (0, 0.3, 0.6, 1):
        budget = browser.evaluate(
            "(() => { const r = document.querySelector('#budget-range');"
            f"r.value = Math.round({share} * r.max);"
            "r.dispatchEvent(new Event('input', {bubbles: true}));"
            "return document.querySelector('#budget output').textContent; })()"
        )
        taken = run.trial(text(browser, "#details h2 .mono"))
        latency = f"latency[cpu]={budget.removeprefix('at most ').replace(' ', '')}"
        # The budget is shown with three digits: the network's own may be a little above.
        bound = parse_bound(latency, "max")
        bound = dataclasses.replace(bound, value=bound.value * 1.005)
        assert taken.id == run.front().select([bound]).chosen.id
    # At the largest budget it is not the most accurate any longer.
    assert "within one standard error of 300 examples" in text(browser, "#headline")
    assert browser.problems() == []


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


def test_a_third_objective_is_the_size_and_the_front_that_of_three(browser, page, run):
    names = ("latency[cpu]", "accuracy", "parameters")
    browser.open(page)
    before = painted(browser)
    browser.evaluate(
        "(() => { const s = document.querySelector('#axis-z'); s.value = 'parameters';"
        "s.dispatchEvent(new Event('change')); })()"
    )
    assert "front of these three; larger: better Parameters" in text(browser, "#legend")
    assert count(browser, "#plot path.step") == 0
    assert painted(browser) != before
    browser.evaluate("document.querySelector('#plot').focus()")
    browser.key("Home")
    directions = {name: "maximize" if name == "accuracy" else "minimize" for name in names}
    expected = {p.id for p in type(run.front()).of(run.front().points, directions).members}
    seen = set()
    for _ in range(len(expected) + 2):
        seen.add(text(browser, "#details h2 .mono"))
        browser.key("ArrowRight")
    assert seen == expected
    assert browser.evaluate("location.hash").find("z=parameters") > 0
    browser.open(page, "z=macs&x=latency%5Bcpu%5D&y=accuracy")
    assert browser.evaluate("document.querySelector('#axis-z').value") == "macs"
    assert browser.problems() == []


def test_a_click_on_a_row_shows_that_networks_layers_and_settings(browser, page, run):
    browser.open(page)
    browser.evaluate("document.querySelectorAll('#front-table tbody tr')[2].click()")
    name = text(browser, "#front-table tbody tr[aria-selected=true] td")
    trial = run.trial(name)
    assert text(browser, "#details h2").startswith(name)
    assert count(browser, "#details .layers tbody tr") == len(trial.layers)
    assert "Validation accuracy by epoch" in text(browser, "#details")
    assert str(trial.seed) in text(browser, "#details")


def test_layers_have_a_column_of_time_for_every_device(browser, page, run):
    trial = run.finished[0]
    browser.open(page, f"trial={trial.id}")
    heads = browser.evaluate(
        "[...document.querySelectorAll('#details .layers th')].map((cell) => cell.textContent)"
    )
    assert heads == ["Layer, output", "Density", "Work", "Time, cpu", "Time, wafer-cs2"]
    cells = browser.evaluate(
        "[...document.querySelectorAll('#details .layers tbody tr')]"
        ".map((row) => [...row.cells].slice(3).map((cell) => parseFloat(cell.textContent)))"
    )
    for layer, shown in zip(trial.layers, cells, strict=True):
        shares = [layer.latency_share[device] for device in ("cpu", "wafer-cs2")]
        assert shown == [pytest.approx(100 * share, rel=0.051, abs=1e-9) for share in shares]
    assert "is 50 % on cpu, 0" in text(browser, "#details")


def test_records_and_an_evaluation_are_shown_with_their_network(browser, run_maker):
    folder = run_maker()
    lines = (folder / "trials.jsonl").read_text().splitlines()
    trial = json.loads(lines[1])
    trial["config"]["record"] = ["spectra"]
    lines[1] = json.dumps(trial)
    (folder / "trials.jsonl").write_text("\n".join(lines) + "\n")
    means = [{"ramanujan_gap": 2.0 - epoch, "biregular_gap": None} for epoch in range(3)]
    spectra = [json.dumps({"epoch": e, "mean": mean}) for e, mean in enumerate(means)]
    (folder / "trials" / trial["id"] / "spectra.jsonl").write_text("\n".join(spectra) + "\n")
    evaluation = {
        "data": "digits",
        "split": "test",
        "examples": 300,
        "conditions": {},
        "metrics": {"ece": 0.0123, "ood_auroc": 0.75},
    }
    (folder / "trials" / trial["id"] / "evaluation.json").write_text(json.dumps(evaluation))
    browser.open(write_report(folder, ["html"])["html"], f"trial={trial['id']}")
    assert browser.problems() == []
    details = text(browser, "#details")
    assert "On 300 test examples of digits." in details
    assert "1.23 %" in text(browser, "#details .evaluation")
    assert count(browser, "#details .record svg path.curve") == 1
    assert text(browser, "#details .record figcaption") == "ramanujan gap"


def test_layers_that_kept_their_width_are_shown_with_reason_and_shares(browser, run_maker):
    folder = run_maker()
    lines = (folder / "trials.jsonl").read_text().splitlines()
    trial = json.loads(lines[1])
    trial["metrics"]["kept_macs_share"] = 0.345
    lines[1] = json.dumps(trial)
    (folder / "trials.jsonl").write_text("\n".join(lines) + "\n")
    kept = {"name": "stem", "reason": "it is frozen", "parameters": 0.12, "macs": 0.345}
    (folder / "trials" / trial["id"] / "kept.jsonl").write_text(json.dumps(kept) + "\n")
    browser.open(write_report(folder, ["html"])["html"], f"trial={trial['id']}")
    assert browser.problems() == []
    details = text(browser, "#details")
    assert "Layers that kept their width" in details
    assert all(part in details for part in ("stem", "it is frozen", "12 %", "35 %"))


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


def test_the_sliders_choose_the_network_of_the_command_line(browser, run_maker):
    folder = run_maker(count=60)
    run = read_run(folder)
    browser.open(write_report(folder, ["html"])["html"])
    draw = random.Random(3)
    sliders = count(browser, "#sliders input")
    assert sliders == 5
    seen, missed = set(), 0
    for _ in range(25):
        for place in range(sliders):
            share = draw.choice([1.0, 1.0, draw.random()])
            browser.evaluate(
                f"(() => {{ const r = document.querySelectorAll('#sliders input')[{place}];"
                f"r.value = Math.round({share} * r.max);"
                "r.dispatchEvent(new Event('input', {bubbles: true})); })()"
            )
        command = shlex.split(text(browser, "#bounds-command"))
        assert command[:3] == ["growsearch", "select", "RUN"]
        options = zip(command[3::2], command[4::2], strict=True)
        bounds = [
            parse_bound(bound, option.removeprefix("--"))
            for option, bound in options
            if option != "--prefer"
        ]
        selection = run.front().select(bounds)
        chosen = selection.chosen
        said = text(browser, "#bounds-choice")
        if chosen is None:
            assert said.startswith(f"No network fits. The nearest miss is {selection.nearest.id} ")
            assert text(browser, "#details h2 .mono") == selection.nearest.id
            for name, miss in selection.misses.items():
                value = format_quantity(selection.nearest.values[name], name)
                assert f"{value} misses its bound by {100 * miss:.1f} %" in said
            missed += 1
        else:
            assert said.startswith(f"Take {chosen.id} ")
            assert text(browser, "#details h2 .mono") == chosen.id
            seen.add(chosen.id)
    assert len(seen) > 4
    assert missed > 2
    assert browser.problems() == []


def test_the_sliders_begin_at_the_studys_bounds_and_can_be_cleared(browser, page):
    browser.open(page)
    assert text(browser, "#bounds-command") == "growsearch select RUN"
    assert text(browser, "#bounds-choice").startswith("Take 90d3ac94af ")
    browser.evaluate("document.querySelector('#bounds-reset').click()")
    assert text(browser, "#bounds-command") == "growsearch select RUN --prefer accuracy"
    assert text(browser, "#bounds-choice").startswith("Take f181fc069e ")


def lane_points(browser, lane: int, *shares: float) -> list[tuple[float, float]]:
    """Return pixels on an axis of all objectives, by their share of it from below."""
    axis = f"document.querySelectorAll('#parallel-plot line.axis')[{lane}].getBoundingClientRect()"
    browser.evaluate("document.querySelector('#parallel-plot').scrollIntoView()")
    box = browser.evaluate(f"(() => {{ const r = {axis}; return [r.x, r.top, r.bottom]; }})()")
    x, top, bottom = box
    return [(x, bottom - share * (bottom - top)) for share in shares]


def mouse(browser, kind: str, place: tuple[float, float]) -> None:
    held = {"button": "left", "buttons": 0 if kind == "mouseReleased" else 1, "clickCount": 1}
    browser.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], **held)


def test_limits_drawn_along_an_axis_leave_what_lies_inside_in_the_table(browser, page, run):
    browser.open(page)
    browser.evaluate("document.querySelector('#table-scope').value = 'compared'")
    browser.evaluate("document.querySelector('#table-scope').dispatchEvent(new Event('change'))")
    compared = [point.values["accuracy"] for point in run.front().points]
    assert count(browser, "#front-table tbody tr") == len(compared)
    everything = [trial.metrics["accuracy"] for trial in run.finished]
    middle = (max(everything) + min(everything)) / 2
    start, end = lane_points(browser, 0, 0.5, 1.0)
    for kind, place in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
        mouse(browser, kind, place)
    browser.settle()
    inside = sum(value > middle for value in compared)
    assert 0 < inside < len(compared)
    assert count(browser, "#front-table tbody tr") == inside
    assert "networks lie inside Accuracy" in text(browser, "#parallel-note")
    assert text(browser, "#table-tools [role=status]") == f"{inside} of {len(everything)} networks"
    # A click on the axis takes them off.
    for kind in ("mousePressed", "mouseReleased"):
        mouse(browser, kind, end)
    browser.settle()
    assert count(browser, "#front-table tbody tr") == len(compared)
    assert text(browser, "#parallel-note") == ""


def test_limits_are_set_and_taken_off_by_keys(browser, page, run):
    browser.open(page)
    lane = "document.querySelectorAll('#parallel-plot .lane')[0]"
    before = count(browser, "#front-table tbody tr")
    browser.evaluate(f"{lane}.focus()")
    told = browser.evaluate(f"{lane}.getAttribute('aria-valuetext')")
    for _ in range(10):
        browser.key("ArrowUp")
    assert browser.evaluate(f"document.activeElement === {lane}")
    assert browser.evaluate(f"{lane}.getAttribute('aria-valuenow')") == "50"
    assert browser.evaluate(f"{lane}.getAttribute('aria-valuetext')") != told
    assert 0 < count(browser, "#front-table tbody tr") < before
    browser.key("Escape")
    assert count(browser, "#front-table tbody tr") == before
    assert browser.problems() == []


def test_other_buttons_and_a_second_finger_neither_draw_limits_nor_pick(browser, page, run):
    browser.open(page)
    start, end = lane_points(browser, 0, 0.2, 0.9)
    before = text(browser, "#details h2 .mono")
    for kind in ("mousePressed", "mouseReleased"):
        for place in (start, end, (start[0] + 60, start[1]), (start[0] + 60, end[1])):
            held = {"button": "right", "buttons": 2, "clickCount": 1}
            browser.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], **held)
    assert text(browser, "#details h2 .mono") == before
    touches = [{"x": start[0], "y": start[1], "id": 1}]
    browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=touches)
    touches.append({"x": lane_points(browser, 1, 0.5)[0][0], "y": start[1], "id": 2})
    browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=touches)
    touches = [{**touches[0], "y": end[1]}, touches[1]]
    browser.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=touches)
    browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    browser.settle()
    drawn = "[...document.querySelectorAll('#parallel-plot .limits')]"
    limited = browser.evaluate(f"{drawn}.map((each) => each.classList.contains('none'))")
    assert limited[0] is False
    assert all(limited[1:])
    browser.evaluate("document.querySelector('#parallel-note button').click()")
    assert browser.evaluate(
        "document.activeElement === document.querySelector('#parallel-plot .lane')"
    )
    assert browser.problems() == []


def test_all_objectives_are_lanes_and_a_click_on_a_line_selects_its_network(browser, page, run):
    browser.open(page)
    assert count(browser, "#parallel-plot svg line.axis") == 6
    before = browser.evaluate(
        "document.querySelector('#parallel-plot path.chosen')?.attributes.d.value"
    )
    ends = (
        "(() => { document.querySelectorAll('#front-table tbody tr')[1].click();"
        "const d = document.querySelector('#parallel-plot path.chosen').getAttribute('d');"
        "const [x, y] = d.slice(1).split('L')[0].split(' ').map(Number);"
        "document.querySelector('#parallel-plot').scrollIntoView();"
        "const r = document.querySelector('#parallel-plot').getBoundingClientRect();"
        "return [r.x + x + 2, r.y + y, d]; })()"
    )
    x, y, after = browser.evaluate(ends)
    assert after != before
    browser.evaluate("document.querySelectorAll('#front-table tbody tr')[5].click()")
    browser.evaluate("document.querySelector('#parallel-plot').scrollIntoView()")
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    browser.settle()
    picked = text(browser, "#details h2 .mono")
    accuracies = {m.id: m.values["accuracy"] for m in run.front().members}
    second = text(browser, "#front-table tbody tr:nth-child(2) td")
    assert accuracies[picked] == pytest.approx(accuracies[second], abs=0.005)


def test_ranks_on_two_devices_are_drawn_with_their_agreement(browser, page, run):
    browser.open(page)
    members = run.front().members
    assert count(browser, "#ranks-plot g.rank") == len(members)
    columns = [[m.values[f"latency[{d}]"] for m in members] for d in ("cpu", "wafer-cs2")]
    tau = kendalltau(*columns).statistic
    assert f"is {tau:.2f} ".replace("-0.00", "0.00") in text(browser, "#ranks-note")


def test_checked_predictions_and_stopped_trials_are_shown(browser, run_maker):
    folder = run_maker(count=20)
    lines = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    for line in lines[:4]:
        entry = line["latency"]["cpu"]
        predicted = entry["median_s"] * 1.1
        line["latency"]["cpu"] = {
            "method": "fitted",
            "latency_s": predicted,
            "low_s": predicted * 0.95,
            "high_s": predicted * 1.05,
            "measured": entry,
        }
    lines[5] = {
        **lines[5], "status": "stopped", "latency": {}, "layers": [], "network": None,
        "network_hash": None, "metrics": {"epochs": 3, "accuracy": 0.7, "macs": 9},
    }  # fmt: skip
    (folder / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    browser.open(write_report(folder, ["html"])["html"])
    assert browser.problems() == []
    assert "1 stopped early" in text(browser, "#summary")
    assert "3" in text(browser, "#stopped-table tbody")
    assert count(browser, "#checks-plots circle") == 4
    caption = text(browser, "#checks-plots figcaption")
    assert "4 networks, 10.0 % off on average, 10.0 % at most; 0 of 4 inside" in caption


def test_a_curve_over_learned_examples_is_not_called_validation(browser, run_maker):
    folder = run_maker(count=6)
    for file in folder.glob("trials/*/history.csv"):
        head, _, rows = file.read_text().partition("\n")
        file.write_text(head.replace("accuracy", "learned_accuracy") + "\n" + rows)
    browser.open(write_report(folder, ["html"])["html"])
    assert "Accuracy by epoch (examples that it learned)" in text(browser, "#details")
    assert "Validation accuracy by epoch" not in text(browser, "#details")
    assert browser.problems() == []
