"""Baselines: networks beside those that a study searches, so that a front says what it gains."""
