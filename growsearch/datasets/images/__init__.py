"""Images: folders and raw files of them, normalised and augmented."""
