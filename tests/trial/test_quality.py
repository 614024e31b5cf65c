import dataclasses

import pytest
import torch
from torch import nn

from growsearch.datasets import Dataset, Normalisation, Split, load_dataset
from growsearch.datasets import outside as outside_module
from growsearch.datasets.outside import outside_inputs, renormalised
from growsearch.errors import DivergedError, UsageError
from growsearch.kinds import Learning
from growsearch.metrics import MetricSettings, evaluate
from growsearch.trial.quality import Quality
from growsearch.trial.run import check_metrics


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture
def stripes(digits, monkeypatch):
    """Another data set of the digits' shape, with a normalisation of its own."""
    had = Normalisation(mean=(100.0,), deviation=(50.0,))
    pixels = torch.zeros(40, 1, 8, 8, dtype=torch.uint8)
    pixels[..., ::2] = 255
    split = Split(inputs=had.apply(pixels), labels=torch.zeros(40).long())
    stripes = Dataset(
        name="stripes", train=split, validation=split, test=split, num_classes=1, normalisation=had
    )
    import growsearch.datasets as datasets

    monkeypatch.setitem(datasets.DATASETS, "stripes", lambda data_dir: stripes)
    return stripes


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def test_digits_know_what_their_pixels_were(digits):
    # Grey levels 0 to 16 are pixels 0 to 255.
    raw = digits.train.inputs * digits.normalisation.deviation[0] + digits.normalisation.mean[0]
    assert float(raw.min()) == pytest.approx(0.0, abs=1e-4)
    assert float(raw.max()) == pytest.approx(255.0, abs=1e-3)


def test_images_pass_from_one_normalisation_to_another():
    pixels = torch.tensor([0, 128, 255], dtype=torch.uint8).view(3, 1, 1, 1)
    had = Normalisation(mean=(10.0,), deviation=(20.0,))
    wanted = Normalisation(mean=(99.0,), deviation=(7.0,))
    found = renormalised(had.apply(pixels), had, wanted)
    assert torch.allclose(found, wanted.apply(pixels), atol=1e-5)


def test_another_data_set_is_seen_through_the_networks_normalisation(digits, stripes):
    found = outside_inputs("stripes", None, digits)
    raw = found * digits.normalisation.deviation[0] + digits.normalisation.mean[0]
    assert raw[0, 0, 0, :2].tolist() == pytest.approx([255.0, 0.0], abs=1e-3)


def test_against_another_data_set_differs_from_noise(digits, stripes):
    model = network()
    noise = Quality(names=("ood_auroc",))
    other = Quality(names=("ood_auroc",), against="stripes")
    values = [
        quality.take(model, Learning(dataset=digits), None)["ood_auroc"]
        for quality in (noise, other)
    ]
    assert values[0] != values[1]
    expected = evaluate(
        ["ood_auroc"],
        model,
        digits.validation,
        MetricSettings(outside=outside_inputs("stripes", None, digits)),
    )
    assert values[1] == expected["ood_auroc"]


def test_data_of_another_shape_is_refused(digits, monkeypatch):
    other = dataclasses.replace(digits, name="wide", normalisation=digits.normalisation)
    wide = Split(inputs=torch.zeros(2, 3, 4, 4), labels=torch.zeros(2).long())
    monkeypatch.setitem(
        outside_module.DATASETS, "wide", lambda data_dir: dataclasses.replace(other, test=wide)
    )
    with pytest.raises(UsageError, match="wide has images of 3 x 4 x 4, digits of 1 x 8 x 8"):
        Quality(names=("ood_auroc",), against="wide").check(digits, None)
    # Nothing is loaded for metrics that compare with nothing.
    Quality(names=("ece",), against="wide").check(digits, None)


@pytest.mark.parametrize(
    ("against", "message"), [("digits", "is the data that"), ("mnist", "unknown 'mnist'; valid:")]
)
def test_data_that_says_nothing_is_refused(digits, against, message):
    with pytest.raises(UsageError, match=message):
        Quality(names=("ood_auroc_energy",), against=against).check(digits, None)


def test_a_metric_for_other_labels_is_refused(digits):
    with pytest.raises(UsageError, match="mean_iou is for labels one a pixel"):
        Quality(names=("mean_iou",)).check(digits, None)


def test_a_metric_that_is_no_number_fails_the_trial():
    check_metrics({"ece": 0.1})
    with pytest.raises(DivergedError, match="nll is inf"):
        check_metrics({"ece": 0.1, "nll": float("inf")})
