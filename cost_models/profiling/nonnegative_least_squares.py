"""Nonnegative least squares of relative errors: how long does each amount of work take, >= 0?"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def nonnegative_least_squares(amounts: Array, seconds: Array) -> Array:
    """Minimise the sum of (predicted / measured - 1)^2 over coefficients of at least 0.

    A short time counts as much as a long one. No amount of work takes less than no time.

    Args:
        amounts: amounts of work, (samples, terms).
        seconds: what the samples took, (samples,), above 0.

    Returns:
        Seconds of a unit of each term, (terms,); 0 for a term that no sample has.
    """
    # Some commands need no fit, and this import takes its time.
    from scipy.optimize import nnls

    rows = amounts / seconds[:, None]
    # Terms differ by many orders of magnitude, and the solver's tolerance is one for all columns.
    size = np.abs(rows).max(axis=0)
    size[size == 0] = 1.0
    coefficients: Array = nnls(rows / size, np.ones(len(rows)))[0] / size
    return coefficients
