"""Device "wafer-cs3", a Cerebras CS-3: public figures, calibrated by the CS-2's ratios."""

from cost_models.devices.wafer_data import wafer_device

WAFER_CS3 = wafer_device(
    "wafer-cs3",
    "Cerebras CS-3, analytic model with the CS-2's published ratios (assumed); never measured",
    "wafer_cs3.json",
)
