"""What cannot be told apart is said so: accuracies, latencies, and how a tie was broken."""

import json

import numpy as np
import pytest

from growsearch.errors import UsageError
from growsearch.pareto import Bound, Point, Wishes
from growsearch.report import choice_lines, choose, read_run, study_choice, write_report
from growsearch.report.choice.told_apart import accuracy_interval, faster, given_up, paired
from growsearch.report.device_choice import device_choices, headline
from growsearch.trial.judged_examples import write_judged

STUDY = "objectives: {accuracy: maximize, 'latency[cpu]': minimize}\nname: told\n"
COUNT = 200


def line(name: str, accuracy: float, cpu: float, noise: float) -> dict:
    return {
        "id": name,
        "number": 0,
        "kind": "growth",
        "status": "finished",
        "config": {"kind": "growth", "space": "resnet-digits", "budget": {"parameters": 0.28}},
        "metrics": {"accuracy": accuracy, "latency[cpu]": cpu},
        "latency": {"cpu": {"method": "measured", "median_s": cpu, "noise": noise}},
    }


@pytest.fixture
def make_run(tmp_path):
    """Make a run of networks: name -> (wrong examples, latency, noise)."""

    def make(select: str = "", **networks):
        lines = []
        for name, (wrong, cpu, noise) in networks.items():
            right = np.ones(COUNT, dtype=bool)
            right[wrong] = False
            folder = tmp_path / "trials" / name
            folder.mkdir(parents=True)
            write_judged(folder, right)
            lines.append(line(name, int(right.sum()) / COUNT, cpu, noise))
        (tmp_path / "study.yaml").write_text(STUDY + select)
        (tmp_path / "trials.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
        return read_run(tmp_path)

    return make


def test_two_networks_are_compared_on_the_same_examples(make_run):
    run = make_run(a=([1, 2, 3], 1e-3, 0.0), b=([3, 4, 5, 6, 7, 8, 9], 2e-3, 0.0))
    found = paired(run, run.trial("a"), run.trial("b"))
    # a alone is right about 4 to 9, b alone about 1 and 2.
    assert (found.only_first, found.only_second) == (6, 2)
    # 2 x (1 + 8 + 28)/256 - 28/256
    assert found.p_value == pytest.approx(46 / 256)
    assert found.say() == "alone right: 6 and 2, p = 0.18"
    assert not found.apart


def test_the_rule_is_told_with_the_highest_and_how_to_turn_it_off(make_run):
    # 195 of 200; its error is 2.2 examples.
    run = make_run(best=(slice(0, 5), 4e-3, 0.0), cheap=(slice(1, 8), 1e-3, 0.0))
    choice = study_choice(run)
    assert choice.chosen.id == "cheap"
    lines = choice_lines(choice)
    text = " ".join(" ".join(lines).split())
    assert "96.50 % (93.0 % to 98.3 %, 200 examples)" in text
    assert (
        "The one-standard-error rule took the cheapest of 2 networks within 1.1 points (one "
        "standard error of 200 examples) of the highest accuracy, 97.50 % of best; --ties highest "
        "(in a study, select: {ties: highest}) takes that one. On the same examples the two are "
        "not told apart (alone right: 1 and 3, p = 0.38; McNemar)."
    ) in text
    assert "not told from the choice by accuracy (alone right: 1 and 3, p = 0.38; McNemar)" in text
    assert max(map(len, lines)) <= 80


def test_where_the_highest_is_asked_for_the_cheapest_within_its_error_is_told(make_run):
    run = make_run(
        "select: {ties: highest}", best=(slice(0, 5), 4e-3, 0.0), cheap=(slice(1, 8), 1e-3, 0.0)
    )
    choice = study_choice(run)
    assert choice.chosen.id == "best"
    text = " ".join(" ".join(choice_lines(choice)).split())
    assert (
        "1 more are within 1.1 points, one standard error of 200 examples; the cheapest of them is "
        "cheap, 96.50 %: --ties cheapest takes it."
    ) in text


@pytest.mark.parametrize("damaged", [False, True])
def test_ties_that_cannot_be_told_any_more_take_the_highest_and_say_so(make_run, damaged):
    run = make_run(
        "select: {ties: cheapest}", best=(slice(0, 5), 4e-3, 0.0), cheap=(slice(1, 8), 1e-3, 0.0)
    )
    assert study_choice(run).chosen.id == "cheap"
    for file in run.folder.glob("trials/*/validation.json"):
        file.write_text("{") if damaged else file.unlink()
    run = read_run(run.folder)
    choice = study_choice(run)
    assert choice.chosen.id == "best"
    text = " ".join(" ".join(choice_lines(choice)).split())
    assert "The study asks for ties: cheapest." in text
    assert "not known (no trial has a readable validation.json)" in text
    assert run.front().select().chosen.id == "best"
    assert max(map(len, choice_lines(choice))) <= 80
    write_report(run.folder)
    # A person who asks for it is told why not.
    with pytest.raises(UsageError, match="--ties cheapest: how many validation examples"):
        choose(run, Wishes(ties="cheapest"))


def test_a_choice_without_a_tie_says_nothing_of_one(make_run):
    run = make_run(best=(slice(0, 5), 1e-3, 0.0), poor=(slice(0, 50), 4e-3, 0.0))
    text = "\n".join(choice_lines(study_choice(run)))
    assert "standard error" not in text
    assert "not told from" not in text


def test_latencies_within_their_noise_are_said_to_be_alike(make_run):
    run = make_run(
        "select: {ties: highest}",
        best=(slice(0, 5), 1.00e-3, 0.03),
        other=(slice(0, 50), 0.98e-3, 0.03),
    )
    text = "\n".join(choice_lines(study_choice(run)))
    assert "    not told from the choice by latency on cpu" in text


def test_nobody_is_told_that_something_is_one_time_as_fast():
    def point(value: float, noise: float = 0.0) -> Point:
        return Point(id="x", values={"latency": value}, noise={"latency": noise})

    said = {ratio: faster(point(1.0), point(ratio), "latency") for ratio in (2, 1.04, 1.1, 0.97)}
    assert said == {
        2: "is 2.0 times as fast",
        1.04: "is 4 % faster",
        1.1: "is 1.1 times as fast",
        0.97: "takes 3.1 % longer",
    }
    assert faster(point(1.0), point(0.5), "latency") == "takes 2.0 times as long"
    assert faster(point(1.0), point(1.0), "latency") == "is as fast"
    assert faster(point(1.0), point(1.00005), "latency") == "is as fast to 0.1 %"
    assert faster(point(1.0), point(0.99995), "latency") == "is as fast to 0.1 %"
    assert faster(point(1.0, 0.03), point(1.05, 0.03), "latency") == (
        "cannot be told from it in latency"
    )
    every = [faster(point(1.0), point(0.8 + 0.001 * step), "latency") for step in range(500)]
    assert not [text for text in every if "1.0 times" in text]


def test_the_headline_says_what_no_example_tells_apart(make_run):
    run = make_run(best=(slice(0, 5), 4e-3, 0.0), cheap=(slice(1, 8), 1e-3, 0.0))
    (choice,) = device_choices(run)
    assert choice.rule == "cheapest within a standard error of the best accuracy, no bound set"
    assert headline(choice, "accuracy").endswith(
        "it gives up 1.00 points of accuracy (within one standard error of 200 examples) and is "
        "4.0 times as fast."
    )
    assert given_up(1.0, 0.97, 0.96, None) == "1.00 points of accuracy"
    assert given_up(0.0, 0.97, 0.97, None) == "no accuracy"
    assert given_up(0.004, 0.97, 0.96996, None) == "under 0.01 points of accuracy"
    assert accuracy_interval(0.9, None) == ""


def test_a_choice_by_test_data_is_warned_of(make_run, tmp_path):
    run = make_run(best=([1], 1e-3, 0.0))
    ledger = tmp_path / "trials.jsonl"
    data = json.loads(ledger.read_text())
    data["metrics"]["test_accuracy"] = 0.9
    ledger.write_text(json.dumps(data) + "\n")
    run = read_run(tmp_path)
    bound = Bound(objective="test_accuracy", sense="min", value=0.8)
    lines = choice_lines(choose(run, Wishes(bounds=(bound,))))
    assert (
        "Warning: this chooses by test_accuracy: what is chosen by test data looks better" in lines
    )
    assert not [each for each in choice_lines(study_choice(run)) if "Warning" in each]
