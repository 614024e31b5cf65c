"""Look at a run while it goes on: its state from its folder alone, and the page that follows it."""
