import dataclasses

import pytest
import torch

from growsearch.datasets import Normalisation
from growsearch.datasets.normalisation import PIXELS
from growsearch.errors import UsageError
from growsearch.growth import build_full
from growsearch.metrics import cross_entropy, predict
from growsearch.metrics.adversarial import Attack, fgsm, pgd
from growsearch.tickets import NATURAL, Robustness, pretrain
from growsearch.training import Recipe, TrainingOptions
from growsearch.training.perturbation import OnPixels
from growsearch.transforms import MacProfile

PGD = Robustness(kind="pgd", epsilon=0.1, steps=2)
SMOOTHED = Robustness(kind="smoothing", epsilon=0.2)
TWO_EPOCHS = Recipe(epochs=2, batch_size=40)


class Line(torch.nn.Module):
    """Two logits: the first pixel, and the negative of the second."""

    def forward(self, pixels):
        flat = pixels.flatten(1)
        return torch.stack([flat[:, 0], -flat[:, 1]], dim=1)


def test_fgsm_goes_against_the_label_in_every_pixel_and_stays_in_range() -> None:
    pixels = torch.tensor([0.5, 0.95]).view(1, 1, 1, 2)
    attacked = fgsm(Line(), pixels, torch.tensor([0]), epsilon=0.1, normalisation=PIXELS)
    # The loss of class 0 falls with the first pixel and with the second.
    assert attacked.flatten().tolist() == pytest.approx([0.4, 0.85])
    attacked = fgsm(Line(), pixels, torch.tensor([1]), epsilon=0.1, normalisation=PIXELS)
    assert attacked.flatten().tolist() == pytest.approx([0.6, 1.0])


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_pgd_stays_in_its_ball_and_raises_the_loss(norm, pretrained, source) -> None:
    norm_of_change = {"inf": torch.inf, "2": 2}[norm]
    attack = Attack(epsilon=0.3, steps=4, step_size=0.1, norm=norm)
    model = OnPixels(pretrained.model, source.normalisation)
    pixels = source.normalisation.to_pixels(source.test.inputs).clamp(0, 1)
    attacked = pgd(
        model,
        pixels,
        source.test.labels,
        attack=attack,
        generator=torch.Generator().manual_seed(0),
        normalisation=PIXELS,
    )
    lengths = (attacked - pixels).flatten(1).norm(dim=1, p=norm_of_change)
    assert float(lengths.max()) <= 0.3 + 1e-5
    assert 0 <= float(attacked.min()) <= float(attacked.max()) <= 1
    before = cross_entropy(predict(model, pixels), source.test.labels)
    assert cross_entropy(predict(model, attacked), source.test.labels) > before


def test_pixels_and_inputs_are_each_other_s_inverse(source) -> None:
    normalisation = Normalisation(mean=(51.0,), deviation=(102.0,))
    pixels = torch.tensor([0.0, 0.2, 1.0]).view(1, 1, 1, 3)
    # (255 p - 51) / 102.
    assert normalisation.of_pixels(pixels).flatten().tolist() == pytest.approx([-0.5, 0, 2])
    images = (255 * pixels).round().to(torch.uint8)
    assert torch.allclose(normalisation.apply(images), normalisation.of_pixels(pixels))
    assert torch.allclose(normalisation.to_pixels(normalisation.of_pixels(pixels)), pixels)
    digits = source.normalisation.to_pixels(source.train.inputs)
    assert (float(digits.min()), float(digits.max())) == pytest.approx((0, 1), abs=1e-5)


def test_every_step_of_an_attack_is_two_more_passes(space, source) -> None:
    fitted = space.for_data(source.input_shape, source.num_classes)
    macs = MacProfile.of(build_full(fitted, 0), fitted.example_inputs()).dense_macs
    natural = pretrain(space, source, TWO_EPOCHS, seed=0)
    robust = pretrain(space, source, TWO_EPOCHS, robustness=PGD, seed=0)
    assert natural.training_macs == 3 * macs * 240
    assert robust.training_macs == (3 + 2 * 2) * macs * 240


@pytest.mark.parametrize("robustness", [NATURAL, PGD, SMOOTHED])
def test_the_same_seed_gives_the_same_network_also_after_an_interruption(
    robustness, space, source, tmp_path
) -> None:
    class CutOffError(Exception):
        pass

    def cut(record):
        raise CutOffError

    whole = pretrain(space, source, TWO_EPOCHS, robustness=robustness, seed=3)
    options = TrainingOptions(checkpoint=tmp_path / "part.safetensors")
    with pytest.raises(CutOffError):
        pretrain(
            space,
            source,
            TWO_EPOCHS,
            robustness=robustness,
            seed=3,
            options=dataclasses.replace(options, on_epoch=cut),
        )
    resumed = pretrain(space, source, TWO_EPOCHS, robustness=robustness, seed=3, options=options)
    assert resumed.training_macs == whole.training_macs
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_robustness_changes_what_is_learned(space, source) -> None:
    weights = [
        pretrain(space, source, TWO_EPOCHS, robustness=kind, seed=0).model.classifier.weight
        for kind in (NATURAL, PGD, SMOOTHED)
    ]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_pixels_out_of_range_are_refused(space, source) -> None:
    unknown = dataclasses.replace(source, normalisation=Normalisation())
    with pytest.raises(UsageError, match="give the data set the normalisation"):
        pretrain(space, unknown, TWO_EPOCHS, robustness=PGD, seed=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "natural", "epsilon": 0.1}, "natural training has 0"),
        ({"kind": "pgd"}, "a number above 0"),
        ({"kind": "fgsm", "epsilon": 0.1}, "valid: natural, pgd, smoothing"),
        ({"kind": "pgd", "epsilon": 0.1, "norm": "1"}, "valid: inf, 2"),
        ({"kind": "pgd", "epsilon": 0.1, "steps": 0}, "steps = 0 is not a whole number above 0"),
    ],
)
def test_strengths_without_robustness_are_refused(settings, message) -> None:
    with pytest.raises(UsageError, match=message):
        Robustness(**settings)


@pytest.mark.parametrize("robustness", [NATURAL, PGD, SMOOTHED])
def test_robustness_survives_json(robustness) -> None:
    assert Robustness.from_json(robustness.to_json()) == robustness
