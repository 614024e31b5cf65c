"""Tasks: how a batch is drawn, what its loss is and how a network is judged."""
