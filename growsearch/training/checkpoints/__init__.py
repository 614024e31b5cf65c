"""Checkpoints: files from which a training goes on, bit for bit."""
