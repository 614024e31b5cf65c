"""Indicators of growth: relaxations of 0/1, and what steers them."""
