"""Analyses of a run's trials: which settings made a difference, and when what ran."""
