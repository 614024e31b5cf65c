"""Fronts in training: stages go on from each other, branches are networks, and all is bit-equal."""

import dataclasses

import pytest
import torch

from growsearch.errors import UsageError
from growsearch.growth import Budget, FrontConfig, GrowthOptions, build_full, grow_front
from growsearch.growth.front.front import Front
from growsearch.growth.front.hook import FrontHook
from growsearch.training import AdamW, Hook, Recipe, TrainingOptions, read_checkpoint

BUDGETS = [Budget(macs=share) for share in (0.15, 0.3, 0.6)]
RECIPE = Recipe(epochs=4, batch_size=16, learning_rate=0.05)
CONFIG = FrontConfig(recipe=RECIPE, stage_epochs=(3, 2, 1), decline_epochs=(1, 1, 2))


class KilledError(Exception):
    """Stands for a kill at the end of an epoch."""


class Follower:
    def __init__(self, stop=None):
        self.stop, self.epochs = stop, []

    def resumed(self, records):
        pass

    def epoch(self, record):
        self.epochs.append(record)
        if len(self.epochs) == self.stop:
            raise KilledError


def _front(space, dataset, budgets=BUDGETS, config=CONFIG, **options):
    given = GrowthOptions(**options)
    return grow_front(space, dataset, budgets=budgets, config=config, seed=1, options=given)


_KEPT = {}


def _whole(space, dataset):
    """A front that nothing interrupted, trained once for all tests."""
    if not _KEPT:
        _KEPT["front"] = _front(space, dataset)
    return _KEPT["front"]


def _equal(one, other):
    ours, theirs = one.model.state_dict(), other.model.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert one.history == other.history


def test_every_branch_is_a_finished_network_of_its_budget(space, dataset):
    front = _whole(space, dataset)
    for branch, budget in zip(front.branches, BUDGETS, strict=True):
        assert branch.budget == budget
        assert 0.8 * branch.limit < branch.cost <= branch.limit
        plain = space.build(branch.architecture)
        plain.load_state_dict(branch.model.state_dict())
        assert branch.history[-1].frozen
        assert not branch.history[0].frozen
    assert [len(branch.history) for branch in front.branches] == [4, 6, 8]
    assert front.branches[-1].history[-1].accuracy > 0.9


def test_a_branch_has_the_trunk_behind_it_and_the_front_pays_the_trunk_once(space, dataset):
    front = _whole(space, dataset)
    ends = [3, 5, 6]
    trunk = [b.history[end - 1].training_macs for b, end in zip(front.branches, ends, strict=True)]
    declines = [b.training_macs - at for b, at in zip(front.branches, trunk, strict=True)]
    assert front.training_macs == trunk[-1] + sum(declines)
    first, last = front.branches[0], front.branches[-1]
    assert [r.accuracy for r in first.history[:3]] == [r.accuracy for r in last.history[:3]]
    assert [record.epoch for record in last.history] == list(range(1, 9))
    assert [record.created > 0 for record in last.history] == [False] * 3 + [True, False, True] + (
        [False] * 2
    )


def test_what_comes_later_makes_no_difference_to_a_branch(space, dataset):
    whole = _whole(space, dataset)
    fewer = dataclasses.replace(CONFIG, stage_epochs=(3, 2), decline_epochs=(1, 1))
    short = _front(space, dataset, BUDGETS[:2], fewer)
    for one, other in zip(short.branches, whole.branches, strict=False):
        _equal(one, other)


@pytest.mark.parametrize("adam", [False, True])
def test_a_front_that_was_killed_anywhere_ends_as_an_uninterrupted_one(
    space, mlp_space, dataset, tmp_path, adam
):
    config = CONFIG
    if adam:
        recipe = dataclasses.replace(RECIPE, optimizer=AdamW(), learning_rate=0.01)
        space, config = mlp_space, dataclasses.replace(CONFIG, recipe=recipe)
    whole = _front(space, dataset, config=config) if adam else _whole(space, dataset)
    path = tmp_path / "front.safetensors"
    for _ in range(3):
        with pytest.raises(KilledError):
            _front(space, dataset, config=config, checkpoint=path, listener=Follower(stop=3))
    resumed = _front(space, dataset, config=config, checkpoint=path)
    for one, other in zip(resumed.branches, whole.branches, strict=True):
        _equal(one, other)
    # Every epoch was trained once: what is there is only read.
    follower = Follower()
    _front(space, dataset, config=config, checkpoint=path, listener=follower)
    assert not follower.epochs


