"""Commands about one network of a run: its export, and what it says of images."""
