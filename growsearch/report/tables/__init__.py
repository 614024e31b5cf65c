"""Tables of a run for other programs and papers."""
