"""Commands of the terminal, one file each."""
