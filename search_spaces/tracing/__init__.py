"""Tracing of channels: which of them belong together, proven by perturbation and removal."""
