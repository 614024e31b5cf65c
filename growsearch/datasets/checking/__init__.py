"""Checks of data that a person gives: arrays and their layout, labels, and whole data sets."""
