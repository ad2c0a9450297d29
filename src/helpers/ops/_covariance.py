"""
Covariances of a category's effects inside loops: from standard deviations and correlations.

Each function is made for a number of effects, which the compiler then knows.
"""

from collections.abc import Callable
from functools import cache

import numba
import numpy as np


@cache
def factor_inverter(size: int) -> Callable:
    """Return a function that inverts the factor of a covariance."""

    @numba.njit(error_model="numpy")
    def function(k, sd, entries, factor, inverse):
        """
        Invert the Cholesky factor of category k's covariance, D F.

        `factor` becomes F, the Cholesky factor of the correlations, and `inverse` that of D F.
        """
        entry = 0
        for i in range(size):
            left = 1.0
            for j in range(i):
                factor[i, j] = entries[k, entry]
                left -= entries[k, entry] * entries[k, entry]
                entry += 1
            factor[i, i] = np.sqrt(left)
            for j in range(i):
                total = 0.0
                for m in range(j, i):
                    total += factor[i, m] * inverse[m, j]
                inverse[i, j] = -total / factor[i, i]
            inverse[i, i] = 1.0 / (sd[k, i] * factor[i, i])

    return function


@cache
def factor_inverter_backward(size: int) -> Callable:
    """Return a function for the gradient of that inversion."""

    @numba.njit(error_model="numpy")
    def function(k, sd, factor, inverse, by_inverse, by_sd, by_entries):
        """Gradients in category k's standard deviations and entries, given those of the inverse."""
        by_row = np.empty(size)
        entry = 0
        for i in range(size):
            by_sd[k, i] = 0.0
            for j in range(i + 1):
                by_row[j] = 0.0
                for m in range(i, size):
                    for b in range(j + 1):
                        by_row[j] -= inverse[m, i] * by_inverse[m, b] * inverse[j, b]
                by_sd[k, i] += by_row[j] * factor[i, j]
            for j in range(i):
                by_entries[k, entry] = sd[k, i] * (
                    by_row[j] - by_row[i] * factor[i, j] / factor[i, i]
                )
                entry += 1

    return function


@cache
def positive_inverter(size: int) -> Callable:
    """Return a function that inverts a positive definite matrix."""

    @numba.njit(error_model="numpy")
    def function(matrix, inverse):
        """Put a matrix's inverse into `inverse`, by elimination; return its log-determinant."""
        left = matrix.copy()
        log_det = 0.0
        for i in range(size):
            for j in range(size):
                inverse[i, j] = 1.0 if i == j else 0.0
        for i in range(size):
            log_det += np.log(left[i, i])
            pivot = 1.0 / left[i, i]
            for j in range(size):
                left[i, j] *= pivot
                inverse[i, j] *= pivot
            for m in range(size):
                if m != i:
                    scale = left[m, i]
                    for j in range(size):
                        left[m, j] -= scale * left[i, j]
                        inverse[m, j] -= scale * inverse[i, j]
        return log_det

    return function
