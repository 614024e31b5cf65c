import copy
from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from growsearch.datasets.dataset import Dataset, Split
from growsearch.errors import GrowsearchError, UsageError
from growsearch.sparsity import (
    CubicSchedule,
    Masks,
    SparseTraining,
    macs_per_weight,
    make_updater,
    prunable_layers,
    sparsify,
)
from growsearch.training import Hook, Recipe, TrainingOptions, plain, train

BATCH = 8


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(40, 1, 6, 6, generator=generator)
    labels = (inputs.mean(dim=(1, 2, 3)) > 0).long() + (inputs[:, 0, 0, 0] > 1).long()
    split = Split(inputs=inputs, labels=labels)
    return Dataset(name="noise", train=split, validation=split, test=split, num_classes=3)


def effective_macs(model, factors):
    return sum(
        factors[layer.name] * int((dict(model.named_parameters())[layer.name] != 0).sum())
        for layer in prunable_layers(model)
    )


def run(
    model,
    masks,
    updater,
    data,
    *,
    epochs=4,
    interval=2,
    hooks=(),
    batch=BATCH,
    clip_norm=None,
    **options,
):
    factors = macs_per_weight(model, (torch.zeros(1, 1, 6, 6),))
    kept = masks.nonzeros()
    dense = {layer.name: layer.weights for layer in prunable_layers(model)}
    macs = sum(factors[name] * kept.get(name, dense[name]) for name in factors)
    sparse = SparseTraining(masks, updater, macs_per_weight=factors, interval=interval)
    _, state = train(
        model,
        data,
        Recipe(
            epochs=epochs,
            batch_size=batch,
            learning_rate=0.1,
            warmup_epochs=0,
            clip_norm=clip_norm,
        ),
        seed=1,
        forward_macs=macs,
        options=TrainingOptions(hooks=[sparse, *hooks], **options),
    )
    return sparse, state, macs


class Recorder(Hook):
    """Notes masks and weights after every step."""

    def __init__(self):
        self.masks = []
        self.weights = []
        self.macs = []

    def after_update(self, state):
        masks = Masks.of(state.model)
        masks.check()
        self.masks.append(masks.copies())
        self.weights.append({name: masks.weight(name).detach().clone() for name in masks})
        self.macs.append(state.forward_macs)


@pytest.mark.parametrize("name", ["static", "set", "rigl", "granet", "gmp"])
def test_masked_weights_are_zero_after_every_step_and_macs_follow(name, tiny, data, generator):
    model = tiny()
    scheduled = name in ("granet", "gmp")
    masks = sparsify(model, sparsity=0.2 if scheduled else 0.5, generator=generator)
    counts = masks.nonzeros()
    schedule = CubicSchedule(initial=0.2, final=0.8) if scheduled else None
    recorder = Recorder()
    _, state, _ = run(model, masks, make_updater(name, schedule=schedule), data, hooks=[recorder])
    factors = macs_per_weight(model, (torch.zeros(1, 1, 6, 6),))
    final = masks.nonzeros()
    assert state.forward_macs == sum(factors[key] * final[key] for key in factors)
    assert recorder.macs[-1] == state.forward_macs
    if scheduled:
        assert masks.zeros == round(192 * 0.8)
    else:
        assert final == counts


def test_masks_change_at_multiples_of_the_interval_until_three_quarters(tiny, data, generator):
    model = tiny()
    masks = sparsify(model, sparsity=0.5, generator=generator)
    recorder = Recorder()
    start = masks.copies()
    # 40 examples / 8 x 4 epochs = 20 steps; updates at 3, 6, 9, 12, not at 15 = 0.75 x 20.
    sparse, _, _ = run(
        model, masks, make_updater("set", alpha=1.0), data, interval=3, hooks=[recorder]
    )
    history = [start, *recorder.masks]
    changed = [
        step + 1
        for step in range(20)
        if any(not torch.equal(history[step][n], history[step + 1][n]) for n in masks)
    ]
    assert changed == [3, 6, 9, 12]
    assert sparse.updates == 4


