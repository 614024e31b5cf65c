"""What is said about a run: the choice for each device, the progress, a few words a trial."""

import dataclasses

import pytest

from growsearch.report.choice.study_choice import study_choice
from growsearch.report.describe import describe_method, describe_trial, direction_of, title
from growsearch.report.device_choice import device_choices, headline
from growsearch.report.progress import hypervolume_progress
from growsearch.report.run_data import Run, read_run
from growsearch.trial.record import Latency, Trial

OBJECTIVES = {"accuracy": "maximize", "latency[cpu]": "minimize"}


def trial(name: str, accuracy: float, cpu: float, parameters: int = 10) -> Trial:
    return Trial(
        id=name,
        number=0,
        kind="growth",
        status="finished",
        config={"budget": {"parameters": 0.25}},
        seed=0,
        metrics={"accuracy": accuracy, "latency[cpu]": cpu, "parameters": parameters},
        latency={"cpu": Latency(method="measured", value_s=cpu)},
    )


SLOW, KNEE, FAST = trial("slow", 0.9, 4.0, 30), trial("knee", 0.8, 2.0, 20), trial("fast", 0.6, 1.0)


def run_of(*trials, tmp_path, **study) -> Run:
    return Run(folder=tmp_path, study={"objectives": OBJECTIVES, **study}, trials=trials)


def test_the_choice_is_the_most_accurate_inside_the_studys_bound(tmp_path):
    select = {"max": {"latency[cpu]": "1.5 s"}, "prefer": "accuracy"}
    (choice,) = device_choices(run_of(SLOW, KNEE, FAST, tmp_path=tmp_path, select=select))
    assert (choice.chosen, choice.most_accurate, choice.smallest) == (FAST, SLOW, FAST)
    assert choice.budget_s == 1.5
    assert choice.rule == "best accuracy, latency[cpu] <= 1.50 s"


def test_the_studys_device_has_the_studys_choice(tmp_path):
    for select in ({}, {"prefer": "accuracy", "min": {"accuracy": 0.1}}, {"prefer": "knee"}):
        run = run_of(SLOW, KNEE, FAST, tmp_path=tmp_path, select=select)
        (choice,) = device_choices(run)
        assert choice.chosen == study_choice(run).chosen
    assert choice.chosen == KNEE
    assert choice.rule.startswith("knee of accuracy and latency")


def test_on_a_device_that_the_study_does_not_bound_the_knee_is_chosen(tmp_path):
    # The most accurate would always win there, whatever it costs.
    two = {"accuracy": "maximize", "latency[cpu]": "minimize", "latency[npu]": "minimize"}
    both = [
        dataclasses.replace(
            each,
            metrics={**each.metrics, "latency[npu]": each.metrics["latency[cpu]"]},
            latency={**each.latency, "npu": each.latency["cpu"]},
        )
        for each in (SLOW, KNEE, FAST)
    ]
    run = run_of(*both, tmp_path=tmp_path, objectives=two)
    assert [choice.chosen.id for choice in device_choices(run)] == ["slow", "knee"]


def test_another_devices_bound_does_not_count(run_folder):
    cpu, wafer = device_choices(read_run(run_folder))
    assert cpu.rule == "best accuracy, latency[cpu] <= 140 µs"
    assert wafer.rule == "knee of accuracy and latency, no bound set"


def test_where_nothing_fits_the_nearest_miss_is_named(tmp_path):
    select = {"max": {"latency[cpu]": "100 ms"}}
    (choice,) = device_choices(run_of(SLOW, KNEE, FAST, tmp_path=tmp_path, select=select))
    assert (choice.chosen, choice.nearest) == (None, FAST)
    assert headline(choice, "accuracy") == (
        "On cpu no network fits (best accuracy, latency[cpu] <= 100 ms); nearest: fast."
    )


def test_the_headline_says_what_is_given_up(tmp_path):
    select = {"prefer": "knee"}
    (choice,) = device_choices(run_of(SLOW, KNEE, FAST, tmp_path=tmp_path, select=select))
    assert headline(choice, "accuracy") == (
        "On cpu take knee (25 % of parameters, grown): 80.00 % accuracy at 2.00 s (measured). "
        "Against the best (slow) it gives up 10.00 points of accuracy and is 2.0 times as fast."
    )


