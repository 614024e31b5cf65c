"""Samplers: which candidate comes next, with known costs, points and history."""
