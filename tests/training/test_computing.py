"""Precision, layout and compiler of training, and the devices that names stand for."""

import pytest
import torch
from standin import NAME, plugged_in
from torch import nn

from growsearch.datasets import from_tensors
from growsearch.errors import DivergedError, UsageError
from growsearch.growth import Budget, GrowthConfig, grow
from growsearch.training import Hook, Recipe, TrainingOptions, train, training_device
from growsearch.training import devices as module
from growsearch.training.computing import Computing
from growsearch.training.devices import computed_precision, random_state, set_random_state
from growsearch.training.loss_scale import LossScale
from growsearch.training.losses import Losses
from search_spaces import search_space

DATA = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
IMAGES = from_tensors(torch.eye(4).repeat(10, 1).view(40, 1, 2, 2), torch.arange(4).repeat(10))
RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=0.5)


def linear():
    torch.manual_seed(0)
    return nn.Linear(4, 4)


def run(model, recipe=RECIPE, **options):
    return train(model, DATA, recipe, seed=0, forward_macs=16, options=TrainingOptions(**options))


def test_auto_is_the_accelerator_that_is_there_and_else_the_cpu():
    assert training_device("auto") == torch.device("cpu")
    with plugged_in():
        assert training_device("auto") == training_device(NAME) == torch.device(NAME, 0)
    assert training_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda", "cuda:7", "mps", "meta", "hpu", ""])
def test_a_device_that_is_not_there_is_refused_with_what_there_is(name):
    with pytest.raises(UsageError, match=r"device: .*here there are: cpu; take one of them"):
        training_device(name)


def test_a_number_that_the_accelerator_has_not_is_refused():
    with plugged_in(), pytest.raises(UsageError, match=rf"{NAME}:1.*there are: cpu, {NAME}:0;"):
        training_device(f"{NAME}:1")


def test_a_network_is_given_back_where_it_was():
    with plugged_in() as device:
        model = linear().to(device)
        run(model)
        assert model.weight.device == device
        run(model, device="cpu")
        assert model.weight.device == device
        ours = linear()
        weight = ours.weight
        run(ours, device=NAME)
        assert ours.weight is weight
        assert weight.is_cpu


def test_an_error_leaves_the_network_on_the_cpu_with_its_parameters():
    class Fails(Hook):
        def after_update(self, state):
            raise ValueError("stop")

    with plugged_in():
        model = linear()
        with pytest.raises(ValueError, match="stop"):
            run(model, device=NAME, hooks=(Fails(),))
        assert model.weight.is_cpu


@pytest.mark.parametrize("name", ["cpu", NAME])
def test_a_loss_that_is_not_finite_ends_a_run_with_its_own_step_on_every_device(name):
    class Breaks(Hook):
        def after_update(self, state):
            if state.step == 5:
                state.model.weight.data.fill_(float("nan"))

    with plugged_in(), pytest.raises(DivergedError, match=r"became nan in epoch 2, step 6;"):
        run(linear(), device=name, hooks=(Breaks(),))


def test_a_loss_that_waits_to_be_read_is_told_before_the_trouble_that_came_of_it():
    losses = Losses(epoch=0, step=10)
    losses._waiting = [torch.tensor(1.0), torch.tensor(float("inf"))]
    with pytest.raises(DivergedError, match=r"epoch 1, step 12;"), losses.told_first():
        raise ValueError("its consequence")


def test_generators_of_a_device_are_left_alone_where_a_checkpoint_is_of_another_kind():
    assert random_state(torch.device("cpu")) is None
    set_random_state(torch.device("cpu"), torch.zeros(3, dtype=torch.uint8))
    with plugged_in() as device:
        assert len(random_state(device)) == 8


def test_float16_learns_with_gradients_as_large_as_those_of_float32():
    class Gradients(Hook):
        def __init__(self):
            self.seen = []

        def before_update(self, state):
            self.seen.append(state.model.weight.grad.clone())
            return True

    half, full = Gradients(), Gradients()
    scaled, _ = run(linear(), hooks=(half,), precision="float16")
    plain, _ = run(linear(), hooks=(full,))
    assert torch.allclose(half.seen[0], full.seen[0], rtol=1e-2, atol=1e-4)
    assert scaled[-1].loss == pytest.approx(plain[-1].loss, rel=0.02)


def test_batches_that_share_a_step_are_scaled_together_in_float16():
    class Gradients(Hook):
        def __init__(self):
            self.seen = []

        def before_update(self, state):
            self.seen.append(state.model.weight.grad.clone())
            return True

    recipe = Recipe(epochs=1, batch_size=8, learning_rate=0.5, accumulation=2)
    half, full = Gradients(), Gradients()
    scaled, _ = run(linear(), recipe, hooks=(half,), precision="float16")
    plain, _ = run(linear(), recipe, hooks=(full,))
    assert len(half.seen) == len(full.seen) == 2
    assert torch.allclose(half.seen[0], full.seen[0], rtol=1e-2, atol=1e-4)
    assert scaled[-1].loss == pytest.approx(plain[-1].loss, rel=0.02)


