"""Analytic cost models: wafer-scale machines, calibrated on published measurements."""
