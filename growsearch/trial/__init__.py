"""How is one candidate run? `run_trial`: a plain seeded function without Ray in it."""
