import math

import pytest
import torch
from torch import nn

from growsearch.datasets.dataset import Split
from growsearch.datasets.normalisation import Normalisation
from growsearch.errors import UsageError
from growsearch.metrics import METRICS, Attack, MetricSettings, Smoothing, evaluate
from growsearch.pareto import MEASURES

SETTINGS = MetricSettings(
    normalisation=Normalisation(mean=(128.0,), deviation=(64.0,)),
    attack=Attack(epsilon=0.1, steps=2, step_size=0.05),
    smoothing=Smoothing(samples=20),
    attacked=10,
    certified=4,
)


def images(count=24):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 1, 6, 6), generator=generator).byte()
    labels = torch.arange(count) % 3
    return Split(inputs=SETTINGS.normalisation.apply(pixels), labels=labels)


def pixel_labels():
    some = images()
    return Split(inputs=some.inputs, labels=(some.inputs[:, 0] > 0).long())


def words():
    tokens = torch.randint(5, (12, 8), generator=torch.Generator().manual_seed(0))
    return Split(inputs=tokens[:, :-1], labels=tokens[:, 1:])


class PerPixel(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.dropout = nn.Conv2d(1, 2, 3, padding=1), nn.Dropout(0.5)

    def forward(self, inputs):
        return self.dropout(self.layer(inputs)).permute(0, 2, 3, 1)


def case(name):
    """Return a network, in training mode but for one part, and data for a metric."""
    torch.manual_seed(0)
    labels = METRICS[name].measure.labels
    if labels == "one a pixel":
        return PerPixel(), pixel_labels()
    if labels == "one a word":
        return nn.Sequential(nn.Embedding(5, 4), nn.Dropout(0.5), nn.Linear(4, 5)), words()
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )
    if labels == "numbers":
        return model, Split(inputs=images().inputs, labels=torch.randn(24, 3))
    if labels == "several an example":
        return model, Split(inputs=images().inputs, labels=torch.randn(24, 3) > 0)
    return model, images()


def test_every_measure_is_computed_and_none_is_computed_that_has_no_title():
    assert list(METRICS) == list(MEASURES)
    assert all(METRICS[name].measure is MEASURES[name] for name in MEASURES)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_finite_in_range_and_the_same_again(name):
    model, split = case(name)
    first, second = (evaluate([name], model, split, SETTINGS)[name] for _ in range(2))
    assert first == second
    assert math.isfinite(first)
    assert (
        (-math.inf if name == "r2" else 0) <= first <= (METRICS[name].measure.highest or math.inf)
    )
    assert METRICS[name].title
    assert METRICS[name].direction in ("maximize", "minimize")


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_leaves_no_trace_in_the_network(name):
    model, split = case(name)
    sum(parameter.square().sum() for parameter in model.parameters()).backward()
    next(iter(model.children())).eval()
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    modes = [part.training for part in model.modules()]
    random_state = torch.random.get_rng_state()
    inputs = split.inputs.clone()
    evaluate([name], model, split, SETTINGS)
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())
    pairs = zip(gradients, model.parameters(), strict=True)
    assert all(torch.equal(before, parameter.grad) for before, parameter in pairs)
    assert [part.training for part in model.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert torch.equal(split.inputs, inputs)


@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if m.measure.labels is not None])
def test_a_metric_refuses_data_that_it_is_not_for(name):
    model, _ = case(name)
    other = pixel_labels() if METRICS[name].measure.labels == "one an example" else images()
    labels = METRICS[name].measure.labels
    with pytest.raises(UsageError, match=f"metrics: {name} is for labels {labels}"):
        evaluate([name], model, other, SETTINGS)


def test_metrics_that_change_pixels_refuse_vectors():
    flat = Split(inputs=torch.zeros(4, 9), labels=torch.zeros(4).long())
    with pytest.raises(UsageError, match=r"pgd_accuracy is for images.*\(4, 9\)"):
        evaluate(["ece", "pgd_accuracy"], nn.Linear(9, 2), flat, SETTINGS)


def test_an_unknown_metric_lists_the_valid_ones():
    with pytest.raises(UsageError, match="metrics: unknown 'eec'; valid: accuracy, nll, ece"):
        evaluate(["eec"], nn.Identity(), images(), SETTINGS)


def test_an_attack_of_no_length_leaves_the_accuracy():
    model, split = case("fgsm_accuracy")
    still = MetricSettings(epsilon=0.0, attack=Attack(epsilon=0.0, steps=1, step_size=0.1))
    found = evaluate(["accuracy", "fgsm_accuracy", "pgd_accuracy"], model, split, still)
    assert len(set(found.values())) == 1


def test_other_data_is_told_apart_by_a_network_that_knows_it():
    class Bright(nn.Module):
        """Certain of what is bright."""

        def forward(self, inputs):
            level = inputs.flatten(1).mean(dim=1)
            return torch.stack([level, torch.zeros_like(level)], dim=1)

    split = Split(inputs=torch.full((5, 1, 2, 2), 3.0), labels=torch.zeros(5).long())
    settings = MetricSettings(outside=torch.full((7, 1, 2, 2), 1.0))
    found = evaluate(["ood_auroc", "ood_auroc_energy"], Bright(), split, settings)
    assert found == {"ood_auroc": 1.0, "ood_auroc_energy": 1.0}


@pytest.mark.parametrize("changed", [{"noise": -1.0}, {"epsilon": math.inf}, {"attacked": 0}])
def test_settings_out_of_range_are_refused(changed):
    with pytest.raises(UsageError, match=f"metrics: {next(iter(changed))} = "):
        MetricSettings(**changed)
