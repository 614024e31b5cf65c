"""Pruning trials: trained networks that lose channels and layers down to a budget."""
