"""A Cerebras CS-2: no such machine is at hand, so its time comes from public figures only."""

import json
from importlib.resources import files

from cost_models.cost import CalibrationPoint, Constant, Device

_DATA = json.loads((files("cost_models.devices") / "wafer_cs2.json").read_text(encoding="utf-8"))

WAFER_CS2 = Device(
    name="wafer-cs2",
    kind="analytic",
    description="Cerebras CS-2, analytic model calibrated on published ratios; never measured",
    cost_model="wafer",
    constants={name: Constant(**entry) for name, entry in _DATA["constants"].items()},
    calibration=tuple(CalibrationPoint(**point) for point in _DATA["calibration"]["points"]),
)
