"""Latency of growing networks: a device's model of widths, profiled and fitted."""
