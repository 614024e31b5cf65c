"""Every format is written, complete and safe, from any run."""

import csv
import dataclasses
import io
import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import pyarrow.parquet as parquet
import pytest

from growsearch.errors import UsageError
from growsearch.report import FORMATS, read_run, write_report
from growsearch.report.html_page import embed_json, render_html

HOSTILE = "</script><script>alert(1)</script><!-- | [x](y) `z` \u2028 ' \""


@pytest.fixture(params=sorted(FORMATS))
def form(request) -> str:
    return request.param


def test_a_format_is_written_where_its_name_says(form, run_maker):
    folder = run_maker(count=8)
    written = write_report(folder, [form])
    assert written == {form: folder / FORMATS[form].file}
    assert written[form].stat().st_size > 500


def test_a_format_is_written_again_with_the_same_content(form, run_maker):
    folder = run_maker(count=8)
    before = write_report(folder, [form])[form].read_bytes()
    assert write_report(folder, [form])[form].read_bytes() == before


def test_a_format_can_do_without_a_finished_trial(form, run_maker):
    folder = run_maker(count=0)
    assert write_report(folder, [form])[form].stat().st_size > 0


def test_a_format_can_do_with_one_trial_and_one_objective(form, run_maker, study):
    folder = run_maker(count=1, study={**study, "objectives": {"accuracy": "maximize"}})
    assert write_report(folder, [form])[form].stat().st_size > 0


def test_a_format_can_do_without_a_latency(form, run_maker, study):
    bare = {"name": "bare", "objectives": {"accuracy": "maximize", "macs": "minimize"}}
    folder = run_maker(count=5, study=bare)
    trials = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    for trial in trials:
        trial["latency"] = {}
        trial["metrics"] = {
            k: v for k, v in trial["metrics"].items() if not k.startswith("latency")
        }
    (folder / "trials.jsonl").write_text("".join(json.dumps(t) + "\n" for t in trials))
    assert write_report(folder, [form])[form].stat().st_size > 0


def test_an_unknown_format_lists_the_valid_ones(run_folder):
    with pytest.raises(UsageError, match=r"unknown 'doc'; valid: html, md, csv, json, png"):
        write_report(run_folder, ["doc"])


def test_the_json_is_what_the_published_schema_says(run_maker):
    schema = json.loads(
        resources.files("growsearch.report").joinpath("schema/report.schema.json").read_text()
    )
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for count in (0, 25):
        data = json.loads(write_report(run_maker(count=count), ["json"])["json"].read_text())
        validator.validate(data)
    data["choices"][0]["budget"] = 1
    assert not validator.is_valid(data)


def test_the_parquet_file_has_every_trial_with_its_types(run_maker):
    folder = run_maker(count=25)
    run = read_run(folder)
    table = parquet.read_table(write_report(folder, ["parquet"])["parquet"])
    assert table.num_rows == len(run.trials)
    rows = table.to_pylist()
    assert [row["id"] for row in rows if row["front"]] == [
        trial.id for trial in run.trials if trial.id in {m.id for m in run.front().members}
    ]
    for row, trial in zip(rows, run.trials, strict=True):
        assert row["status"] == trial.status
        assert row["accuracy"] == trial.metrics.get("accuracy")
        assert json.loads(row["config"]) == trial.config
    assert str(table.schema.field("latency[cpu].low_s").type) == "double"


def test_the_latex_table_has_a_row_for_each_member_and_marks_estimates(run_maker):
    folder = run_maker(count=12)
    run = read_run(folder)
    text = write_report(folder, ["tex"])["tex"].read_text()
    rows = [line for line in text.splitlines() if line.endswith(r"\\")][1:]
    assert [row.split(" & ")[0] for row in rows] == [m.id for m in run.front().members]
    columns = text.splitlines()[1].rpartition("{")[2].count("r")
    for row in rows:
        assert row.count(" & ") == columns + 1
        # The wafer is analytic, the CPU was measured.
        assert row.split(" & ")[4].strip().endswith("ns*")
        assert not row.split(" & ")[3].endswith("*")
        assert "%" not in row.replace(r"\%", "")


def test_a_vector_picture_keeps_its_text(run_maker):
    folder = run_maker(count=8)
    assert ">Latency on cpu" in write_report(folder, ["svg"])["svg"].read_text()
    assert write_report(folder, ["pdf"])["pdf"].read_bytes().startswith(b"%PDF")


