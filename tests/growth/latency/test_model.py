import dataclasses
import functools
import itertools

import pytest
import torch

from cost_models import MachineLock, estimate, trace
from growsearch.errors import GrowsearchError, UsageError
from growsearch.growth import (
    POLICIES,
    Budget,
    GrowthConfig,
    GrowthOptions,
    build_full,
    grow,
    uniform_architecture,
)
from growsearch.growth.budget.structures import Structures
from growsearch.growth.costs import Costs
from growsearch.growth.latency.clock import DeviceClock, Reading
from growsearch.growth.latency.model import LatencyModel
from growsearch.growth.latency.width_latency_fit import WidthLatencyFit
from growsearch.training import Recipe, TrainingOptions
from search_spaces import channel_groups
from search_spaces.families.recurrent import RecurrentSpace

RECIPE = Recipe(epochs=6, batch_size=16, learning_rate=0.05)
CONFIG = GrowthConfig(recipe=RECIPE)
WAFER = Budget(latency=0.4, device="wafer-cs2")


class StubClock:
    """A device that takes ``miss`` times what the fit says of a network, and is of any ``speed``.

    The reference beside the network is one of those that were fitted: nothing is missed there.
    ``bump`` is what networks of so many channels take beyond that, as a factor.
    """

    analytic = False

    def __init__(
        self, space, terms, structures, *, miss=1.0, noise=(1.0,), bump=lambda channels: 1.0
    ):
        self.bump = bump
        self.space, self.miss, self.slowness = space, miss, 1.0
        self._terms, self._names = terms, structures.names
        self._noise = itertools.cycle(noise)
        self.readings = 0

    def read(self, architectures, reading_s):
        self.readings += 1
        network, reference = (
            self.slowness * self._terms.seconds([each.integer(name) for name in self._names])
            for each in architectures
        )
        channels = sum(architectures[0].integer(name) for name in self._names)
        network *= self.miss * self.bump(channels) * next(self._noise)
        return [Reading(seconds=network, noise=0.0), Reading(seconds=reference, noise=0.0)]


@pytest.fixture(autouse=True)
def _short_readings(monkeypatch):
    monkeypatch.setattr("growsearch.growth.latency.model._READING_S", 0.01)
    monkeypatch.setattr("growsearch.growth.latency.model._LONG_READING_S", 0.01)
    monkeypatch.setattr("growsearch.growth.latency.width_latency_fit._READING_S", 0.01)


@pytest.fixture
def structures(space):
    return Structures.of(channel_groups(build_full(space, seed=0)))


@functools.cache
def _wafer_fit(space):
    return Costs.of(space, build_full(space, seed=0), WAFER).latency.fitted


@pytest.fixture
def fitted(space):
    return _wafer_fit(space)


@pytest.fixture
def model(space, structures, fitted):
    def make(budget=None, **device):
        clock = StubClock(space, fitted.terms, structures, **device)
        return LatencyModel(clock, fitted, structures, (), budget or WAFER), clock

    return make


def _filler(structures, model):
    """Propose first channels of every group, as many as the model lets in."""

    def propose():
        live, scores = structures.seed(), torch.arange(structures.total)
        for channel in scores.tolist():
            live[channel] = True
            if model.exact(structures.counts(live)) > model.limit:
                live[channel] = False
        return live

    return propose


def test_a_fit_that_misses_is_corrected_until_device_and_model_agree(model, structures):
    latency, clock = model(miss=1.5)
    live = latency.agreed(_filler(structures, latency), fill=True)
    assert latency.factor == pytest.approx(1.5)
    true = 1.5 * latency.fitted.terms.seconds(structures.counts(live))
    assert latency.exact(structures.counts(live)) == pytest.approx(true)
    assert 0.85 * latency.limit < true <= latency.limit
    assert clock.readings <= 8


def test_a_device_that_became_slower_altogether_changes_nothing(model, structures):
    latency, clock = model(miss=1.5)
    expected = latency.agreed(_filler(structures, latency), fill=True)
    slow, clock = model(miss=1.5)
    clock.slowness = 2.0
    assert torch.equal(slow.agreed(_filler(structures, slow), fill=True), expected)


def test_seconds_are_those_of_the_fastest_moment(model, fitted, structures):
    full = fitted.full_s
    latency, clock = model(Budget(latency_s=0.5 * full, device="cpu"))
    clock.slowness = 0.5
    live = latency.agreed(_filler(structures, latency), fill=True)
    # At twice the speed, half of the full time buys the full network.
    assert bool(live.all())
    clock.slowness = 2.0
    live = latency.agreed(_filler(structures, latency), fill=True)
    assert bool(live.all())


