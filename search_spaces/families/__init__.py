"""Network families: one file a family."""