def test_the_table_has_a_row_for_each_member_in_base_units(run_maker):
    folder = run_maker(count=12)
    run = read_run(folder)
    rows = list(csv.DictReader(io.StringIO(write_report(folder, ["csv"])["csv"].read_text())))
    members = run.front().members
    assert [row["id"] for row in rows] == [member.id for member in members]
    for row, member in zip(rows, members, strict=True):
        assert float(row["latency[cpu]"]) == member.values["latency[cpu]"]
        assert row["latency[cpu].method"] == "measured"
        assert row["latency[wafer-cs2].method"] == "analytic"
        assert json.loads(row["config"]) == run.trial(member.id).config


def test_the_json_tells_the_front_the_choices_and_the_reference(run_maker):
    folder = run_maker(count=12)
    run = read_run(folder)
    data = json.loads(write_report(folder, ["json"])["json"].read_text())
    assert [member["id"] for member in data["front"]] == [m.id for m in run.front().members]
    assert [choice["device"] for choice in data["choices"]] == ["cpu", "wafer-cs2"]
    assert data["hypervolume"]["reference"] == run.front().nadir()
    assert data["failed"] == [{"id": t.id, "error": t.error} for t in run.failed]


def test_the_text_says_how_each_latency_was_found(run_maker):
    text = (write_report(run_maker(count=12), ["md"])["md"]).read_text()
    assert "(measured, " in text
    assert "(analytic, " in text
    assert "no such machine was measured" in text
    assert "## Failed trials" in text
    assert "the loss became nan in epoch 2" in text


def test_the_picture_is_a_png_that_can_be_read(run_maker):
    content = write_report(run_maker(count=12), ["png"])["png"].read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    # Two panels of 4.6 x 3.8 inches at 160 dots an inch.
    assert (width, height) == (1472, 608)


def hostile_run(run_maker, study):
    folder = run_maker(count=5, study={**study, "dataset": HOSTILE})
    trials = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    trials[1]["config"]["transform"] = HOSTILE
    trials[1]["kind"] = "__proto__"
    trials[2] |= {"status": "failed", "error": HOSTILE}
    (folder / "trials.jsonl").write_text("".join(json.dumps(t) + "\n" for t in trials))
    return folder


def test_hostile_text_never_becomes_markup_in_the_page(run_maker, study):
    page = write_report(hostile_run(run_maker, study), ["html"])["html"].read_text()
    assert page.count("<script") == 2
    assert page.count("</script>") == 2
    assert "alert(1)" in page


def test_hostile_text_never_becomes_markup_in_the_text(run_maker, study):
    text = write_report(hostile_run(run_maker, study), ["md"])["md"].read_text()
    outside_the_fence = text.partition("## Settings")[0]
    assert "<script" not in outside_the_fence
    assert "&lt;/script>" in outside_the_fence


def test_embedded_json_is_the_same_data_and_holds_no_markup():
    data = {"text": HOSTILE, "number": 0.1, "surrogate": "\ud800"}
    text = embed_json(data)
    assert json.loads(text) == data
    assert not set("<>&") & set(text)
    assert text.isascii()


def test_embedded_json_has_no_numbers_that_json_lacks():
    data = {"far": float("inf"), "none": float("nan"), "path": Path("a/b"), "small": 1e-7}
    assert json.loads(embed_json(data)) == {"far": None, "none": None, "path": "a/b", "small": 1e-7}


@pytest.mark.parametrize(
    ("name", "needless"), [("html", {"torch", "matplotlib", "rich.table"}), ("png", {"torch"})]
)
def test_a_format_imports_only_what_it_needs(run_maker, name, needless):
    folder = run_maker(count=8)
    code = (
        "import sys; from pathlib import Path; from growsearch.report import write_report\n"
        f"write_report(Path({str(folder)!r}), [{name!r}])\n"
        f"print(sorted({needless!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_page_loads_nothing_and_says_so_to_the_browser(run_maker):
    page = write_report(run_maker(count=5), ["html"])["html"].read_text()
    assert "default-src 'none'" in page
    assert "unsafe-inline" not in page
    for word in (" src=", " href=", "@import", "url(", "fetch(", "XMLHttpRequest", "innerHTML"):
        assert word not in page


def test_ten_thousand_trials_stay_below_eight_megabytes(run_folder):
    run = read_run(run_folder)
    many = [
        dataclasses.replace(trial, id=f"{trial.id}{copy:03}")
        for copy in range(250)
        for trial in run.trials
    ]
    page = render_html(dataclasses.replace(run, trials=tuple(many)))
    assert 4_000_000 < len(page.encode()) < 8_000_000
