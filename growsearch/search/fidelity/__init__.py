"""Fidelities: early stopping at rungs, and prescreening before training."""
