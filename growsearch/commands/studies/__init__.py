"""Commands about a study's file: write a first one, describe its keys."""
