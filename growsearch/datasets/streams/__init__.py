"""Streamed data: examples that are read batch by batch, by workers, and never held all at once."""
