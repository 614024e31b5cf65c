import pytest
import torch
from torch import nn

from cost_models import estimate, layer_shares, trace
from cost_models.measuring import layer_timing


class Clock:
    """Stands still but for those who let it go on."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(layer_timing, "time", clock)
    return clock


class Slow(nn.Linear):
    """A layer that takes so many seconds."""

    def __init__(self, clock, seconds):
        super().__init__(4, 4)
        self.clock, self.seconds = clock, seconds

    def forward(self, x):
        self.clock.now += self.seconds
        return super().forward(x)


class Around(nn.Module):
    """A layer with a weight of its own, and another layer inside."""

    def __init__(self, clock, seconds, inside):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 4))
        self.clock, self.seconds, self.inside = clock, seconds, inside

    def forward(self, x):
        self.clock.now += self.seconds
        return self.inside(x) @ self.weight


class Idle(nn.Identity):
    """No layer, and yet it takes time."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self, x):
        self.clock.now += self.seconds
        return x


def test_shares_are_those_of_the_time_and_a_layer_is_not_charged_for_those_inside(clock):
    model = nn.Sequential(Slow(clock, 1), Idle(clock, 4), Around(clock, 2, Slow(clock, 3)))
    found = layer_shares(model, (torch.ones(2, 4),))
    assert found == pytest.approx({"0": 0.1, "2": 0.2, "2.inside": 0.3})


def test_the_module_stays_as_it_is():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layer_shares(model, (torch.ones(2, 4),))
    assert model.training
    assert model[2].training
    assert not model[0]._forward_hooks
    assert not model[0]._forward_pre_hooks
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_layer_that_is_called_twice_has_both_times(clock):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = Slow(clock, 2), Slow(clock, 1)

        def forward(self, x):
            return self.other(self.one(self.one(x)))

    assert layer_shares(Twice(), (torch.ones(1, 4),)) == pytest.approx({"one": 0.8, "other": 0.2})


def test_the_wafers_layers_make_up_its_latency():
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
    cost = estimate(trace(model, (torch.zeros(1, 1, 8, 8),)), "wafer-cs2", 1, "inference")
    assert len(cost.layers_s) == 2
    assert sum(cost.layers_s) == pytest.approx(cost.latency_s, rel=1e-12)
