"""Growth policies: who decides which structures live, learned or a baseline."""
