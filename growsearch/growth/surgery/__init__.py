"""Surgery: weights, statistics and optimizer state of a network whose widths change."""
