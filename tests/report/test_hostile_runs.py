"""Run folders that others wrote: what is refused, and what is shown without harm."""

import csv
import io
import json
import os
import re

import pytest
import yaml

from growsearch.comparison import comparison_lines
from growsearch.comparison.comparison import compare
from growsearch.comparison.text import render_markdown as comparison_markdown
from growsearch.errors import GrowsearchError, UsageError
from growsearch.report import choice_lines, front_table, read_run, study_choice, write_report
from growsearch.report.evaluations import read_evaluation
from growsearch.report.formats import FORMATS
from growsearch.report.run_data import read_history

# C0 and C1 but tab and line feed, and what turns the direction of writing.
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
EVIL = "\x1b[31m\x1b]0;owned\x07\u202e\x9b"


def refused(folder) -> str:
    with pytest.raises(UsageError) as caught:
        read_run(folder)
    message = str(caught.value)
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("objectives: [accuracy]", "has no objectives"),
        ("objectives: {accuracy: [maximize]}", "study.yaml:1: objectives.accuracy"),
        ("objectives: {accuracy: maximize}\nname: [x]", "study.yaml:2: name: is no text"),
        ("objectives: {accuracy: maximize}\ndataset: 5", "study.yaml:2: dataset: is no text"),
        ("objectives: {accuracy: maximize}\nconstraints: 5", "constraints: is no mapping"),
        ("objectives: {accuracy: maximize}\nconstraints: {macs: [1]}", "write {max: VALUE}"),
        ("objectives: {accuracy: maximize}\nprovenance: x", "provenance: is no mapping"),
        ("objectives: {accuracy: maximize}\nselect: [1]", "select: is no mapping"),
        ("objectives: {accuracy: maximize}\nselect: {prefer: [a]}", "select.prefer: is none of"),
        ("objectives: {accuracy: maximize}\nselect: {max: {macs: []}}", "macs = [] is not a value"),
        ("objectives: {accuracy: maximize}\nselect: {confidence: 2}", "between 0 and 1"),
        ("objectives: {accuracy: maximize}\nselect: {ties: both}", "select.ties: is none of auto"),
        ("objectives: {accuracy: maximize}\nselect: {ties: [a]}", "select.ties: is none of auto"),
        (
            "objectives: {accuracy: maximize}\nselect: {ties: highest, prefer: knee}",
            "select.ties: goes with prefer: accuracy, not with knee",
        ),
        ("objectives: {accuracy: maximize}\nselect: {weights: {a: x}}", "no mapping of numbers"),
        ("objectives: {accuracy: maximize}\nselect: {prefer: weights}", "go together"),
        ("objectives: {accuracy: maximize}\nsearch: {seed: .nan}", "search.seed: nan is no finite"),
        ("objectives: {accuracy: maximize}\nobjectives: {macs: minimize}", "stands twice"),
        ("a: &a {b: *a}", "holds itself"),
        ("!!python/object/apply:os.system [x]", "cannot be read"),
        ("\x00", "cannot be read"),
        ("[" * 10_000, "nested"),
    ],
)
def test_a_resolved_study_of_any_other_shape_is_refused_with_the_remedy(tmp_path, change, words):
    (tmp_path / "study.yaml").write_text(change)
    message = refused(tmp_path)
    assert words in message
    assert "restore it from its study" in message


@pytest.mark.parametrize("name", ["study.yaml", "trials.jsonl", "rejected.jsonl"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "loop"])
def test_a_file_that_is_none_is_named_and_not_waited_for(run_maker, name, kind):
    folder = run_maker(count=2)
    path = folder / name
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path.name)
    assert str(path) in refused(folder)


@pytest.mark.parametrize(
    "number", ["1e999", "-1e999", "NaN", "Infinity", "9" * 5000, "9" * 400, "1e31", '"1"', "true"]
)
def test_a_measure_that_is_no_number_is_refused_by_line(run_maker, number):
    folder = run_maker(count=3)
    path = folder / "trials.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([re.sub(r'"macs": \d+', f'"macs": {number}', first), *rest]) + "\n")
    message = refused(folder)
    assert "trials.jsonl:1: not a trial" in message
    assert len(message) < 1000