def test_a_backward_pass_that_overflows_is_made_again_at_half_the_scale():
    weight = nn.Parameter(torch.tensor(1.0))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    forgotten = []
    scale = LossScale(torch.device("cpu"))
    # 1e36 x 65,536 is beyond float32: 2^16 and 2^15, ... overflow until the product fits.
    used = scale.backward(weight * 1e36, optimizer, lambda: forgotten.append(1))
    assert float(weight.grad) == pytest.approx(1e36)
    assert used == 2.0**16 / 2 ** len(forgotten)
    assert forgotten
    kept = LossScale(torch.device("cpu"))
    kept.load_state(scale.state())
    assert kept.state() == scale.state()


def test_gradients_that_overflow_at_any_scale_end_the_run():
    weight = nn.Parameter(torch.tensor(1.0))
    scale = LossScale(torch.device("cpu"))
    with pytest.raises(DivergedError, match="overflow float16 at any scale"):
        scale.backward(weight * float("inf"), torch.optim.SGD([weight], lr=1.0), lambda: None)


def test_a_network_grows_in_float16_by_gradients_of_the_loss_itself(tmp_path):
    space = search_space("mlp-digits").for_data(IMAGES.input_shape, IMAGES.num_classes)
    config = GrowthConfig(recipe=Recipe(epochs=3))
    budget = Budget(parameters=0.1)
    low, full = (
        grow(
            space,
            IMAGES,
            budget=budget,
            config=config,
            options=TrainingOptions(precision=precision, checkpoint=tmp_path / precision),
        )
        for precision in ("float16", "float32")
    )
    # Gate gradients that had the scale of 65,536 would drive indicators to their ends at once.
    for one, other in zip(low.history, full.history, strict=True):
        for group, found in one.probability.items():
            assert found == pytest.approx(other.probability[group], abs=0.05)


def test_a_precision_of_the_options_is_no_part_of_a_checkpoints_run(tmp_path):
    file = tmp_path / "run.safetensors"

    def stop(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(linear(), checkpoint=file, precision="bfloat16", on_epoch=stop)
    history, _ = run(linear(), checkpoint=file)
    assert [record.epoch for record in history] == [1, 2]


def test_float16_goes_on_from_a_checkpoint_as_it_would_have(tmp_path):
    def stop(record):
        if record.epoch == 1:
            raise KeyboardInterrupt

    file, resumed, whole = tmp_path / "run.safetensors", linear(), linear()
    with pytest.raises(KeyboardInterrupt):
        run(resumed, checkpoint=file, precision="float16", on_epoch=stop)
    run(resumed, checkpoint=file, precision="float16")
    run(whole, precision="float16")
    assert torch.equal(resumed.weight, whole.weight)


class _Compiled:
    def __init__(self):
        self.epochs = []

    def __call__(self, model):
        self.epochs.append(self.now)
        return model


def test_what_grows_is_compiled_once_its_structure_is_final(monkeypatch):
    compiled = _Compiled()
    monkeypatch.setattr(torch, "compile", compiled)
    compiled.now = 1

    def note(record):
        compiled.now = record.epoch + 1

    space = search_space("mlp-digits").for_data(IMAGES.input_shape, IMAGES.num_classes)
    config = GrowthConfig(recipe=Recipe(epochs=4), freeze_at=0.5)
    options = TrainingOptions(compile=True, on_epoch=note)
    grow(space, IMAGES, budget=Budget(parameters=0.1), config=config, options=options)
    assert compiled.epochs == [3]
    compiled.epochs.clear()
    compiled.now = 1
    run(linear(), compile=True)
    assert compiled.epochs == [1]


def test_a_compiled_network_learns_the_same(monkeypatch):
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: real(model, backend="eager"))
    torch.compiler.reset()
    plain, same = linear(), linear()
    run(plain)
    run(same, compile=True)
    assert torch.allclose(plain.weight, same.weight)


@pytest.mark.parametrize(
    ("amx", "avx", "expected"),
    [(True, False, "bfloat16"), (False, True, "bfloat16"), (False, False, "float32")],
)
def test_a_processor_that_would_emulate_bfloat16_computes_in_float32(
    monkeypatch, amx, avx, expected
):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    assert computed_precision(torch.device("cpu")) == expected


@pytest.mark.parametrize(
    ("written", "own", "expected"),
    [
        (None, None, None),
        ("auto", None, "bfloat16"),
        ("float16", None, "float16"),
        ("float16", "bfloat16", None),
    ],
)
def test_a_candidates_own_precision_goes_before_that_of_the_study(
    monkeypatch, written, own, expected
):
    monkeypatch.setattr("growsearch.training.computing.computed_precision", lambda _: "bfloat16")
    options = Computing(device="cpu", precision=written).options(TrainingOptions(), own)
    assert options.precision == expected


def test_an_accelerator_computes_in_what_its_hardware_has_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr("growsearch.training.computing.computed_precision", lambda _: "bfloat16")
    with plugged_in():
        options = Computing().options(TrainingOptions())
    assert (options.device, options.precision) == (f"{NAME}:0", "bfloat16")
    assert options.channels_last is False


def test_channels_lie_innermost_by_themselves_on_cuda_below_float32(monkeypatch):
    def cuda(_):
        return torch.device("cuda", 0)

    monkeypatch.setattr("growsearch.training.computing.training_device", cuda)
    assert Computing(precision="bfloat16").options(TrainingOptions()).channels_last
    assert not Computing(precision="float32").options(TrainingOptions()).channels_last
    assert Computing().options(TrainingOptions(), own="float16").channels_last
    written = Computing(precision="bfloat16", channels_last=False)
    assert not written.options(TrainingOptions()).channels_last
    assert module.AUTO == "auto"
