"""Seeds for torch's default generators: the same draws inside, no trace outside, on any device."""

import pytest
import torch

from cost_models.counting.module_state import untouched
from search_spaces import seeded
from search_spaces.randomness import random_state_kept


class Accelerator:
    """Two devices with generators of their own, which start when one of them is first asked.

    As torch.cuda: a seed that is set before they start waits for them.
    """

    def __init__(self, *, running: bool) -> None:
        self.waiting = 0
        self.generators: list[torch.Generator] = []
        if running:
            self.start()

    def start(self) -> None:
        if not self.generators:
            self.generators = [torch.Generator().manual_seed(self.waiting) for _ in range(2)]

    def is_initialized(self) -> bool:
        return bool(self.generators)

    def device_count(self) -> int:
        return 2

    def manual_seed_all(self, seed: int) -> None:
        self.waiting = seed
        for generator in self.generators:
            generator.manual_seed(seed)

    def get_rng_state(self, device: int) -> torch.Tensor:
        self.start()
        return self.generators[device].get_state()

    def set_rng_state(self, state: torch.Tensor, device: int) -> None:
        self.generators[device].set_state(state)

    def draw(self) -> list[float]:
        self.start()
        return [float(torch.rand((), generator=each)) for each in self.generators]


@pytest.fixture
def plugged_in(monkeypatch):
    def plug_in(*, running: bool) -> Accelerator:
        device = Accelerator(running=running)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
        monkeypatch.setattr(torch, "get_device_module", lambda _: device)
        monkeypatch.setattr(torch.cuda, "manual_seed_all", device.manual_seed_all)
        return device

    return plug_in


def test_the_same_seed_draws_the_same_and_leaves_the_generator_where_it_was():
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    first = torch.rand(1)
    with seeded(0):
        inside = torch.rand(3)
    with seeded(0):
        again = torch.rand(3)
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)
    assert torch.equal(inside, again)
    assert torch.equal(inside, torch.rand(3, generator=torch.Generator().manual_seed(0)))


def test_the_generator_comes_back_after_an_error_and_from_a_seed_within_a_seed():
    def fail() -> None:
        with seeded(1):
            torch.rand(1)
        assert torch.equal(torch.rand(1), torch.rand(1, generator=torch.Generator().manual_seed(0)))
        raise RuntimeError("inside")

    torch.manual_seed(7)
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="inside"), seeded(0):
        fail()
    assert torch.equal(torch.get_rng_state(), before)


def test_every_running_device_is_seeded_inside_and_comes_back(plugged_in):
    device = plugged_in(running=True)
    torch.manual_seed(7)
    device.draw()
    before = [generator.get_state() for generator in device.generators]
    with seeded(0):
        inside = device.draw()
    assert all(
        torch.equal(generator.get_state(), state)
        for generator, state in zip(device.generators, before, strict=True)
    )
    with seeded(0):
        assert device.draw() == inside
    assert inside == [float(torch.rand((), generator=torch.Generator().manual_seed(0)))] * 2


def test_a_device_that_nothing_has_used_is_not_started_and_keeps_the_seed_of_the_user(plugged_in):
    device = plugged_in(running=False)
    torch.manual_seed(7)
    with seeded(0), random_state_kept(), untouched(torch.nn.Linear(1, 1)):
        torch.rand(1)
    assert not device.is_initialized()
    assert device.draw() == [float(torch.rand((), generator=torch.Generator().manual_seed(7)))] * 2


def test_a_device_that_starts_inside_draws_from_the_seed_there_and_from_the_users_after(plugged_in):
    device = plugged_in(running=False)
    torch.manual_seed(7)
    with seeded(0):
        assert device.draw()[0] == float(torch.rand(()))
    assert device.draw()[0] == float(torch.rand(()))


def test_what_is_drawn_while_the_state_is_kept_changes_nothing_after(plugged_in):
    device, module = plugged_in(running=True), torch.nn.Linear(1, 1)
    torch.manual_seed(7)
    expected = [float(torch.rand((), generator=torch.Generator().manual_seed(7)))] * 2
    with random_state_kept():
        device.draw(), torch.rand(5)
    with untouched(module):
        device.draw(), torch.rand(5)
    assert [float(torch.rand(())), *device.draw()] == [expected[0], *expected]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_cuda_devices_generator_comes_back():
    torch.rand(1, device="cuda")
    before = torch.cuda.get_rng_state()
    with seeded(0):
        first = torch.rand(3, device="cuda")
    assert torch.equal(torch.cuda.get_rng_state(), before)
    with seeded(0):
        assert torch.equal(torch.rand(3, device="cuda"), first)
