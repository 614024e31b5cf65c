"""Which devices are there? One file each."""
