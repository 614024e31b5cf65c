"""Data-parallel training: several workers train one network, each on its share of every batch."""
