"""Sparse trials: networks that are masked, transformed or grown before."""
