import copy
import dataclasses

import pytest
import torch

from growsearch.errors import UsageError
from growsearch.tickets import (
    GRANULARITIES,
    SOURCE,
    TARGET,
    TICKET_SCHEMES,
    DrawSettings,
    Robustness,
    backbone_weights,
    draw,
)
from growsearch.tickets.learnable import LearnedMask
from growsearch.tickets.retargeting import retarget
from growsearch.training import Recipe, TrainingOptions, TrainingState, make_optimizer
from growsearch.transforms import MacProfile

RECIPE = Recipe(epochs=1, batch_size=40)
SETTINGS = DrawSettings(
    scheme="omp",
    sparsity=0.8,
    recipe=RECIPE,
    rounds=2,
    robustness=Robustness(kind="pgd", epsilon=0.1, steps=1),
)


def _data(scheme, source, task):
    return {None: None, SOURCE: source, TARGET: task}[TICKET_SCHEMES[scheme].data]


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("scheme", TICKET_SCHEMES)
def test_a_ticket_has_the_zeros_asked_for_in_whole_units_and_is_the_same_again(
    scheme, granularity, pretrained, source, task
) -> None:
    before = copy.deepcopy(pretrained.model.state_dict())
    settings = dataclasses.replace(SETTINGS, scheme=scheme, granularity=granularity)
    drawn = draw(pretrained, settings, data=_data(scheme, source, task), seed=1)
    ticket = drawn.ticket
    weights = backbone_weights(pretrained.model)
    assert set(ticket.masks) == set(weights)
    assert "classifier.weight" not in ticket.masks
    assert ticket.weights == sum(weight.numel() for weight in weights.values())
    asked = round(0.8 * ticket.weights)
    if granularity == "channel":
        # The stem's channels are the smallest, of 9 weights.
        assert abs(ticket.zeros - asked) <= 9
    else:
        assert ticket.zeros == asked
    for name, value in pretrained.model.state_dict().items():
        assert torch.equal(value, before[name]), name
    if granularity == "row":
        again = draw(pretrained, settings, data=_data(scheme, source, task), seed=1)
        assert again.training_macs == drawn.training_macs
        assert all(torch.equal(mask, again.ticket.masks[n]) for n, mask in ticket.masks.items())


def test_omp_keeps_the_largest_weights_of_the_whole_backbone(pretrained) -> None:
    ticket = draw(pretrained, SETTINGS).ticket
    weights = backbone_weights(pretrained.model)
    values = torch.cat([weights[name].detach().abs().flatten() for name in ticket.masks])
    kept = torch.cat([mask.flatten() for mask in ticket.masks.values()])
    assert float(values[kept].min()) >= float(values[~kept].max())


def test_iterative_rounds_are_nested_and_train_each_from_the_pretrained_weights(
    pretrained, source
) -> None:
    settings = dataclasses.replace(SETTINGS, scheme="imp", rounds=1, sparsity=1 - 0.2**0.5)
    first = draw(pretrained, settings, data=source, seed=1)
    both = draw(
        pretrained, dataclasses.replace(settings, rounds=2, sparsity=0.8), data=source, seed=1
    )
    for name, mask in both.ticket.masks.items():
        assert not bool((mask & ~first.ticket.masks[name]).any())
    macs = MacProfile.of(pretrained.model, pretrained.space.example_inputs())
    left = {n: int((~mask).sum()) for n, mask in first.ticket.masks.items()}
    assert first.training_macs == 3 * 120 * macs.dense_macs
    assert both.training_macs == 3 * 120 * (macs.dense_macs + macs.macs(left))
    assert both.examples == 240


def test_adversarial_rounds_differ_from_natural_ones_and_pay_for_the_attack(
    pretrained, source
) -> None:
    natural = draw(pretrained, dataclasses.replace(SETTINGS, scheme="imp"), data=source)
    robust = draw(pretrained, dataclasses.replace(SETTINGS, scheme="a-imp"), data=source)
    # One step of an attack: 5 passes for 3. The second rounds' networks are a little different.
    assert robust.training_macs == pytest.approx(natural.training_macs * 5 / 3, rel=0.1)
    assert any(
        not torch.equal(mask, robust.ticket.masks[n]) for n, mask in natural.ticket.masks.items()
    )


