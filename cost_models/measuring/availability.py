"""Device availability: can this process measure on a device, and if not, what is missing?"""

import importlib.util
from functools import lru_cache

from cost_models.cost import Device
from cost_models.errors import CostModelError
from cost_models.registry import DEVICES, device_named


def unavailable(device: str) -> str | None:
    """Say in one line what keeps a device from being used here; None when nothing does.

    Analytic devices need nothing. Raises `UnknownNameError` for a name that is no device.

    Example:
        >>> from cost_models import unavailable
        >>> unavailable("cpu") is None
        True
    """
    return _missing(device_named(device))


def available_devices() -> dict[str, Device]:
    """Give the devices that this process can use, by name.

    Example:
        >>> from cost_models import available_devices
        >>> {"cpu", "wafer-cs2"} <= set(available_devices())
        True
    """
    return {name: device for name, device in DEVICES.items() if _missing(device) is None}


def check_available(device: Device) -> None:
    """Raise `CostModelError` with the remedy when a device cannot be used here."""
    missing = _missing(device)
    if missing is not None:
        raise CostModelError(f"device {device.name!r} cannot be measured here: {missing}")


def _missing(device: Device) -> str | None:
    needs = device.needs
    absent = [name for name in needs.packages if importlib.util.find_spec(name) is None]
    if absent:
        return (
            f"{', '.join(absent)} not installed; install the extra '{needs.extra}': "
            f"pip install 'growsearch[{needs.extra}]'"
        )
    if needs.accelerator == "cuda" and not _has_cuda():
        return "torch finds no NVIDIA GPU; run on a machine with one and a CUDA build of torch"
    if needs.arithmetic == "bfloat16" and not _has_bfloat16():
        return "this processor has no bfloat16 arithmetic; run on one with AVX-512 BF16 or AMX"
    return None


@lru_cache(maxsize=1)
def _has_bfloat16() -> bool:
    """Ask OpenVINO, which runs in bfloat16 where the processor computes in it."""
    from cost_models.executors.openvino_core import openvino_core

    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
