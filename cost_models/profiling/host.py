"""Host facts: on which machine, and with which software, was something measured?"""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

import torch

_PROCESSORS = Path("/proc/cpuinfo")


def host_facts(accelerator: str | None = None) -> dict[str, str]:
    """Name the processor, its cores and vector instructions, the system, Python and torch.

    With `accelerator` "cuda" the first GPU too, where there is one.
    """
    gpu = accelerator == "cuda" and torch.cuda.is_available()
    facts = {"gpu": torch.cuda.get_device_name(0)} if gpu else {}
    return facts | {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def machine_name(facts: Mapping[str, str]) -> str:
    """Give the name of what did the work: the GPU of `host_facts` if one did, or the processor."""
    return facts.get("gpu") or facts.get("processor", "unknown")


def _processor() -> str:
    try:
        lines = _PROCESSORS.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
