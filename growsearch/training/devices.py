"""Devices to train on: the one that a name stands for here, and networks taken there and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Final

import torch
from torch import Tensor, nn

from growsearch.errors import UsageError
from growsearch.metrics.placement import device_of
from growsearch.training.recipes.recipe import Precision

AUTO: Final = "auto"
_CPU = torch.device("cpu")
# Of an optimizer's state, a count of steps, which torch keeps on the CPU.
_STEPS = "step"


def training_device(name: str) -> torch.device:
    """Return the device called ``name``, as it is found in this process.

    "auto" is this machine's accelerator, if there is one, else the CPU. In a trial that Ray runs
    it is the one that Ray gave the trial, since Ray hides all others from its process. Others are
    "cpu", "cuda", "cuda:1", "mps", "xpu" and whatever backend has registered itself with torch.

    Raises:
        UsageError: naming what there is, if that device is unknown or absent.

    Example:
        >>> from growsearch.training import training_device
        >>> training_device("cpu")
        device(type='cpu')
    """
    if name == AUTO:
        found = torch.accelerator.current_accelerator(check_available=True)
        return _CPU if found is None else _numbered(found)
    try:
        wanted = torch.device(name)
        backend = None if wanted.type == "cpu" else torch.get_device_module(wanted.type)
    except RuntimeError as error:
        raise UsageError(f"device: unknown {name!r}; {_there_is()}") from error
    if backend is None:
        return _CPU
    count = int(backend.device_count()) if hasattr(backend, "device_count") else 0
    if not getattr(backend, "is_available", bool)() or (wanted.index or 0) >= count:
        raise UsageError(f"device: {name!r} is not there; {_there_is()}")
    return _numbered(wanted)


def device_for(model: nn.Module, name: str | None) -> torch.device:
    """Return the device called ``name``, or the one that ``model`` is on if it is None.

    Raises:
        UsageError: as `training_device`.
    """
    return device_of(model) if name is None else training_device(name)


def check_device(name: str) -> None:
    """Refuse a name that no machine has a device of; whether it is on this one is not asked.

    Raises:
        UsageError: naming what there is here.
    """
    if name != AUTO:
        try:
            computes = torch.device(name).type != "meta"
        except RuntimeError:
            computes = False
        if not computes:
            raise UsageError(f"device: unknown {name!r}; {_there_is()}")


@contextmanager
def placed(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Have ``model`` on ``device`` inside; afterwards it is where it was, with all that it learned.

    Its parameters stay the same objects. A network that is there already is not touched.

    Example:
        >>> import torch
        >>> from growsearch.training.devices import placed, training_device
        >>> model = torch.nn.Linear(4, 2)
        >>> with placed(model, training_device("cpu")):
        ...     inside = model.weight.device.type
        >>> inside
        'cpu'
    """
    home = device_of(model)
    if home == device:
        yield
        return
    model.to(device)
    try:
        yield
    finally:
        model.to(home)


def beside_parameter(entry: str, value: Tensor, parameter: Tensor) -> Tensor:
    """Return an entry of an optimizer's state where the optimizer looks for it."""
    return value.to(_CPU if entry == _STEPS else parameter.device)


def move_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Bring what an optimizer remembers to where its parameters are now."""
    for parameter, memory in optimizer.state.items():
        for entry, value in memory.items():
            if isinstance(value, Tensor):
                memory[entry] = beside_parameter(entry, value, parameter)


def random_state(device: torch.device) -> Tensor | None:
    """Return the state of an accelerator's own generator, which dropout there draws from."""
    if device.type == "cpu":
        return None
    backend = torch.get_device_module(device.type)
    if not hasattr(backend, "get_rng_state"):
        return None
    state: Tensor = backend.get_rng_state(device.index)
    return state.cpu()


def set_random_state(device: torch.device, state: Tensor) -> None:
    """Take back what `random_state` returned; that of a device of another kind is left alone."""
    own = random_state(device)
    if own is not None and own.shape == state.shape:
        torch.get_device_module(device.type).set_rng_state(state, device.index)


def computed_precision(device: torch.device) -> Precision:
    """Return bfloat16 where the hardware itself computes it, float32 where it would be emulated.

    Of CUDA that is compute capability 8.0 on (and what ROCm says), of a CPU AMX or AVX-512 BF16.

    Example:
        >>> import torch
        >>> from growsearch.training.devices import computed_precision
        >>> computed_precision(torch.device("meta"))
        'float32'
    """
    return "bfloat16" if _computes_bfloat16(device) else "float32"


def _computes_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    if device.type == "xpu":
        with torch.xpu.device(device) if device.index is not None else nullcontext():
            return bool(torch.xpu.is_bf16_supported(including_emulation=False))
    return False


def devices_here() -> tuple[str, ...]:
    """Return the devices of this process by name, the CPU first.

    Example:
        >>> from growsearch.training.devices import devices_here
        >>> devices_here()[0]
        'cpu'
    """
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None:
        return ("cpu",)
    count = torch.accelerator.device_count()
    return ("cpu", *(f"{found.type}:{number}" for number in range(count)))


def _there_is() -> str:
    return f"here there are: {', '.join(devices_here())}; take one of them, or auto"


def _numbered(device: torch.device) -> torch.device:
    """Return ``device`` with its number, as its tensors have it."""
    # A device without a number has None, which torch's own types do not say.
    if ":" in str(device):
        return device
    current = getattr(torch.get_device_module(device.type), "current_device", None)
    return torch.device(device.type, 0 if current is None else int(current()))
