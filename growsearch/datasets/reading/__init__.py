"""Reading of data files that nobody vouches for: bounds, boundaries, pictures and folders."""
