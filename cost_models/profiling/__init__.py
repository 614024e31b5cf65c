"""How is a device's latency model measured, fitted, checked and kept? See `building.py`."""
