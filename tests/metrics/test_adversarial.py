import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from growsearch.datasets.normalisation import Normalisation
from growsearch.errors import UsageError
from growsearch.metrics.adversarial import Attack, fgsm, pgd

GREY = Normalisation(mean=(51.0,), deviation=(102.0,))


class Linear(nn.Module):
    """Two logits of one image of two pixels: (w x, 0)."""

    def __init__(self, weights=(3.0, -4.0)):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights))

    def forward(self, inputs):
        first = (inputs.flatten(1) * self.weights).sum(dim=1)
        return torch.stack([first, torch.zeros_like(first)], dim=1)


def images(*values):
    return torch.tensor(values).view(1, 1, 1, -1)


def raw(inputs, normalisation):
    mean = torch.tensor(normalisation.mean).view(1, -1, 1, 1)
    deviation = torch.tensor(normalisation.deviation).view(1, -1, 1, 1)
    return (inputs * deviation + mean) / 255


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network(channels=1):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4)
    )


def test_fgsm_of_a_linear_network_by_hand():
    # Class 0 has the logit 3 a - 4 b: its loss rises as a falls and b rises.
    found = fgsm(Linear(), images(0.5, 0.5), torch.tensor([0]), epsilon=0.1)
    assert found.flatten().tolist() == pytest.approx([0.4, 0.6])


def test_epsilon_is_in_raw_pixels_and_stays_in_valid_ones():
    # Raw pixels .9 and .05 in GREY's units; the first may rise by .1 only, the second fall by .05.
    inputs = images((0.9 * 255 - 51) / 102, (0.05 * 255 - 51) / 102)
    found = fgsm(Linear(), inputs, torch.tensor([1]), epsilon=0.2, normalisation=GREY)
    assert raw(found, GREY).flatten().tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    found = fgsm(Linear(), inputs, torch.tensor([0]), epsilon=0.2, normalisation=GREY)
    assert raw(found, GREY).flatten().tolist() == pytest.approx([0.7, 0.25], abs=1e-6)


def test_pgd_in_the_euclidean_norm_goes_along_the_gradient():
    # The gradient of class 0's loss is along (-3, 4) / 5, and the ball ends at .1.
    attack = Attack(epsilon=0.1, steps=5, step_size=0.05, norm="2", random_start=False)
    found = pgd(Linear(), images(0.5, 0.5), torch.tensor([0]), attack=attack, generator=generator())
    assert found.flatten().tolist() == pytest.approx([0.44, 0.58])


def test_one_step_of_pgd_without_a_random_start_is_fgsm():
    model, inputs = network(), torch.randn(6, 1, 8, 8, generator=generator())
    labels = torch.randint(4, (6,), generator=generator())
    model(inputs)
    attack = Attack(epsilon=0.1, steps=1, step_size=0.1, random_start=False)
    found = pgd(model, inputs, labels, attack=attack, generator=generator(), normalisation=GREY)
    assert torch.equal(found, fgsm(model, inputs, labels, epsilon=0.1, normalisation=GREY))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    norm=st.sampled_from(["inf", "2"]),
    epsilon=st.floats(0.0, 0.5),
    random_start=st.booleans(),
)
def test_pgd_stays_in_the_ball_and_in_valid_pixels(seed, norm, epsilon, random_start):
    normalisation = Normalisation(mean=(100.0, 120.0), deviation=(50.0, 70.0))
    pixels = torch.randint(256, (3, 2, 5, 5), generator=generator(seed)).byte()
    inputs = normalisation.apply(pixels)
    model = network(channels=2)
    model(inputs)
    attack = Attack(epsilon=epsilon, steps=3, step_size=0.3, norm=norm, random_start=random_start)
    found = pgd(
        model,
        inputs,
        torch.tensor([0, 1, 2]),
        attack=attack,
        generator=generator(seed),
        normalisation=normalisation,
    )
    moved = raw(found, normalisation)
    delta = (moved - raw(inputs, normalisation)).flatten(1)
    lengths = delta.abs().amax(dim=1) if norm == "inf" else delta.norm(dim=1)
    assert float(lengths.max()) <= epsilon + 1e-5
    assert float(moved.min()) >= -1e-5
    assert float(moved.max()) <= 1 + 1e-5


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_pgd_raises_the_loss_more_than_its_random_start(norm):
    torch.manual_seed(1)
    model = network()
    inputs = torch.randn(32, 1, 8, 8, generator=generator())
    labels = torch.randint(4, (32,), generator=generator())
    model(inputs)
    model.eval()

    def loss(steps, size):
        attack = Attack(epsilon=0.3, steps=steps, step_size=size, norm=norm)
        found = pgd(model, inputs, labels, attack=attack, generator=generator(3))
        return nn.functional.cross_entropy(model(found), labels).item()

    assert loss(10, 0.1) > loss(1, 0.0)


def test_random_starts_are_spread_over_the_euclidean_ball():
    # Uniform in two dimensions: a quarter of the points lie within half the radius.
    inputs = torch.zeros(4000, 1, 1, 2)
    attack = Attack(epsilon=1.0, steps=1, step_size=0.0, norm="2")
    found = pgd(Linear(), inputs, torch.zeros(4000).long(), attack=attack, generator=generator())
    lengths = found.flatten(1).norm(dim=1)
    assert float((lengths < 0.5).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert float(lengths.max()) <= 1.0


def test_an_attack_leaves_no_trace_in_the_network():
    model, inputs = network(), torch.randn(4, 1, 8, 8, generator=generator())
    labels = torch.tensor([0, 1, 2, 3])
    nn.functional.cross_entropy(model(inputs), labels).backward()
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    attack = Attack(epsilon=0.1, steps=2, step_size=0.1)
    with torch.no_grad():
        pgd(model, inputs, labels, attack=attack, generator=generator())
        fgsm(model, inputs, labels, epsilon=0.1)
    assert all(torch.equal(tensor, before[n]) for n, tensor in model.state_dict().items())
    pairs = zip(gradients, model.parameters(), strict=True)
    assert all(torch.equal(before, now.grad) for before, now in pairs)
    assert [part.training for part in model] == [True, False, True, True, True]
    assert not inputs.requires_grad


def test_the_same_generator_gives_the_same_images():
    model, inputs = network(), torch.randn(4, 1, 8, 8, generator=generator())
    model(inputs)
    attack = Attack(epsilon=0.1, steps=2, step_size=0.1)
    first, second, other = (
        pgd(model, inputs, torch.arange(4), attack=attack, generator=generator(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epsilon": -1.0}, "epsilon = -1.0 is not a finite length"),
        ({"step_size": float("nan")}, "step_size = nan"),
        ({"steps": 0}, "steps = 0"),
        ({"norm": "1"}, "unknown norm '1'; valid: inf, 2"),
    ],
)
def test_an_attack_that_makes_no_sense_is_refused(changed, message):
    with pytest.raises(UsageError, match=message):
        Attack(**{"epsilon": 0.1, "steps": 1, "step_size": 0.1, **changed})
