"""Trials: `run_trial`, a plain seeded function without Ray in it."""
