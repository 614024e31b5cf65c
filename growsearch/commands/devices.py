"""Devices command: what can be measured on this machine, and how far its times can be trusted."""

from __future__ import annotations

from typing import Annotated

import typer

from growsearch.commands.examples import examples

EPILOG = examples("growsearch devices", "growsearch devices --seconds 10")


def devices(
    seconds: Annotated[float, typer.Option(min=0.5, help="How long to check the noise.")] = 2.0,
    threads: Annotated[int, typer.Option(min=1, max=4096, help="Threads to check it on.")] = 1,
) -> None:
    """Say which devices can be used here, and how far apart two times must be to differ.

    Two kernels of always the same work are timed again and again: what their times differ by is
    the machine's doing.
    """
    lines = device_lines()
    width = max(map(len, lines))
    for name, description in lines.items():
        typer.echo(f"{name:<{width}}  {description}")
    typer.echo(f"\nEnergy: {_energy()}")
    typer.echo(noise_line(seconds, threads))


def device_lines() -> dict[str, str]:
    """Describe every device in a line, with what keeps it from being used here."""
    from cost_models import DEVICES, unavailable

    lines = {}
    for name, device in DEVICES.items():
        missing = unavailable(name)
        not_here = f"; not here: {missing}" if missing else ""
        lines[name] = f"{device.kind}: {device.description}{not_here}"
    return lines


def noise_line(seconds: float = 2.0, threads: int = 1) -> str:
    """Check the machine's noise for so long and say in a line how far its times can be trusted."""
    from cost_models import host_noise

    return f"This machine is {host_noise(seconds, threads).verdict}."


def _energy() -> str:
    from cost_models import energy_meter

    found = {
        "processor (RAPL)": energy_meter(),
        "GPU (NVML)": energy_meter("cuda"),
    }
    known = [name for name, meter in found.items() if meter is not None]
    if not known:
        return "no counter can be read here (RAPL or NVML), so it is not known"
    return f"read from the counter of the {' and the '.join(known)}"