@pytest.mark.parametrize(
    "change",
    [
        {"id": ["x"]},
        {"number": -1},
        {"number": 1e30},
        {"number": 0.5},
        {"kind": {"a": 1}},
        {"seed": "x"},
        {"seed": 10**30},
        {"config": []},
        {"layers": 5},
        {"layers": [{"dense_macs": 1, "output_shape": ["a"]}]},
        {"metrics": {"accuracy": [0.5]}},
        {"latency": {"cpu": {"method": ["measured"]}}},
        {"latency": {"cpu": {"method": "measured", "median_s": 0}}},
        {"latency": {"cpu": {"method": "measured", "median_s": 1, "low_s": 2, "high_s": 1}}},
        {"latency": {"cpu": {"method": "measured", "median_s": 1, "noise": -1}}},
        {"latency": {"cpu": {"method": "measured", "median_s": 1, "device": ["x"]}}},
        {"rungs": 3},
        {"rungs": [{"epoch": 1, "values": [1]}]},
        {"error": 5},
        {"config": {"a": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}},
    ],
)
def test_a_ledger_line_of_any_other_shape_is_refused_by_line(run_maker, change):
    folder = run_maker(count=3)
    path = folder / "trials.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | change), *rest]) + "\n")
    assert "trials.jsonl:1: not a trial" in refused(folder)


def evil_run(run_maker, study):
    """A run whose every name is an escape code, a formula or markup."""
    folder = run_maker(count=6, study={**study, "name": f"run {EVIL}", "dataset": EVIL})
    path = folder / "trials.jsonl"
    trials = [json.loads(line) for line in path.read_text().splitlines()]
    for place, trial in enumerate(trials):
        trial["kind"] = f"=kind{EVIL}"
        trial["config"] |= {"space": f"=2+2{EVIL}"}
        trial["config"] |= {"transform": f"=cmd|' /C calc'!A0{EVIL}", "record": [EVIL, 5]}
        trial["metrics"] |= {f"=1+1{EVIL}": 1.0, f"@x[{EVIL}]": 2.0, f"latency[{EVIL}]": 1e-3}
        trial["latency"]["cpu"] |= {"device": f"[/bold]{EVIL}", "note": f"$\\frac{{{EVIL}"}
        trial["latency"][EVIL] = {"method": "analytic", "latency_s": 1e-3, "note": EVIL}
        if place == 1:
            trial |= {"status": "failed", "error": f"[/red] {EVIL} \ud800".replace("\ud800", "?")}
    path.write_text("".join(json.dumps(trial) + "\n" for trial in trials))
    return folder


def test_no_escape_code_of_a_run_reaches_a_page_a_text_or_a_table(run_maker, study):
    folder = evil_run(run_maker, study)
    written = write_report(folder, [name for name in FORMATS if name not in ("png", "pdf")])
    for name in ("html", "md", "csv", "tex", "svg"):
        text = written[name].read_text()
        assert not HIDDEN.search(text), name
        assert "owned" in text, name
    data = re.search(r'id="run-data">(.*?)</script>', written["html"].read_text(), re.DOTALL)
    assert not HIDDEN.search(json.dumps(json.loads(data[1]), ensure_ascii=False))


def test_no_escape_code_or_markup_of_an_objective_or_a_bound_reaches_a_page_or_a_text(
    run_maker, study
):
    first, second = f"@x[{EVIL}]", f"<img src=x onerror=alert(1)>|[a](b){EVIL}"
    objectives = {"accuracy": "maximize", first: "minimize", second: "minimize"}
    named = {**study, "objectives": objectives, "select": {"max": {second: 4.5}}}
    folder = run_maker(count=6, study=named)
    path = folder / "trials.jsonl"
    trials = [json.loads(line) for line in path.read_text().splitlines()]
    for place, trial in enumerate(trials):
        trial["metrics"] |= {first: 1.0 + place, second: 6.0 - place}
    trials[2] |= {"kind": "baseline", "config": {"kind": "baseline", "which": "mine"}}
    path.write_text("".join(json.dumps(trial) + "\n" for trial in trials))
    written = write_report(folder, ["html", "md"])
    assert "## Baselines" in written["md"].read_text()
    for name in ("html", "md"):
        text = written[name].read_text()
        assert not HIDDEN.search(text), name
        assert "owned" in text, name
    assert "<img" not in written["html"].read_text()
    # What stands in a fence is text to Markdown.
    text = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", written["md"].read_text(), flags=re.M | re.S)
    assert "<img" not in text
    assert "[a](b)" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    separators = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    assert len(set(separators[:3])) == 1


