"""Data files of wafer-scale machines, read into devices."""

import json
from importlib.resources import files

from cost_models.cost import CalibrationPoint, Constant, Device


def wafer_device(name: str, description: str, file: str) -> Device:
    """Read a device's constants, each with unit and source, and its calibration points."""
    data = json.loads((files("cost_models.devices") / file).read_text(encoding="utf-8"))
    return Device(
        name=name,
        kind="analytic",
        description=description,
        cost_model="wafer",
        constants={key: Constant(**entry) for key, entry in data["constants"].items()},
        calibration=tuple(CalibrationPoint(**point) for point in data["calibration"]["points"]),
    )