def test_rigl_replaces_the_weight_update_and_set_does_not(tiny, data, generator):
    changed = {}
    for name in ("rigl", "set"):
        model = tiny()
        masks = sparsify(model, sparsity=0.5, generator=torch.Generator().manual_seed(0))
        recorder = Recorder()
        run(model, masks, make_updater(name), data, interval=5, hooks=[recorder])
        # Step 5 is the first mask update; compare weights that are active before and after it.
        both = recorder.masks[3]["conv2.weight"] & recorder.masks[4]["conv2.weight"]
        difference = recorder.weights[3]["conv2.weight"] - recorder.weights[4]["conv2.weight"]
        changed[name] = bool((difference[both] != 0).any())
    assert changed == {"rigl": False, "set": True}


@pytest.mark.parametrize("name", ["set", "rigl"])
def test_grown_connections_start_at_zero_with_cleared_momentum(name, tiny, data, generator):
    model = tiny()
    masks = sparsify(model, sparsity=0.5, generator=generator)

    class Check(Hook):
        grown = 0
        before = masks.copies()

        def after_update(self, state):
            for key in masks:
                new = masks[key] & ~self.before[key]
                weight = masks.weight(key)
                self.grown += int(new.sum())
                assert torch.count_nonzero(weight[new]) == 0
                slot = state.optimizer.state[weight].get("momentum_buffer")
                if slot is not None:
                    assert torch.count_nonzero(slot[new]) == 0
                    assert torch.count_nonzero(slot[masks[key] & ~new]) > 0
            self.before = masks.copies()

    check = Check()
    run(model, masks, make_updater(name), data, interval=2, hooks=[check])
    assert check.grown > 0


def test_a_connection_dropped_and_regrown_at_once_keeps_weight_and_momentum(tiny, data):
    # Under a dense mask a dropped connection is the only one to grow, so nothing may change.
    # The update is at the last step: random scores then no longer shift the order of the batches.
    trained = {}
    for name, until in (("static", None), ("set", 1.0)):
        model = tiny()
        masks = Masks.attach(model, {"conv2.weight": torch.ones(4, 4, 3, 3, dtype=torch.bool)})
        updater = make_updater(name, alpha=None if name == "static" else 1.0, until=until)
        sparse, state, _ = run(model, masks, updater, data, interval=19)
        slot = state.optimizer.state[model.conv2.weight]["momentum_buffer"]
        trained[name] = (model.conv2.weight.detach().clone(), slot.clone())
    assert sparse.updates == 1
    for kept, updated in zip(trained["static"], trained["set"], strict=True):
        assert torch.equal(kept, updated)


def test_dense_gradients_of_rigl_are_charged_as_in_the_paper(tiny, data, generator):
    model = tiny()
    masks = sparsify(model, sparsity=0.5, generator=generator)
    factors = macs_per_weight(model, (torch.zeros(1, 1, 6, 6),))
    dense = sum(factors[layer.name] * layer.weights for layer in prunable_layers(model))
    sparse, state, macs = run(model, masks, make_updater("rigl"), data, interval=5)
    assert macs < dense
    # 20 steps, updates at 5 and 10: 18 steps of 3 f_S and 2 of 2 f_S + f_D.
    assert sparse.updates == 2
    assert state.training_macs == BATCH * (18 * 3 * macs + 2 * (2 * macs + dense))


def test_set_is_charged_sparse_steps_only(tiny, data, generator):
    model = tiny()
    masks = sparsify(model, sparsity=0.5, generator=generator)
    _, state, macs = run(model, masks, make_updater("set"), data, interval=5)
    assert state.training_macs == BATCH * 20 * 3 * macs


def test_a_batch_larger_than_the_data_is_charged_by_its_examples(tiny, data, generator):
    model = tiny()
    masks = sparsify(model, sparsity=0.5, generator=generator)
    factors = macs_per_weight(model, (torch.zeros(1, 1, 6, 6),))
    dense = sum(factors[layer.name] * layer.weights for layer in prunable_layers(model))
    updater = make_updater("rigl", until=1.0)
    _, state, macs = run(model, masks, updater, data, interval=3, batch=64)
    # 4 steps of all 40 examples, one mask update at step 3.
    assert state.training_macs == 40 * (3 * 3 * macs + 2 * macs + dense)


