"""Surgery: weights, statistics and optimizer state of a network whose widths change."""

from growsearch.growth.surgery.surgeon import Surgeon

__all__ = ["Surgeon"]
