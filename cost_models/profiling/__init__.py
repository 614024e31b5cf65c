"""Latency profiles of devices: measured, fitted, checked and kept. See `building.py`."""
