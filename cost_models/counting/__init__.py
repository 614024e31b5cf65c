"""Operator counting: MACs, parameters and bytes of a module, traced to the weight."""
