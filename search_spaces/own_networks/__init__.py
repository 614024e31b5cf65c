"""Networks that a person brings: what their layers compute, their weights, inputs and copies."""
