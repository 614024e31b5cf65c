"""Latency measurement: one network timed alone on this machine, with its noise."""