class Watch(Hook):
    """Notes weights, momenta and rates where a part begins."""

    def __init__(self):
        self.rates, self.starts = [], []

    def on_start(self, state):
        names = dict(state.model.named_parameters())
        moments = {n: state.optimizer.state.get(p, {}) for n, p in names.items()}
        moments = {n: m["momentum_buffer"].clone() for n, m in moments.items() if m}
        self.starts.append(({n: p.detach().clone() for n, p in names.items()}, moments))

    def after_update(self, state):
        self.rates.append(state.optimizer.param_groups[0]["lr"])

    def state(self):
        return {}


def _widened(space, dataset, folder, norms):
    """Return weights and momenta (of one weight matrix) before and after a stage begins.

    Also which rows and columns of it were there before.
    """
    config = dataclasses.replace(CONFIG, norms=norms)
    front = Front.of(space, dataset, BUDGETS, config, seed=0)
    files = [folder / f"{index}.safetensors" for index in range(2)]
    watch = Watch()
    front.train_stage(0, None, TrainingOptions(checkpoint=files[0]))
    front.train_stage(1, files[0], TrainingOptions(checkpoint=files[1], hooks=(watch,)))
    before = read_checkpoint(files[0]).tensors
    weights, moments = watch.starts[0]
    small, large = (stage.costs.structures.indices(stage.live) for stage in front.stages[:2])
    rows, columns = (torch.isin(large[name], small[name]) for name in ("hidden1", "hidden0"))
    name = next(n for n in weights if weights[n].shape == (len(rows), len(columns)))
    old = before[f"model/{name}"], before[f"optimizer/{name}/momentum_buffer"]
    return old, (weights[name], moments[name]), rows, columns


def test_what_lived_keeps_weights_and_momentum_and_listens_to_nothing_new(
    mlp_space, dataset, tmp_path
):
    before, after, rows, columns = _widened(mlp_space, dataset, tmp_path, "kept")
    for old, new in zip(before, after, strict=True):
        assert torch.equal(new[rows][:, columns], old)
        assert not new[rows][:, ~columns].any()
    assert after[0][~rows].any()
    assert not after[1][~rows].any()


def test_rows_behind_a_norm_go_back_to_their_first_size_with_their_direction(
    mlp_space, dataset, tmp_path
):
    before, after, rows, columns = _widened(mlp_space, dataset, tmp_path, "reset")
    factor = after[0][rows].norm(dim=1) / before[0].norm(dim=1)
    scaled = before[0] * factor[:, None], before[1] / factor[:, None]
    for wanted, new in zip(scaled, after, strict=True):
        torch.testing.assert_close(new[rows][:, columns], wanted)
    full = build_full(mlp_space, 0).hidden[1].linear.weight.norm(dim=1)
    ours = after[0].norm(dim=1)
    assert all((full - size).abs().min() < 1e-5 for size in ours)


def test_rates_stay_at_the_peak_in_the_trunk_and_fall_to_zero_in_a_branch(space, dataset, tmp_path):
    front = Front.of(space, dataset, BUDGETS, CONFIG, seed=0)
    file = tmp_path / "0.safetensors"
    trunk, branch = Watch(), Watch()
    front.train_stage(0, None, TrainingOptions(checkpoint=file, hooks=(trunk,)))
    front.train_branch(0, [file], TrainingOptions(hooks=(branch,)))
    assert trunk.rates[6:] == [0.05] * 12
    assert branch.rates == pytest.approx([0.05 * (1 - k / 6) for k in range(6)])


def test_parts_of_a_front_are_one_worker_s(space, dataset):
    class Others:
        pass

    with pytest.raises(UsageError, match="workers"):
        _front(space, dataset, workers=Others())


def test_the_hook_says_all_that_a_part_follows_from(space, dataset, tmp_path):
    file = tmp_path / "front.safetensors"
    _front(space, dataset, checkpoint=file)
    facts = read_checkpoint(tmp_path / "front.trunk-1.safetensors").facts
    settings = facts["settings"][FrontHook.__name__]
    assert settings["stage_epochs"] == [3, 2]
    assert len(settings["limits"]) == 2
    longer = dataclasses.replace(CONFIG, stage_epochs=(4, 2, 1))
    with pytest.raises(UsageError, match="epochs was 3 and is 4"):
        _front(space, dataset, config=longer, checkpoint=file)
