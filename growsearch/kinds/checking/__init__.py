"""Checks before a search: networks that no trial could train, count or save are refused by key."""
