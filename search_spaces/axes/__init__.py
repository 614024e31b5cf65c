"""Axes of tensors: which channels of which groups lie along them, and numbers that follow."""
