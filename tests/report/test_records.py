import json

from growsearch.report.kept_layers import read_kept_layers
from growsearch.report.records import read_records


def _write(folder, name, lines):
    folder.mkdir(exist_ok=True)
    text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    (folder / f"{name}.jsonl").write_text(text)


def test_figures_over_all_layers_become_columns(tmp_path):
    _write(
        tmp_path,
        "spectra",
        [
            {
                "epoch": 0,
                "layers": {"a": {}},
                "mean": {"ramanujan_gap": 1.5, "biregular_gap": None},
            },
            {"epoch": 1, "layers": {"a": {}}, "mean": {"ramanujan_gap": 1.25, "biregular_gap": 2}},
        ],
    )
    _write(tmp_path, "gradient_flow", [{"epoch": 0, "layers": {"a": 3.0}, "all": 3.0, "mean": 3.0}])
    assert read_records(tmp_path, ["spectra", "gradient_flow"]) == {
        "spectra": {
            "epoch": [0, 1],
            "ramanujan_gap": [1.5, 1.25],
            "biregular_gap": [None, 2],
        },
        "gradient_flow": {"epoch": [0], "all": [3.0], "mean": [3.0]},
    }


def test_a_line_that_is_cut_short_ends_its_record(tmp_path):
    line = {"epoch": 0, "mean": {"ramanujan_gap": 1.0}}
    _write(tmp_path, "spectra", [line, '{"epoch": 1, "mea', line])
    assert read_records(tmp_path, ["spectra"])["spectra"]["epoch"] == [0]


def test_what_is_not_there_or_not_known_is_left_out(tmp_path):
    _write(tmp_path, "spectra", ["\n"])
    assert read_records(tmp_path, ["spectra", "gradient_flow", "../study"]) == {}


def test_layers_that_kept_their_width_are_read_to_the_first_line_that_is_none(tmp_path):
    assert read_kept_layers(tmp_path) == ()
    line = '{"name": "stem\\u202e", "reason": "it is frozen", "parameters": 0.25, "macs": 0.5}'
    (tmp_path / "kept.jsonl").write_text(f"{line}\n{line[:-8]}\n{line}\n")
    (kept,) = read_kept_layers(tmp_path)
    assert (kept.reason, kept.parameters, kept.macs) == ("it is frozen", 0.25, 0.5)
    assert "\u202e" not in kept.name
