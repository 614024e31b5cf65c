"""Latency profiles of a study: checked first, and kept in the run's folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cost_models import DEVICES, CostModelError, load_profile, unavailable
from growsearch.errors import UsageError
from growsearch.files import write_bytes
from growsearch.kinds.latency import LATENCY_BATCH
from growsearch.reading import reading
from growsearch.search.config.study import StudyConfig
from growsearch.search.ledger.run_folder import RunFolder


def kept_profile(folder: RunFolder, device: str) -> Path:
    """Return where a run keeps its copy of a device's profile."""
    return folder.path / "profiles" / f"{device}.json"


def check_profiles(config: StudyConfig, folder: RunFolder) -> None:
    """Refuse a profile that cannot be read, or was not measured as this study compares.

    Raises:
        UsageError: naming the key, the file and the remedy.
    """
    for device, source in config.profiles.items():
        kept = kept_profile(folder, device)
        with reading(f"profiles.{device}: {source}", "give the file of growsearch profile"):
            both = kept.exists() and source.exists()
            if both and kept.read_bytes() != source.read_bytes():
                raise UsageError(
                    f"profiles.{device}: {source} is not the profile that this run was started "
                    f"with ({kept}). Use --fresh for a new folder, or restore the file"
                )
        _check_one(device, kept if kept.exists() else source)


def _check_one(device: str, path: Path) -> None:
    try:
        conditions = load_profile(path).record.conditions
    except CostModelError as error:
        raise UsageError(f"profiles.{device}: {error}") from error
    found = {
        "device": (conditions.device, device),
        "batch": (conditions.batch_size, LATENCY_BATCH),
        "threads": (conditions.threads, 1),
    }
    for name, (is_, must) in found.items():
        if is_ != must:
            raise UsageError(
                f"profiles.{device}: {path} was measured with {name} {is_}, a study compares "
                f"{name} {must}; make one with: growsearch profile --device {device}"
            )


def check_devices(devices: Iterable[str]) -> None:
    """Refuse a device that would have to be measured on this machine, and cannot be.

    Raises:
        UsageError: naming the device, what it lacks and the remedy.
    """
    for device in devices:
        missing = unavailable(device)
        if missing is not None:
            raise UsageError(
                f"latency[{device}] cannot be measured here: {missing}. Or predict it: give a "
                f"profile made on such a machine, profiles: {{{device}: FILE.json}}"
            )


def measured_devices(config: StudyConfig) -> tuple[str, ...]:
    """Return the devices that a study's trials measure: neither predicted nor analytic."""
    return tuple(
        device
        for device in config.devices
        if DEVICES[device].kind == "measured" and device not in config.profiles
    )


def keep_profiles(config: StudyConfig, folder: RunFolder) -> dict[str, Path]:
    """Copy the profiles into the run's folder, once; return the copies by device."""
    kept = {device: kept_profile(folder, device) for device in config.profiles}
    for device, path in kept.items():
        if not path.exists():
            write_bytes(path, config.profiles[device].read_bytes())
    return kept
