"""Study configuration: what a person writes, read, checked and written out again."""