def test_training_macs_use_the_density_of_their_own_step(tiny, data, generator):
    model = tiny()
    masks = sparsify(model, sparsity=0.0, generator=generator)
    recorder = Recorder()
    updater = make_updater("gmp", schedule=CubicSchedule(final=0.9))
    _, state, macs = run(model, masks, updater, data, interval=4, hooks=[recorder])
    # The MACs recorded after step t are those of step t + 1.
    during = [macs, *recorder.macs[:-1]]
    assert len(set(during)) > 2
    assert state.training_macs == BATCH * 3 * sum(during)


def test_excluded_layers_stay_dense_and_their_macs_stay_in_the_sum(tiny, data, generator):
    model = tiny()
    masks = sparsify(model, sparsity=0.5, generator=generator, exclude=("conv1.weight",))
    _, state, _ = run(model, masks, make_updater("rigl"), data)
    factors = macs_per_weight(model, (torch.zeros(1, 1, 6, 6),))
    kept = masks.nonzeros()
    assert "conv1.weight" not in kept
    assert state.forward_macs == 36 * factors["conv1.weight"] + sum(
        factors[name] * count for name, count in kept.items()
    )


def test_the_same_seed_trains_the_same_network(tiny, data):
    def trained():
        model = tiny()
        masks = sparsify(model, sparsity=0.5, generator=torch.Generator().manual_seed(2))
        run(model, masks, make_updater("set"), data)
        return model

    first, second = trained().state_dict(), trained().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_masks_of_another_module_are_refused(tiny, data, generator):
    model = tiny()
    masks = sparsify(model, sparsity=0.5, generator=generator)
    with pytest.raises(GrowsearchError, match=r"use Masks.of\(model\)"):
        run(copy.deepcopy(model), masks, make_updater("static"), data)


@pytest.mark.parametrize("name", ["rigl", "granet"])
def test_a_frozen_layer_is_refused_by_an_updater_that_needs_its_gradient(
    name, tiny, data, generator
):
    model = tiny()
    masks = sparsify(model, sparsity=0.5, generator=generator)
    model.conv2.requires_grad_(False)
    schedule = CubicSchedule(final=0.6) if name == "granet" else None
    message = r"conv2\.weight is frozen .*exclude it from the masks, or take the updater static"
    with pytest.raises(UsageError, match=message):
        run(model, masks, make_updater(name, schedule=schedule), data)
    run(model, masks, make_updater("static"), data)


def test_a_layer_that_the_loss_does_not_reach_is_named_at_the_mask_update(tiny, data, generator):
    model = tiny()
    model.aux = nn.Linear(4, 4)
    masks = sparsify(model, sparsity=0.5, generator=generator)
    with pytest.raises(UsageError, match=r"the loss of step 5 does not reach aux\.weight"):
        run(model, masks, make_updater("rigl"), data, interval=5)
    run(model, masks, make_updater("set"), data, interval=5)


def test_arguments_that_cannot_work_are_refused():
    layer = nn.Linear(2, 2)
    masks = Masks.attach(layer, {"weight": torch.ones(2, 2, dtype=torch.bool)})
    with pytest.raises(UsageError, match="interval: 0"):
        SparseTraining(masks, make_updater("set"), macs_per_weight={"weight": 1}, interval=0)
    with pytest.raises(UsageError, match="weight is missing"):
        SparseTraining(masks, make_updater("set"), macs_per_weight={})


class Gradients(Hook):
    """Notes the norm of all gradients and of those of masked weights after every update."""

    def __init__(self, masks):
        self._masks = masks
        self.norms = []
        self.hidden = []

    def after_update(self, state):
        gradients = {n: p.grad for n, p in state.model.named_parameters()}
        self.norms.append(float(torch.stack([g.norm() for g in gradients.values()]).norm()))
        hidden = [gradients[n][~self._masks[n]].norm() for n in self._masks]
        self.hidden.append(float(torch.stack(hidden).norm()))