def test_on_a_noisy_device_the_prediction_still_keeps_the_limit(model, structures):
    latency, clock = model(noise=(1.3, 0.8, 1.25, 0.75))
    live = latency.agreed(_filler(structures, latency), fill=True)
    assert latency.exact(structures.counts(live)) <= latency.limit
    assert clock.readings <= 8


@pytest.mark.parametrize(
    "heights", [(1.0, 0.7), (1.0, 1.25), (1.0, 1.6), (1.3, 0.7, 1.0), (0.7, 1.0, 1.3)]
)
@pytest.mark.parametrize("every", [1, 2, 3, 5, 8])
def test_on_a_device_with_steps_the_limit_is_kept_and_nearly_spent(
    model, structures, every, heights
):
    # Some widths are slower or faster than the ones beside them, as those of kernels are.
    def bump(channels):
        return heights[channels // every % len(heights)]

    latency, clock = model(bump=bump)
    live = latency.agreed(_filler(structures, latency), fill=True)

    def true(live):
        counts = structures.counts(live)
        return latency.fitted.terms.seconds(counts) * bump(int(sum(counts)))

    steps = [structures.seed()]
    for channel in range(structures.total):
        steps.append(steps[-1].clone())
        steps[-1][channel] = True
    within = [each for each in steps if true(each) <= latency.limit]
    spent = true(live) >= 0.85 * max(map(true, within))
    # A single width that is fast among slow ones may be missed.
    assert every == 1 or spent or live.sum() >= max(each.sum() for each in within)
    assert true(live) <= latency.limit
    assert clock.readings <= 8


def test_on_the_way_one_look_is_enough_for_a_network_within_the_limit(model, structures):
    latency, clock = model(miss=1.2)
    latency.agreed(structures.seed, fill=False)
    assert clock.readings == 1
    assert latency.factor == pytest.approx(1.2)


def test_the_wafer_is_predicted_exactly_and_its_fit_is_its_estimates(space, fitted):
    assert fitted.error < 1e-9
    assert fitted.noise == 0
    work = trace(build_full(space, seed=0), space.example_inputs())
    cost = estimate(work, device="wafer-cs2", batch_size=1, phase="inference")
    assert fitted.full_s == cost.latency_s
    assert fitted.terms.seconds(fitted.sizes[0]) == pytest.approx(cost.latency_s)


def test_a_fit_comes_back_from_its_file_as_it_was(fitted, tmp_path):
    fitted.save(tmp_path / "p.json")
    assert WidthLatencyFit.load(tmp_path / "p.json") == fitted
    (tmp_path / "p.json").write_text((tmp_path / "p.json").read_text()[:200])
    with pytest.raises(GrowsearchError, match=r"p\.json.*cannot be read"):
        WidthLatencyFit.load(tmp_path / "p.json")


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_growth_keeps_a_latency_budget_at_every_epoch_and_spends_it(space, dataset, policy):
    config = dataclasses.replace(CONFIG, policy=policy)
    result = grow(space, dataset, budget=WAFER, config=config, seed=1)
    assert all(record.cost <= result.limit for record in result.history)
    assert result.cost == result.history[-1].cost >= 0.9 * result.limit
    assert result.budget.unit == "s"
    work = trace(result.model, space.example_inputs())
    cost = estimate(work, device="wafer-cs2", batch_size=1, phase="inference").latency_s
    assert result.cost == pytest.approx(cost)
    assert result.latency.checked_s == cost
    assert (result.latency.method, result.latency.drift) == ("analytic", 1.0)


def test_an_absolute_time_is_kept_as_well(space, dataset, fitted):
    budget = Budget(latency_s=0.6 * fitted.full_s, device="wafer-cs2")
    result = grow(space, dataset, budget=budget, config=CONFIG, seed=1)
    assert result.limit == budget.latency_s
    assert 0.9 * result.limit <= result.cost <= result.limit


def test_a_processor_is_timed_beside_training_and_its_limit_kept(space, dataset, tmp_path):
    lock = MachineLock(tmp_path / "lock")
    options = GrowthOptions(guard=lock.shared, lock=lock)
    # A batch that takes its time: one example's is mostly that of starting layers.
    budget = Budget(latency=0.9, device="cpu", batch_size=256)
    timed = grow(space, dataset, budget=budget, config=CONFIG, seed=1, options=options)
    assert timed.cost <= timed.limit
    assert timed.latency.method == "measured"
    assert timed.latency.checked_s > 0


def test_devices_that_spend_their_time_elsewhere_grow_other_networks(space, dataset, monkeypatch):
    """A device of high resolutions beside one of many weights, from one seed at one share."""

    def read_as(coefficients):
        def read(self, architectures, reading_s):
            widths = [
                [a.integer(name) for name in ("stage0", "stage0.block0", "stage1", "stage1.block0")]
                for a in architectures
            ]
            return [Reading(seconds=coefficients(*each), noise=0.0) for each in widths]

        return read

    budget, grown = Budget(latency=0.4, device="wafer-cs2"), []
    first = read_as(lambda a, b, c, d: 1 + 100 * a * b + c + d)
    last = read_as(lambda a, b, c, d: 1 + a + b + 100 * c * d)
    for read in (first, last):
        monkeypatch.setattr(DeviceClock, "read", read)
        grown.append(grow(space, dataset, budget=budget, config=CONFIG, seed=1).architecture)
    sizes = [[each.integer("stage0.block0"), each.integer("stage1.block0")] for each in grown]
    assert sizes[0][0] < sizes[1][0]
    assert sizes[0][1] > sizes[1][1]


class Halt(Exception):  # noqa: N818
    """Stands for a kill at the end of an epoch."""


def _halt_after(epoch):
    def on_epoch(record):
        if record.epoch == epoch:
            raise Halt

    return on_epoch


def test_a_latency_run_goes_on_with_the_fit_that_it_began_with(space, dataset, tmp_path):
    whole = grow(space, dataset, budget=WAFER, config=CONFIG, seed=1)
    path = tmp_path / "run.safetensors"
    options = TrainingOptions(checkpoint=path, on_epoch=_halt_after(2))
    with pytest.raises(Halt):
        grow(space, dataset, budget=WAFER, config=CONFIG, seed=1, options=options)
    kept = (tmp_path / "run.latency.json").read_bytes()
    options = TrainingOptions(checkpoint=path)
    resumed = grow(space, dataset, budget=WAFER, config=CONFIG, seed=1, options=options)
    assert resumed.history == whole.history
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])
    assert (tmp_path / "run.latency.json").read_bytes() == kept


