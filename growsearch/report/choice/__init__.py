"""Choice of a run: what its study asks for, and what cannot be told apart."""
