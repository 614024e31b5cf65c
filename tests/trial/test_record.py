"""A ledger is read to the last whole trial, and what is broken is named."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.files import append_line
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.record import Latency, LayerRecord, Trial

MEASURED = Latency(method="measured", value_s=3e-4, low_s=2.9e-4, high_s=3.2e-4, noise=0.02)
ANALYTIC = Latency(method="analytic", value_s=1e-7, note="no such machine was measured")
LAYER = LayerRecord(
    name="stem.conv",
    kind="conv",
    output_shape=(1, 16, 8, 8),
    dense_macs=9216,
    effective_macs=4608,
    parameters=144,
    nonzero_parameters=72,
    latency_share={"cpu": 0.25},
)
TRIAL = Trial(
    id="a1b2c3",
    number=3,
    kind="sparse",
    status="finished",
    config={"kind": "sparse", "sparsity": 0.83},
    seed=123,
    metrics={"accuracy": 0.98, "macs": 4608},
    latency={"cpu": MEASURED, "wafer-cs2": ANALYTIC},
    network={"format": 1, "choices": {"stem": 16}},
    network_hash="00ff",
    layers=(LAYER,),
    duration_s=3.2,
)
FAILED = Trial(
    id="d4", number=4, kind="growth", status="failed", config={}, seed=1, error="loss is nan"
)


def write(path, *lines: str) -> None:
    path.write_text("".join(line + "\n" for line in lines))


def changed(**changes) -> str:
    return json.dumps({**TRIAL.to_json(), **changes})


def test_what_was_appended_is_read_again_in_order(tmp_path):
    ledger = tmp_path / "trials.jsonl"
    for trial in (TRIAL, FAILED):
        append_line(ledger, trial.to_line())
    found = read_ledger(ledger)
    assert found.trials == (TRIAL, FAILED)
    assert found.notes == ()
    assert found.by_id()["d4"].error == "loss is nan"


def test_a_latency_says_its_method_with_its_value():
    assert MEASURED.to_json()["median_s"] == 3e-4
    assert ANALYTIC.to_json() == {
        "method": "analytic",
        "latency_s": 1e-7,
        "note": "no such machine was measured",
    }


def test_a_ledger_that_is_not_there_is_empty(tmp_path):
    assert read_ledger(tmp_path / "trials.jsonl").trials == ()


@settings(deadline=None, max_examples=25)
@given(st.integers(1, len(TRIAL.to_line()) - 1))
def test_a_last_line_cut_anywhere_is_ignored_with_a_note(tmp_path_factory, length):
    ledger = tmp_path_factory.mktemp("ledger") / "trials.jsonl"
    ledger.write_text(FAILED.to_line() + "\n" + TRIAL.to_line()[:length])
    found = read_ledger(ledger)
    assert found.trials == (FAILED,)
    assert len(found.notes) == 1
    assert f"{ledger}:2: a line cut short" in found.notes[0]


@settings(deadline=None, max_examples=25)
@given(st.integers(1, len(TRIAL.to_line()) - 1))
def test_a_cut_line_that_a_later_trial_follows_is_ignored_too(tmp_path_factory, length):
    ledger = tmp_path_factory.mktemp("ledger") / "trials.jsonl"
    ledger.write_text(TRIAL.to_line()[:length])
    append_line(ledger, FAILED.to_line())
    found = read_ledger(ledger)
    assert found.trials == (FAILED,)
    assert len(found.notes) == 1


def test_a_whole_last_line_without_its_line_break_counts(tmp_path):
    ledger = tmp_path / "trials.jsonl"
    ledger.write_text(TRIAL.to_line())
    assert read_ledger(ledger).trials == (TRIAL,)


def test_brackets_inside_a_string_do_not_make_a_line_whole(tmp_path):
    ledger = tmp_path / "trials.jsonl"
    write(ledger, '{"id": "a\\"}]}', FAILED.to_line())
    assert read_ledger(ledger).trials == (FAILED,)


def test_a_trial_that_comes_twice_keeps_its_later_entry(tmp_path):
    ledger = tmp_path / "trials.jsonl"
    write(ledger, changed(seed=1), FAILED.to_line(), changed(seed=2))
    found = read_ledger(ledger)
    assert [(trial.id, trial.seed) for trial in found.trials] == [("d4", 1), ("a1b2c3", 2)]
    assert "comes again" in found.notes[0]


PREDICTED = Latency(method="fitted", value_s=1.1, low_s=1.0, high_s=1.3, device="cpu")
CHECKED = dataclasses.replace(PREDICTED, measured=Latency(method="measured", value_s=1.0))


def test_a_predicted_latency_keeps_what_was_measured_afterwards():
    again = Latency.from_json(json.loads(json.dumps(CHECKED.to_json())))
    assert again == CHECKED
    assert again.error == pytest.approx(0.1)
    assert (PREDICTED.error, PREDICTED.to_json().get("measured")) == (None, None)


def test_a_trial_that_comes_again_measured_replaces_the_first_in_its_place(tmp_path):
    ledger = tmp_path / "trials.jsonl"
    first, checked = (
        dataclasses.replace(TRIAL, latency={"cpu": entry}) for entry in (PREDICTED, CHECKED)
    )
    write(ledger, first.to_line(), FAILED.to_line(), checked.to_line())
    found = read_ledger(ledger)
    assert found.trials == (checked, FAILED)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("not json", "Expecting value"),
        ("[]", "one JSON object"),
        ("{}", "id is missing"),
        (changed(status="running"), "none of finished, failed, stopped"),
        (changed(number=None), "number"),
        (changed(number="x"), "number = 'x'"),
        (changed(id="../../etc"), "letters, digits"),
        (changed(id=""), "letters, digits"),
        (changed(metrics=[1]), "metrics is not an object"),
        (changed(metrics={"accuracy": "high"}), "accuracy = 'high'"),
        (changed(metrics={"accuracy": True}), "accuracy = True"),
        (changed(metrics={"accuracy": None}), "accuracy = None"),
        (changed(metrics={"accuracy": float("nan")}), "NaN is not a finite"),
        (changed(latency={"cpu": {"method": "guessed"}}), "latency of cpu: method = 'guessed'"),
        (changed(latency={"cpu": {"method": "measured"}}), "latency of cpu: median_s is missing"),
        (changed(layers=[3]), "a layer is not an object"),
        (changed(layers=[{"name": "stem"}]), "layer stem: dense_macs is missing"),
        (changed(latency={"cpu": 3}), "latency of cpu is not an object"),
        (changed(latency={"cpu": {"method": ["measured"]}}), "cpu: method = ['measured'] is none"),
        (
            changed(latency={"tpu": {"method": "fitted", "median_s": 1}}),
            "latency of tpu: latency_s is missing",
        ),
        (
            changed(latency={"tpu": {"method": "fitted", "latency_s": "1", "median_s": 1}}),
            "latency of tpu: latency_s = '1' is not a finite number",
        ),
        (
            changed(latency={"cpu": {**ANALYTIC.to_json(), "measured": {"method": "measured"}}}),
            "latency of cpu: measured.median_s is missing",
        ),
        (changed(rungs=[{"epoch": 1, "values": {}}, 3]), "a rung is not an object"),
        (changed(rungs=[{"epoch": 1, "values": {"a": "b"}}]), "rung 1: values.a = 'b' is not a"),
        (changed(config={"deep": [float("inf")]}), "Infinity is not a finite"),
        (changed(number=1.5), "number = 1.5 is not a whole number"),
        (changed(id=7), "id = 7 is not text"),
    ],
)
def test_a_whole_line_that_is_no_trial_is_named_with_its_place_and_the_remedy(
    tmp_path, line, words
):
    ledger = tmp_path / "trials.jsonl"
    write(ledger, FAILED.to_line(), line, TRIAL.to_line())
    with pytest.raises(UsageError) as caught:
        read_ledger(ledger)
    message = str(caught.value)
    assert f"{ledger}:2: not a trial" in message
    assert words in message
    assert "Remove this line" in message


def test_a_number_that_is_not_finite_is_never_written():
    broken = Trial(
        id="a", number=0, kind="growth", status="finished", config={}, seed=0,
        metrics={"accuracy": float("nan")},
    )  # fmt: skip
    with pytest.raises(ValueError, match="JSON"):
        broken.to_line()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: "inf" not in repr(value))
NUMBERS = st.integers(-(10**30), 10**30) | st.floats(-1e30, 1e30)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(), JSON, max_size=3), st.dictionaries(st.text(), NUMBERS))
def test_a_line_is_read_and_written_again_byte_for_byte(config, metrics):
    line = dataclasses.replace(TRIAL, config=config, metrics=metrics).to_line()
    read = Trial.from_line(line.encode())
    assert read.to_line() == line
    assert read == Trial.from_json(json.loads(line))


def test_what_a_line_leaves_out_is_not_written_either():
    data = TRIAL.to_json()
    assert list(data)[-1] == "error"
    assert data["network"] == TRIAL.network
    assert FAILED.to_json()["network"] is None
    assert list(data["latency"]["wafer-cs2"]) == ["method", "latency_s", "note"]
    assert "latency_share" not in dataclasses.replace(LAYER, latency_share={}).to_json()


def test_of_an_older_line_what_is_missing_or_null_is_not_known():
    old = {"id": "d4", "number": 4.0, "kind": "growth", "status": "failed", "layers": None}
    assert Trial.from_json(old) == dataclasses.replace(FAILED, seed=0, error=None)
    assert repr(Trial.from_json(old).number) == "4"
    assert Trial.from_line(json.dumps(old).encode()) == Trial.from_json(old)


def test_an_estimate_is_read_by_its_own_key_whatever_else_is_there():
    data = {"median_s": 2.0, **ANALYTIC.to_json()}
    assert Latency.from_json(data) == ANALYTIC


def test_half_a_character_of_an_error_message_is_read_and_written_as_a_visible_escape():
    # Only Python's own reader takes such an escape; a trial may end with any message.
    line = FAILED.to_line().replace("loss is nan", "\\ud800").encode()
    again = Trial.from_line(line).to_line()
    assert "ud800" in again
    assert Trial.from_line(again.encode()).to_line() == again


def test_keys_of_a_later_version_are_left_alone():
    assert Trial.from_json({**TRIAL.to_json(), "energy": {"cpu": 1}}) == TRIAL


@pytest.mark.parametrize("share", [{"cpu": 1.5}, {"cpu": "much"}, [0.1]])
def test_shares_that_are_none_are_named(share, tmp_path):
    layers = [{**LAYER.to_json(), "latency_share": share}]
    write(tmp_path / "trials.jsonl", changed(layers=layers), TRIAL.to_line())
    with pytest.raises(UsageError, match="latency_share"):
        read_ledger(tmp_path / "trials.jsonl")