def test_a_timed_run_goes_on_within_the_limit_of_its_first_start(space, dataset, tmp_path):
    budget = Budget(latency=0.9, device="cpu", batch_size=256)
    options = GrowthOptions(checkpoint=tmp_path / "run.safetensors", on_epoch=_halt_after(4))
    with pytest.raises(Halt):
        grow(space, dataset, budget=budget, config=CONFIG, seed=1, options=options)
    fitted = WidthLatencyFit.load(tmp_path / "run.latency.json")
    options = dataclasses.replace(options, on_epoch=None)
    resumed = grow(space, dataset, budget=budget, config=CONFIG, seed=1, options=options)
    assert resumed.limit == 0.9 * fitted.full_s
    assert WidthLatencyFit.load(tmp_path / "run.latency.json") == fitted


def test_a_run_whose_fit_was_deleted_says_what_to_do(space, dataset, tmp_path):
    options = TrainingOptions(checkpoint=tmp_path / "c", on_epoch=_halt_after(1))
    with pytest.raises(Halt):
        grow(space, dataset, budget=WAFER, config=CONFIG, seed=1, options=options)
    (tmp_path / "c.latency.json").unlink()
    with pytest.raises(GrowsearchError, match="delete the checkpoint beside it"):
        grow(space, dataset, budget=WAFER, config=CONFIG, seed=1, options=options)


def test_a_budget_below_the_least_network_names_what_is_possible(space, dataset):
    with pytest.raises(UsageError, match=r"latency: 0\.001 of .*s = .*give at least .*s or 0\.\d"):
        grow(
            space,
            dataset,
            budget=Budget(latency=0.001, device="wafer-cs2"),
            config=CONFIG,
            seed=0,
        )


def test_a_layer_that_the_device_does_not_know_is_named(dataset):
    space = RecurrentSpace(
        name="tiny-lstm",
        description="for tests",
        embedding=4,
        hidden=(6,),
        input_shape=(5,),
        num_classes=7,
    )
    with pytest.raises(GrowsearchError, match=r"latency\[wafer-cs2\]: .*recurrent"):
        Costs.of(space, build_full(space, seed=0), WAFER)


def test_a_clock_measures_in_the_middle_of_a_shared_section_and_gives_it_back(space, tmp_path):
    lock = MachineLock(tmp_path)
    clock = DeviceClock(space=space, device="cpu", batch_size=2, lock=lock)
    with lock.shared():
        (reading,) = clock.read([space.largest()], 0.001)
        with pytest.raises(Exception, match="inside a shared"), lock.exclusive():
            pass
    assert reading.seconds > 0


def test_uniform_widths_keep_a_latency_budget_too(space):
    architecture = uniform_architecture(space, WAFER)
    work = trace(space.build(architecture), space.example_inputs())
    cost = estimate(work, device="wafer-cs2", batch_size=1, phase="inference").latency_s
    full = trace(space.build(space.largest()), space.example_inputs())
    most = estimate(full, device="wafer-cs2", batch_size=1, phase="inference").latency_s
    assert 0.15 * most < cost <= 0.4 * most
