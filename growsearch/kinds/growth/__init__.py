"""Growth trials: networks that grow channels and layers under a budget."""