def test_no_cell_of_a_table_is_a_formula(run_maker, study):
    folder = evil_run(run_maker, study)
    rows = list(csv.reader(io.StringIO(write_report(folder, ["csv"])["csv"].read_text())))
    assert any(cell.startswith("'=1+1") for cell in rows[0])
    assert any(cell.startswith("'@x") for cell in rows[0])
    assert all(row[2].startswith("'=kind") for row in rows[1:])
    assert all(row[3].startswith("'=") for row in rows[1:])
    # Numbers stay numbers, whatever their sign.
    assert all(float(row[0 + rows[0].index("macs")]) > 0 for row in rows[1:])


def test_no_escape_code_of_a_run_reaches_the_terminal(run_maker, study, capsys):
    from growsearch.commands.terminal import Terminal, say

    folder = evil_run(run_maker, study)
    run = read_run(folder)
    front = run.front()
    terminal = Terminal(width=200)
    terminal.print(front_table(front, run.trials))
    terminal.print(f"the first: {run.failed[0].error}", soft_wrap=True)
    for line in choice_lines(study_choice(run)):
        say(line)
    shown = capsys.readouterr().out
    assert not HIDDEN.search(shown)
    # Nothing was taken for markup, and no name lost a part.
    assert "[/red]" in shown
    assert "[/bold]" not in front_table(front, run.trials).columns[0].header


def test_no_escape_code_of_a_run_reaches_a_comparison(run_maker, study, capsys):
    from growsearch.commands.terminal import say

    found = compare([read_run(evil_run(run_maker, study)) for _ in range(2)])
    for line in comparison_lines(found):
        say(line)
    assert not HIDDEN.search(capsys.readouterr().out)
    assert not HIDDEN.search(comparison_markdown(found))


def test_a_colour_of_ours_still_reaches_a_terminal(monkeypatch):
    from growsearch.commands.terminal import Terminal

    terminal = Terminal(width=80)
    monkeypatch.setattr(terminal, "file", io.StringIO())
    terminal.print("a\x1b[31mb", style="bold")
    assert r"a\x1b[31mb" in terminal.file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        "[1]",
        "{}",
        '{"metrics": 5}',
        '{"metrics": {"ece": 1e999}}',
        '{"metrics": {"ece": true}}',
        '{"metrics": {"ece": "a"}}',
        '{"metrics": {"unheard": 1}}',
        '{"metrics": {"ece": 0.1}, "data": [1]}',
        '{"metrics": {"ece": 0.1}, "split": {}}',
        '{"metrics": {"ece": 0.1}, "examples": "x"}',
        "[" * 5000,
    ],
)
def test_an_evaluation_of_any_other_shape_is_refused(tmp_path, content):
    (tmp_path / "evaluation.json").write_text(content)
    with pytest.raises(UsageError, match="remove it to go without"):
        read_evaluation(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a" * (64 * 2**20 + 1), None])
def test_a_history_that_cannot_be_read_is_named(run_maker, content):
    folder = run_maker(count=1)
    run = read_run(folder)
    path = folder / "trials" / run.trials[0].id / "history.csv"
    path.unlink()
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"history\.csv cannot be read"):
        read_history(run, run.trials[0])


def test_a_history_with_a_column_twice_is_refused(run_maker):
    folder = run_maker(count=1)
    run = read_run(folder)
    path = folder / "trials" / run.trials[0].id / "history.csv"
    path.write_text("epoch,accuracy,accuracy\n1,0.5,0.6\n")
    with pytest.raises(UsageError, match="a column stands twice"):
        read_history(run, run.trials[0])


def test_what_a_format_cannot_show_is_one_message_that_names_it(run_maker, monkeypatch):
    import dataclasses

    def broken(_):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setitem(FORMATS, "tex", dataclasses.replace(FORMATS["tex"], render=broken))
    with pytest.raises(GrowsearchError, match=r"--format tex cannot show \(division by zero\)"):
        write_report(run_maker(count=2), ["tex"])


def test_a_run_without_a_hidden_character_is_shown_as_ever(run_maker):
    folder = run_maker(count=4)
    study = yaml.safe_load((folder / "study.yaml").read_text())
    assert dict(read_run(folder).study) == study
