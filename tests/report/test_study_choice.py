"""One choice for all: the page, the command line and Python take the same network."""

import json
import shutil
import subprocess
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.errors import UsageError
from growsearch.pareto import parse_bound
from growsearch.report import read_run, study_choice, trial_of
from growsearch.report.page_data import page_data
from growsearch.search.study import trial_export
from growsearch.trial.judged_examples import write_judged

OBJECTIVES = {"accuracy": "maximize", "latency[cpu]": "minimize", "macs": "minimize"}

# The page's own scripts, asked by line: the data and the bounds of its sliders, null before any
# was moved; answered by the chosen id, or null.
ASK = """
const lines = require("readline").createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const { data, bounds } = JSON.parse(line);
  const byId = () => ({ textContent: JSON.stringify(data) });
  const choose = new Function("byId", "bounds", `${process.argv[1]}
    const found = bounds === null ? DATA.choice.chosen : chooseInside(bounds);
    return found === null ? null : TRIALS.id[found];`);
  process.stdout.write(JSON.stringify(choose(byId, bounds)) + "\\n");
});
"""


@pytest.fixture(scope="module")
def page():
    """Ask the page's scripts for a choice."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine; install it to ask the page's scripts")
    place = files("growsearch.report") / "page"
    scripts = "\n".join((place / name).read_text() for name in ("axes.js", "data.js", "bounds.js"))
    process = subprocess.Popen(
        [node, "-e", ASK, scripts], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask(run, bounds):
        process.stdin.write(json.dumps({"data": page_data(run, 0), "bounds": bounds}) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield ask
    process.stdin.close()
    process.wait(timeout=10)
    process.stdout.close()


def line(number: int, accuracy: float, cpu: float, macs: int, noise: float = 0.0) -> dict:
    measured = {"method": "measured", "median_s": cpu, "noise": noise}
    return {
        "id": f"{number:03d}{(number * 7919) % 4096:03x}",
        "number": number,
        "kind": "growth",
        "status": "finished",
        "config": {"kind": "growth", "space": "resnet-digits", "budget": {"parameters": 0.28}},
        "metrics": {"accuracy": accuracy, "latency[cpu]": cpu, "macs": macs},
        "latency": {"cpu": measured},
        "network": {"format": 1},
        "network_hash": "0" * 16,
    }


def write_run(folder: Path, lines: list[dict], select: dict, examples: int = 0) -> Path:
    """Write a run; with ``examples`` each trial says which it is right about, the first ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in lines if examples else ():
        place = folder / "trials" / each["id"]
        place.mkdir(parents=True)
        right = np.arange(examples) < round(each["metrics"]["accuracy"] * examples)
        write_judged(place, right)
    study = {"name": "one", "dataset": "digits", "objectives": OBJECTIVES, "select": select}
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    (folder / "trials.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    return folder


@contextmanager
def nothing_exported(taken: list):
    """Let the command say what it takes, without weights to export."""
    before = trial_export.export_trial

    def take(_run, trial, *_places, **_options):
        taken.append(trial.id)
        raise UsageError("exported in other tests")

    trial_export.export_trial = take
    try:
        yield
    finally:
        trial_export.export_trial = before


def by_command(folder: Path, *flags: str) -> str | None:
    taken: list = []
    with nothing_exported(taken):
        CliRunner().invoke(app, ["select", str(folder), *flags])
    return taken[0] if taken else None


# Few different values, so that ties and bounds that are met exactly come up.
values = st.tuples(
    st.integers(60, 70), st.integers(1, 6), st.integers(1, 6), st.sampled_from([0.0, 0.02, 0.3])
)
limits = st.fixed_dictionaries(
    {},
    optional={
        "accuracy": st.integers(60, 70),
        "latency[cpu]": st.integers(1, 6),
        "macs": st.integers(1, 6),
    },
)
SCALES = {"accuracy": 1 / 70, "latency[cpu]": 1e-4, "macs": 1000}


def bounds_of(limit: dict[str, int]) -> dict[str, dict[str, float]]:
    scaled = {name: value * SCALES[name] for name, value in limit.items()}
    most = {n: f"{v!r} s" if "latency" in n else v for n, v in scaled.items() if n != "accuracy"}
    least = {n: v for n, v in scaled.items() if n == "accuracy"}
    return {key: found for key, found in (("max", most), ("min", least)) if found}


@settings(max_examples=60, deadline=None)
@given(
    trials=st.lists(values, min_size=1, max_size=9),
    limit=limits,
    prefer=st.sampled_from(["accuracy", "accuracy", "knee", "hypervolume"]),
    ties=st.sampled_from(["auto", "cheapest", "highest"]),
    examples=st.sampled_from([0, 70, 700, 70_000]),
)
def test_page_command_line_and_python_take_the_same_network(
    tmp_path_factory, page, trials, limit, prefer, ties, examples
):
    lines = [
        line(number, a * SCALES["accuracy"], c * 1e-4, m * 1000, noise)
        for number, (a, c, m, noise) in enumerate(trials)
    ]
    bounds = bounds_of(limit)
    folder = tmp_path_factory.mktemp("run")
    # The study's own choice: no flags, no argument, no slider moved.
    # Ties go with accuracy; to the cheapest with examples that are known.
    if prefer != "accuracy" or (ties == "cheapest" and not examples):
        ties = "auto"
    select = {**bounds, "prefer": prefer, "ties": ties}
    run = read_run(write_run(folder, lines, select, examples))
    assert run.examples == (examples or None)
    chosen = study_choice(run).chosen
    name = None if chosen is None else chosen.id
    found = run.front().select().chosen
    assert (None if found is None else found.id) == name
    assert by_command(folder) == name
    assert page(run, None) == name
    # Bounds of a person's own: flags, arguments, sliders.
    flags = [
        (f"--{key}", f"{objective}={value}")
        for key, limits in bounds.items()
        for objective, value in limits.items()
    ]
    parsed = [parse_bound(text, flag.removeprefix("--")) for flag, text in flags]
    found = run.front().select(parsed).chosen
    name = None if found is None else found.id
    assert found is None or found in run.front().members
    written = [part for flag in flags for part in flag] or ["--prefer", "accuracy"]
    assert by_command(folder, *written) == name
    assert page(run, [[b.objective, b.value] for b in parsed]) == name


def test_flags_take_the_place_of_all_that_the_study_asks_for(tmp_path):
    lines = [line(0, 0.9, 4e-4, 4000), line(1, 0.8, 1e-4, 1000), line(2, 0.85, 2e-4, 2000)]
    folder = write_run(tmp_path / "run", lines, {"max": {"macs": 1000}})
    assert by_command(folder) == lines[1]["id"]
    assert by_command(folder, "--prefer", "accuracy") == lines[0]["id"]
    assert by_command(folder, "--max", "latency[cpu]=0.2ms") == lines[2]["id"]


def test_any_network_is_taken_by_the_beginning_of_its_id(tmp_path):
    lines = [line(0, 0.9, 4e-4, 4000), line(1, 0.8, 1e-4, 1000)]
    folder = write_run(tmp_path / "run", lines, {})
    assert by_command(folder, "--trial", "001") == lines[1]["id"]
    assert by_command(folder, "--trial", lines[1]["id"]) == lines[1]["id"]
    done = CliRunner().invoke(app, ["select", str(folder), "--trial", "00"])
    ids = f"{lines[0]['id']}, {lines[1]['id']}"
    assert f"trial '00' begins 2 ids: {ids}; write more of it" in str(done.exception)
    done = CliRunner().invoke(app, ["select", str(folder), "--trial", "001", "--prefer", "knee"])
    assert "--prefer: chooses a network, and --trial names one" in str(done.exception)


def test_an_id_that_begins_another_is_found_as_it_is(tmp_path):
    lines = [{**line(0, 0.9, 4e-4, 4000), "id": "ab"}, {**line(1, 0.8, 1e-4, 9), "id": "abc"}]
    run = read_run(write_run(tmp_path / "run", lines, {}))
    assert (trial_of(run, "ab"), trial_of(run, "abc")) == ("ab", "abc")
    with pytest.raises(UsageError, match="'a' begins 2 ids: ab, abc; write more"):
        trial_of(run, "a")
    for nothing in ("", "b", "abcd"):
        with pytest.raises(UsageError, match="not in this run; finished ones: ab, abc"):
            trial_of(run, nothing)


def test_where_nothing_fits_the_study_the_command_tells_the_nearest_and_exports_nothing(tmp_path):
    lines = [line(0, 0.9, 4e-4, 4000)]
    folder = write_run(tmp_path / "run", lines, {"max": {"macs": 1000}})
    done = CliRunner().invoke(app, ["select", str(folder)])
    assert done.exit_code == 1
    assert "No network fits (macs <= 1,000)." in done.output
    assert not (folder / "export").exists()


def test_the_page_opens_with_the_device_that_the_study_chooses_for(run_maker, study):
    def first(**changed):
        run = read_run(run_maker(count=8, study={**study, **changed}))
        answers = page_data(run, 0)["choices"]
        assert sorted(each["device"] for each in answers) == ["cpu", "wafer-cs2"]
        return answers[0]["device"]

    assert first() == "cpu"
    assert first(select={"max": {"latency[wafer-cs2]": "1 s"}}) == "wafer-cs2"
    wafer = ("accuracy", "latency[wafer-cs2]")
    others = {name: way for name, way in study["objectives"].items() if name in wafer}
    assert first(select={}, objectives=others) == "wafer-cs2"
