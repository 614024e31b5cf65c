"""Recipes: optimizer, schedule, batch and epochs; published ones by name."""