def test_clipping_counts_the_gradients_of_active_weights_alone(tiny, data, generator):
    model = tiny()
    masks = sparsify(model, sparsity=0.9, generator=generator)
    seen = Gradients(masks)
    run(model, masks, make_updater("static"), data, hooks=[seen], clip_norm=1e-3)
    assert seen.norms == pytest.approx([1e-3] * 20, rel=1e-3)
    assert seen.hidden == [0.0] * 20


def test_without_clipping_gradients_are_left_alone(tiny, data, generator):
    model = tiny()
    masks = sparsify(model, sparsity=0.9, generator=generator)
    seen = Gradients(masks)
    run(model, masks, make_updater("static"), data, hooks=[seen])
    assert min(seen.hidden) > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spy:
    """An updater that changes nothing and notes the gradients of masked weights."""

    replaces_update: bool
    seen: list = field(default_factory=list)
    until: float = 1.0
    needs_gradients: bool = True
    planned_for: None = None

    def update(self, layers, progress, generator):
        self.seen.extend(int(torch.count_nonzero(x.gradient[~x.mask])) for x in layers.values())
        return {name: layer.mask.clone() for name, layer in layers.items()}


@pytest.mark.parametrize("replaces_update", [True, False])
def test_an_updater_sees_dense_gradients_though_they_are_clipped(
    replaces_update, tiny, data, generator
):
    model = tiny()
    masks = sparsify(model, sparsity=0.5, generator=generator)
    spy = Spy(replaces_update=replaces_update)
    sparse, _, _ = run(model, masks, spy, data, interval=5, clip_norm=1e-3)
    assert sparse.updates == 3
    assert len(spy.seen) == 3 * len(masks)
    # Layers that are dense at this ratio hide nothing; the others hide gradients at every update.
    hiding = [not masks[name].all() for name in masks]
    assert any(hiding)
    assert [count > 0 for count in spy.seen] == 3 * hiding


def test_what_dense_gradients_cost_is_also_counted_by_itself(tiny, data, generator):
    model = tiny()
    masks = sparsify(model, sparsity=0.5, generator=generator)
    sparse, state, macs = run(model, masks, make_updater("rigl"), data, interval=5)
    assert sparse.dense_gradient_macs > 0
    assert state.training_macs - sparse.dense_gradient_macs == BATCH * 20 * 3 * macs


@pytest.mark.parametrize("name", ["rigl", "granet"])
def test_an_interrupted_sparse_run_goes_on_from_its_checkpoint(name, tiny, data, tmp_path):
    schedule = CubicSchedule(initial=0.2, final=0.8) if name == "granet" else None

    def train_to(epochs, checkpoint):
        model = tiny()
        masks = sparsify(model, sparsity=0.2, generator=torch.Generator().manual_seed(3))

        def stop(record):
            if record.epoch == epochs:
                raise KeyboardInterrupt

        sparse, state, _ = run(
            model,
            masks,
            make_updater(name, schedule=schedule),
            data,
            checkpoint=checkpoint,
            on_epoch=stop,
        )
        return model.state_dict(), state.training_macs, sparse.updates, sparse.dense_gradient_macs

    with pytest.raises(KeyboardInterrupt):
        train_to(2, tmp_path / "run")
    resumed, straight = train_to(99, tmp_path / "run"), train_to(99, tmp_path / "other")
    assert resumed[1:] == straight[1:]
    assert all(torch.equal(value, straight[0][key]) for key, value in resumed[0].items())


def test_the_settings_of_an_updater_are_the_same_in_every_process(tiny, generator):
    masks = sparsify(tiny(), sparsity=0.5, generator=generator)
    factors = dict.fromkeys(masks, 1)
    for name in ("static", "set", "rigl", "granet"):
        schedule = CubicSchedule(final=0.8) if name == "granet" else None
        hook = SparseTraining(masks, make_updater(name, schedule=schedule), macs_per_weight=factors)
        # An address in memory would be another one.
        assert "0x" not in str(plain(hook.settings()))
    assert plain(hook.settings())["updater"]["schedule"]["final"] == 0.8
