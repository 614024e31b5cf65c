"""Texts: tokens, their windows, and the Penn Treebank."""
