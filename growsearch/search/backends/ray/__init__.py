"""Ray backend: trials as Tune trainables, with early stopping and prescreening."""
