"""One run, a whole front: a trunk that grows, and a branch of it that declines at each budget."""
