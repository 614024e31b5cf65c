"""A command that is a study of one trial: its options, its lines, and how it runs."""
