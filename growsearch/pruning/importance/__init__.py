"""Importances: which channels and units would a trained network miss most? One file each."""
