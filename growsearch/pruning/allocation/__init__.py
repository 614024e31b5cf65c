"""Allocations: how a budget is spread over the widths of a network's groups."""
