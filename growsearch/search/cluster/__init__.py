"""Ray clusters: sessions, addresses, measuring nodes and submitted jobs."""
