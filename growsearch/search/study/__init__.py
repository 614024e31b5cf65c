"""Studies: what a person writes, its checks, and the search from start to front."""
