import pytest
import torch
from scipy.stats import binomtest, norm
from torch import nn

from growsearch.datasets.normalisation import Normalisation
from growsearch.errors import UsageError
from growsearch.metrics.smoothing import (
    ABSTAINED,
    Smoothing,
    certified_accuracy,
    certify,
    lower_bound,
)


class Threshold(nn.Module):
    """Class 1 where the only pixel is above 0: the smoothed network is known exactly."""

    def forward(self, inputs):
        value = inputs.flatten(1).sum(dim=1)
        return torch.stack([-value, value], dim=1)


@pytest.mark.parametrize(("hits", "samples"), [(99, 100), (60, 100), (1, 5), (100, 100)])
def test_the_bound_is_scipys_one_sided_clopper_pearson(hits, samples):
    test = binomtest(hits, samples, alternative="greater")
    interval = test.proportion_ci(confidence_level=0.999, method="exact")
    assert lower_bound(hits, samples, 0.001) == pytest.approx(interval.low)


def test_no_hit_bounds_nothing():
    assert lower_bound(0, 10, 0.05) == 0.0


def test_the_radius_of_a_unanimous_vote_by_hand():
    # All of 100 votes: p >= .001^(1/100), so the radius is .5 Phi^-1(.9333) = .75.
    smoothing = Smoothing(sigma=0.5, samples=100, alpha=0.001)
    inputs = torch.full((1, 1, 1, 1), 50.0)
    classes, radii = certify(
        Threshold(), inputs, smoothing, generator=torch.Generator().manual_seed(0)
    )
    assert classes.tolist() == [1]
    assert radii.tolist() == pytest.approx([0.5 * norm.ppf(0.001 ** (1 / 100))])
    assert radii.tolist() == pytest.approx([0.7504], abs=1e-3)


def test_certified_radii_are_below_the_true_distance_and_a_tie_abstains():
    smoothing = Smoothing(sigma=0.5, samples=400, alpha=0.001)
    distances = torch.tensor([-0.8, -0.4, 0.0, 0.4, 0.8])
    generator = torch.Generator().manual_seed(1)
    classes, radii = certify(
        Threshold(), distances.view(5, 1, 1, 1), smoothing, generator=generator
    )
    # Phi(d / sigma) of the votes are right, which makes the true radius d.
    assert classes.tolist() == [0, 0, ABSTAINED, 1, 1]
    assert bool((radii <= distances.abs()).all())
    assert bool((radii[[0, 1, 3, 4]] > 0.15).all())
    assert radii[2] == 0


def test_noise_and_radius_are_in_raw_pixels():
    # A pixel's unit is 51 / 255 = .2 raw: an image at 2 units is .4 from the border.
    normalisation = Normalisation(mean=(100.0,), deviation=(51.0,))
    smoothing = Smoothing(sigma=0.2, samples=2000)
    _, radii = certify(
        Threshold(),
        torch.full((1, 1, 1, 1), 2.0),
        smoothing,
        generator=torch.Generator().manual_seed(0),
        normalisation=normalisation,
    )
    assert 0.3 < float(radii) < 0.4


def test_certified_accuracy_wants_the_right_class_and_the_radius():
    classes, radii = torch.tensor([0, 1, ABSTAINED, 1]), torch.tensor([0.1, 0.3, 0.0, 0.5])
    labels = torch.tensor([0, 1, 1, 0])
    assert certified_accuracy(classes, radii, labels) == 0.5
    assert certified_accuracy(classes, radii, labels, radius=0.2) == 0.25


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"sigma": 0.0}, "sigma = 0.0"), ({"samples": 0}, "samples = 0"), ({"alpha": 1.0}, "alpha")],
)
def test_a_vote_that_certifies_nothing_is_refused(changed, message):
    with pytest.raises(UsageError, match=message):
        Smoothing(**changed)
