from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cost_models import RaplMeter, energy_meter, measure_interleaved
from cost_models.measuring.energy import NvmlMeter


def domain(folder: Path, name: str, label: str, energy_uj: int, range_uj: int = 1000) -> Path:
    path = folder / name
    path.mkdir()
    (path / "name").write_text(f"{label}\n")
    (path / "energy_uj").write_text(f"{energy_uj}\n")
    (path / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return path / "energy_uj"


def test_packages_are_summed_and_their_parts_are_not_counted_twice(tmp_path):
    first = domain(tmp_path, "intel-rapl:0", "package-0", 100)
    second = domain(tmp_path, "intel-rapl:1", "package-1", 200)
    domain(tmp_path, "intel-rapl:0:0", "core", 50)
    domain(tmp_path, "intel-rapl:2", "psys", 900)
    meter = RaplMeter.find(tmp_path)
    before = meter.read()
    first.write_text("400")
    second.write_text("201")
    assert set(before) == {"intel-rapl:0", "intel-rapl:1"}
    assert meter.joules(before, meter.read()) == pytest.approx(301e-6)


def test_a_counter_that_passes_its_range_starts_again(tmp_path):
    counter = domain(tmp_path, "intel-rapl:0", "package-0", 990)
    meter = RaplMeter.find(tmp_path)
    before = meter.read()
    counter.write_text("20")
    assert meter.joules(before, meter.read()) == pytest.approx(30e-6)


def test_a_machine_without_readable_counters_has_no_meter(tmp_path):
    assert RaplMeter.find(tmp_path) is None
    assert RaplMeter.find(tmp_path / "nowhere") is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert RaplMeter.find(tmp_path) is None
    assert energy_meter(powercap=tmp_path) is None


def test_a_counter_that_holds_no_number_is_left_out(tmp_path):
    domain(tmp_path, "intel-rapl:0", "package-0", 1).write_text("?")
    assert RaplMeter.find(tmp_path) is None


def test_a_gpu_meter_turns_millijoules_into_joules():
    meter = NvmlMeter(nvml=None, handle=None)
    assert meter.joules({"gpu": 1000}, {"gpu": 3500}) == 2.5


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an NVIDIA GPU")
def test_a_machine_without_a_gpu_has_no_gpu_meter():
    assert energy_meter("cuda") is None


class Burning(nn.Module):
    """Adds 2 microjoules to a counter at every pass, as a machine would."""

    def __init__(self, counter: Path) -> None:
        super().__init__()
        self.counter = counter

    def forward(self, x: Tensor) -> Tensor:
        self.counter.write_text(str((int(self.counter.read_text()) + 2) % 1000))
        return x


def test_a_measurement_gives_the_joules_of_one_pass(tmp_path):
    counter = domain(tmp_path, "intel-rapl:0", "package-0", 0)
    candidates = {
        "burning": (Burning(counter), (torch.zeros(1),)),
        "idle": (nn.ReLU(), (torch.zeros(1),)),
    }
    meter = RaplMeter.find(tmp_path)
    found = measure_interleaved(candidates, budget_s=0.02, max_noise=None, meter=meter)
    assert found["burning"].energy_j == pytest.approx(2e-6)
    assert found["idle"].energy_j == 0.0
    assert found["burning"].to_cost().energy_j == found["burning"].energy_j


def test_without_a_counter_the_energy_is_not_known(monkeypatch):
    monkeypatch.setattr("cost_models.measuring.measure.energy_meter", lambda accelerator: None)
    candidates = {"idle": (nn.ReLU(), (torch.zeros(1),))}
    found = measure_interleaved(candidates, budget_s=0.02, max_noise=None)["idle"]
    assert found.energy_j is None
    assert found.to_cost().energy_j is None
