"""Device "wafer-cs2", a Cerebras CS-2: its time comes from public figures only."""

from cost_models.devices.wafer_data import wafer_device

WAFER_CS2 = wafer_device(
    "wafer-cs2",
    "Cerebras CS-2, analytic model calibrated on published ratios; never measured",
    "wafer_cs2.json",
)
