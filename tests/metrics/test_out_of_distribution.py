import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

from growsearch.datasets.normalisation import Normalisation
from growsearch.metrics import energy, noisy, ood_auroc, softmax_strangeness


def test_strangeness_by_hand():
    logits = torch.tensor([[math.log(3.0), 0.0]])
    assert float(softmax_strangeness(logits)) == pytest.approx(0.25)
    assert float(energy(logits)) == pytest.approx(-math.log(4.0))


def test_energy_sees_what_softmax_cannot():
    # Both are equally certain, but one has larger logits.
    near, far = torch.tensor([[8.0, 6.0]]), torch.tensor([[2.0, 0.0]])
    assert ood_auroc(near, far, softmax_strangeness) == pytest.approx(0.5)
    assert ood_auroc(near, far, energy) == 1.0


def test_the_area_is_the_share_of_pairs_in_order():
    inside = torch.tensor([[4.0, 0.0], [2.0, 0.0]])
    outside = torch.tensor([[3.0, 0.0], [1.0, 0.0]])
    # Of four pairs the outside one is stranger in three.
    assert ood_auroc(inside, outside, softmax_strangeness) == 0.75


def test_the_area_agrees_with_scikit_learn_on_the_largest_probability():
    generator = torch.Generator().manual_seed(0)
    inside = 3 * torch.randn(50, 5, generator=generator)
    outside = torch.randn(70, 5, generator=generator)
    probabilities = torch.softmax(torch.cat([inside, outside]).double(), dim=1).amax(dim=1)
    # The other way round: what is inside is positive, and certain.
    expected = roc_auc_score([1] * 50 + [0] * 70, probabilities)
    assert ood_auroc(inside, outside, softmax_strangeness) == pytest.approx(expected)


def test_noise_has_its_deviation_in_raw_pixels_and_stays_valid():
    normalisation = Normalisation(mean=(127.5,), deviation=(51.0,))
    grey = torch.zeros(200, 1, 10, 10)
    found = noisy(grey, 0.1, torch.Generator().manual_seed(0), normalisation)
    assert float(found.std()) * 51 / 255 == pytest.approx(0.1, rel=0.02)
    black = grey - 127.5 / 51
    raw = noisy(black, 0.1, torch.Generator().manual_seed(0), normalisation) * 51 + 127.5
    assert float(raw.min()) >= -1e-4
    assert float((raw < 1e-3).float().mean()) == pytest.approx(0.5, abs=0.02)