def test_a_run_without_finished_trials_has_no_choice_and_no_progress(tmp_path):
    run = run_of(tmp_path=tmp_path)
    assert device_choices(run) == ()
    assert hypervolume_progress(run).steps == ()


def test_the_hypervolume_grows_by_hand_counted_shares(tmp_path):
    # The box from (0.6, 4) to (0.9, 1) has 0.3 x 3. "knee" covers 0.2 x 2 of it, the ends nothing.
    progress = hypervolume_progress(run_of(FAST, KNEE, SLOW, tmp_path=tmp_path))
    assert progress.reference == {"accuracy": 0.6, "latency[cpu]": 4.0}
    assert progress.ideal == {"accuracy": 0.9, "latency[cpu]": 1.0}
    assert [count for count, _ in progress.steps] == [1, 2, 3]
    assert [share for _, share in progress.steps] == pytest.approx([0, 0.4 / 0.9, 0.4 / 0.9])


def test_the_progress_ends_at_the_hypervolume_of_the_final_front(run_folder):
    run = read_run(run_folder)
    progress = hypervolume_progress(run)
    box = 1.0
    for name, worst in progress.reference.items():
        box *= abs(progress.ideal[name] - worst)
    shares = [share for _, share in progress.steps]
    assert shares[-1] == pytest.approx(run.front().hypervolume() / box)
    assert shares == sorted(shares)


def test_long_searches_are_summed_up_in_at_most_two_hundred_steps(tmp_path):
    trials = [trial(f"t{i}", 0.5 + (i * 37 % 450) / 1000, 1.0 + i * 61 % 450) for i in range(450)]
    progress = hypervolume_progress(run_of(*trials, tmp_path=tmp_path))
    assert len(progress.steps) == 150
    assert progress.steps[-1][0] == 450


def test_one_value_everywhere_gives_no_progress(tmp_path):
    twins = [trial("a", 0.9, 1.0), trial("b", 0.9, 2.0)]
    assert hypervolume_progress(run_of(*twins, tmp_path=tmp_path)).steps == ()


@pytest.mark.parametrize(
    ("kind", "config", "words"),
    [
        ("growth", {"budget": {"parameters": 0.31}}, "31 % of parameters, grown"),
        ("growth", {"budget": {"parameters": 20_000}}, "20.0 k parameters, grown"),
        ("growth", {"budget": {"macs": 0.5}}, "50 % of MACs, grown"),
        ("growth", {"budget": {"latency_s[cpu]": 5e-4}}, "500 µs on cpu, grown"),
        (
            "growth",
            {"space": "my_module:Net@1a2b", "budget": {"parameters": 0.28}},
            "Net, 28 % of parameters, grown",
        ),
        (
            "prune",
            {"space": "resnet20", "budget": {"macs": 0.3}, "importance": "taylor"},
            "resnet20, 30 % of MACs, pruned by taylor",
        ),
        ("growth", {}, "grown"),
        (
            "sparse",
            {
                "transform": "sparse_wide",
                "sparsity": 0.83,
                "distribution": "erk",
                "updater": "rigl",
            },
            "83 % sparse, sparse_wide, erk, rigl",
        ),
        ("sparse", {"transform": "none", "sparsity": 0.5, "updater": "set"}, "50 % sparse, set"),
        ("sparse", {"transform": "none", "sparsity": 0}, "dense"),
        ("other", {}, "other"),
    ],
)
def test_a_trial_is_described_by_what_made_it(kind, config, words):
    made = Trial(id="a", number=0, kind=kind, status="failed", config=config, seed=0)
    assert describe_trial(made) == words


def test_metrics_have_titles_and_directions():
    assert title("latency[wafer-cs2]") == "Latency on wafer-cs2"
    assert title("macs") == "MACs (zeros skipped)"
    assert direction_of("test_accuracy", {}) == "maximize"
    assert direction_of("macs", {}) == "minimize"
    assert direction_of("macs", {"macs": "maximize"}) == "maximize"


def test_a_latency_is_described_with_its_method_and_conditions():
    entry = Latency(method="measured", value_s=1.0, noise=0.021, threads=1, batch_size=8)
    assert describe_method(entry) == "measured, batch 8, 1 thread, noise 2.1 %"
