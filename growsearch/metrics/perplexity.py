"""Perplexity: among how many equally likely words does a language model choose?"""

from __future__ import annotations

import math

# The largest exponent whose power is a finite float64.
_MAX_NATS = 709.0


def perplexity(nats: float, tokens: int) -> float:
    """Return exp(``nats`` / ``tokens``), from 1 on (Jelinek et al. 1977).

    Args:
        nats: negative log-likelihood of the whole text.
        tokens: how many words it has.

    Example:
        >>> import math
        >>> from growsearch.metrics import perplexity
        >>> round(perplexity(nats=3 * math.log(10), tokens=3), 3)
        10.0
    """
    mean = nats / tokens
    return math.exp(mean) if mean <= _MAX_NATS else math.inf
