"""How good is a network? One small pure function a file."""

from growsearch.metrics.accuracy import accuracy, cross_entropy, predict

__all__ = ["accuracy", "cross_entropy", "predict"]