@pytest.mark.parametrize("scheme", ["a-imp", "lmp"])
def test_a_draw_that_was_cut_off_goes_on_to_the_same_ticket(
    scheme, pretrained, source, task, tmp_path
) -> None:
    class CutOffError(Exception):
        pass

    heard = []

    def cut(record):
        heard.append(record)
        if len(heard) == 3:
            raise CutOffError

    settings = dataclasses.replace(
        SETTINGS, scheme=scheme, recipe=Recipe(epochs=4 if scheme == "lmp" else 2, batch_size=40)
    )
    data = _data(scheme, source, task)
    whole = draw(pretrained, settings, data=data, seed=2)
    options = TrainingOptions(checkpoint=tmp_path / "draw.safetensors")
    with pytest.raises(CutOffError):
        draw(
            pretrained,
            settings,
            data=data,
            seed=2,
            options=dataclasses.replace(options, on_epoch=cut),
        )
    resumed = draw(pretrained, settings, data=data, seed=2, options=options)
    assert resumed.training_macs == whole.training_macs
    for name, mask in whole.ticket.masks.items():
        assert torch.equal(mask, resumed.ticket.masks[name]), name


def test_a_learned_mask_leaves_the_weights_and_differs_from_magnitude(pretrained, task) -> None:
    learned = draw(pretrained, dataclasses.replace(SETTINGS, scheme="lmp"), data=task).ticket
    largest = draw(pretrained, SETTINGS).ticket
    assert learned.theta == largest.theta
    assert any(not torch.equal(m, largest.masks[n]) for n, m in learned.masks.items())


def test_a_score_moves_by_the_straight_through_gradient_and_the_weight_does_not(
    pretrained, task
) -> None:
    target = retarget(pretrained, task, 0)
    model = target.model
    assert target.new == ("classifier.weight", "classifier.bias")
    profile = MacProfile.of(model, target.space.example_inputs())
    theta = model.stem.conv.weight.detach().clone()
    hook = LearnedMask(
        model,
        names=tuple(backbone_weights(model)),
        kept=300,
        granularity="kernel",
        profile=profile,
    )
    recipe = Recipe(epochs=10, batch_size=40, warmup_epochs=0, learning_rate=0.5)
    state = TrainingState(
        model=model,
        optimizer=make_optimizer(model, recipe),
        recipe=recipe,
        steps_per_epoch=2,
        forward_macs=hook.forward_macs(),
        generator=torch.Generator(),
        batch_examples=40,
    )
    torch.nn.functional.cross_entropy(
        model(task.train.inputs[:40]), task.train.labels[:40]
    ).backward()
    gradient = model.stem.conv.weight.grad.clone()
    before, spent = hook.forward_macs(), profile.dense_macs - hook.forward_macs()
    assert hook.before_update(state)
    expected = theta.abs().mean(dim=(2, 3)) - 0.5 * (gradient * theta).mean(dim=(2, 3))
    assert torch.allclose(hook.state()["score/stem.conv.weight"], expected)
    assert model.stem.conv.weight.grad is None
    hook.after_update(state)
    assert state.training_macs == 40 * spent
    assert state.forward_macs == hook.forward_macs()
    assert before > 0
    mask = hook.masks["stem.conv.weight"]
    assert torch.equal(model.stem.conv.weight.detach(), theta * mask)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scheme": "magnitude"}, "valid: omp, imp, a-imp, lmp"),
        ({"scheme": "imp"}, "needs data"),
        ({"scheme": "a-imp", "robustness": Robustness()}, "or use imp"),
    ],
)
def test_a_draw_without_what_it_needs_says_so(changes, message, pretrained) -> None:
    with pytest.raises(UsageError, match=message):
        draw(pretrained, dataclasses.replace(SETTINGS, **changes))


def test_iterative_pruning_on_other_data_than_the_pretraining_s_is_refused(
    pretrained, task
) -> None:
    with pytest.raises(UsageError, match="give the data set of the pretraining"):
        draw(pretrained, dataclasses.replace(SETTINGS, scheme="imp"), data=task)
