import pytest
import torch

from cost_models import CostModelError, HostNoise, host_noise
from cost_models.measuring.machine_noise import kernel_noise

STEADY = [(1.0, 1.0)] * 8


def noise_of(*samples: list[tuple[float, float]]) -> HostNoise:
    kernels = tuple(kernel_noise(str(n), taken) for n, taken in enumerate(samples))
    return HostNoise(kernels=kernels, samples=len(samples[0]), threads=1)


def test_a_steady_machine_is_quiet_and_any_difference_is_real():
    noise = noise_of(STEADY)
    assert (noise.smallest_difference, noise.waiting, noise.quiet) == (0.0, 0.0, True)
    assert noise.verdict.startswith("quiet")


def test_a_kernel_by_hand():
    kernel = kernel_noise("a", [(1.0, 1.0), (3.0, 1.0), (2.0, 1.0), (4.0, 2.0)])
    assert kernel.low_s == 1.0
    assert kernel.repeat_noise == 3.0
    assert kernel.cpu_repeat_noise == 1.0
    assert kernel.slow_down == 2.0
    assert kernel.waiting == 0.5


def test_the_worst_kernel_decides():
    noise = noise_of(STEADY, [(1.0, 1.0)] * 4 + [(1.2, 1.0)] * 4)
    assert noise.smallest_difference == pytest.approx(0.2)
    assert noise.smallest_cpu_difference == 0.0
    assert not noise.quiet


def test_a_process_that_waits_for_its_processor_is_disturbed_even_when_the_times_agree():
    noise = noise_of([(2.0, 1.0)] * 8)
    assert noise.smallest_difference == 0.0
    assert noise.waiting == 0.5
    assert not noise.quiet
    assert "waited 50% of the time" in noise.verdict
    assert "stop other programs" in noise.verdict


def test_more_threads_than_one_use_more_cpu_than_wall_time_without_waiting():
    assert noise_of([(1.0, 2.0)] * 8).waiting == 0.0


def test_this_machine_is_checked_with_the_threads_left_as_they_were():
    threads = torch.get_num_threads()
    noise = host_noise(budget_s=0.05, threads=threads + 1)
    assert {kernel.name for kernel in noise.kernels} == {"compute", "memory"}
    assert noise.samples >= 16
    assert noise.threads == threads + 1
    assert all(kernel.low_s > 0 for kernel in noise.kernels)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("options", [{"budget_s": 0.0}, {"threads": 0}])
def test_an_argument_out_of_range_is_refused(options):
    with pytest.raises(CostModelError, match="at least 1 thread and more than 0 s"):
        host_noise(**options)
