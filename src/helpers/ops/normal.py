"""The log-density of a few correlated normal effects, by cluster and category."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor import TensorLike, TensorVariable

from helpers.ops._covariance import factor_inverter, factor_inverter_backward
from helpers.ops._loop import Backward, Loop, as_doubles
from helpers.ops.triangular import columns, covariance_factor, solve_lower

__all__ = ["normal_log_density"]


@cache
def _forward_kernel(size: int) -> Callable:
    """The loop for a number of effects: a constant, so that inner loops are unrolled."""
    invert_factor = factor_inverter(size)

    def kernel(value, mean, sd, entries):
        n_clusters, n_free, _ = value.shape
        n_entries = size * (size - 1) // 2
        if value.shape[2] != size or mean.shape != (n_free, size) or sd.shape != mean.shape:
            raise ValueError("Effects, means and standard deviations do not fit.")
        if entries.shape != (n_free, n_entries):
            raise ValueError("Effects and correlations do not fit.")
        factor = np.empty((size, size))
        inverse = np.empty((size, size))
        log_density = np.empty((n_clusters, n_free))
        for k in range(n_free):
            invert_factor(k, sd, entries, factor, inverse)
            scale = 1.0
            for i in range(size):
                scale *= inverse[i, i]
            constant = np.log(scale) - 0.5 * size * np.log(2.0 * np.pi)
            for c in range(n_clusters):
                squares = 0.0
                for i in range(size):
                    z = 0.0
                    for j in range(i + 1):
                        z += inverse[i, j] * (value[c, k, j] - mean[k, j])
                    squares += z * z
                log_density[c, k] = constant - 0.5 * squares
        return log_density

    return kernel


@cache
def _backward_kernel(size: int) -> Callable:
    """The loop of the gradients for a number of effects."""
    invert_factor, invert_factor_backward = factor_inverter(size), factor_inverter_backward(size)

    def kernel(cotangent, value, mean, sd, entries):
        n_clusters, n_free, _ = value.shape
        factor = np.empty((size, size))
        inverse = np.empty((size, size))
        by_inverse = np.empty((size, size))
        by_value = np.zeros((n_clusters, n_free, size))
        by_mean = np.zeros((n_free, size))
        by_sd = np.empty((n_free, size))
        by_entries = np.empty(entries.shape)
        for k in range(n_free):
            invert_factor(k, sd, entries, factor, inverse)
            total = 0.0
            for i in range(size):
                for j in range(size):
                    by_inverse[i, j] = 0.0
            for c in range(n_clusters):
                total += cotangent[c, k]
                for i in range(size):
                    z = 0.0
                    for j in range(i + 1):
                        z += inverse[i, j] * (value[c, k, j] - mean[k, j])
                    by_z = -cotangent[c, k] * z
                    for j in range(i + 1):
                        by_inverse[i, j] += by_z * (value[c, k, j] - mean[k, j])
                        by_value[c, k, j] += by_z * inverse[i, j]
                for j in range(size):
                    by_mean[k, j] -= by_value[c, k, j]
            for i in range(size):
                by_inverse[i, i] += total / inverse[i, i]
            invert_factor_backward(k, sd, factor, inverse, by_inverse, by_sd, by_entries)
        return by_value, by_mean, by_sd, by_entries

    return kernel


class NormalLogDensity(Loop):
    """See :func:`normal_log_density`."""

    __props__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size

    @property
    def kernel(self) -> Callable:
        return _forward_kernel(self.size)

    @property
    def backward(self) -> "NormalLogDensityBackward":
        return NormalLogDensityBackward(self.size)

    def plain(self, value, mean, sd, entries):
        size = self.size
        factor = covariance_factor(sd, entries, size)
        pairs = zip(columns(value, size), columns(mean, size), strict=True)
        z = solve_lower(factor, [x - m for x, m in pairs])
        log_scale = sum(pt.log(row[-1]) for row in factor)
        return -0.5 * (sum(x**2 for x in z) + size * np.log(2 * np.pi)) - log_scale

    def shapes(self, value, mean, sd, entries):
        return [value[:2]]


class NormalLogDensityBackward(Backward):
    """Gradients of :class:`NormalLogDensity`."""

    __props__ = ("size",)
    dtypes = ("float64",) * 4

    def __init__(self, size: int) -> None:
        self.size = size

    @property
    def forward(self) -> NormalLogDensity:
        return NormalLogDensity(self.size)

    @property
    def kernel(self) -> Callable:
        return _backward_kernel(self.size)


def normal_log_density(
    value: TensorLike, mean: TensorLike, sd: TensorLike, entries: TensorLike
) -> TensorVariable:
    """
    Log-density of a few correlated normal effects.

    One loop where effects are by cluster and category, and plain operations elsewhere.

    Parameters
    ----------
    value : tensor_like of float, shape (C, K, P) or (..., P)
        Effects. P must be known.
    mean, sd : tensor_like of float, shape (K, P) or (..., P)
        Means and standard deviations (sd > 0).
    entries : tensor_like of float, shape (K, P (P - 1) / 2) or (..., P (P - 1) / 2)
        Cholesky factor of the correlations below its diagonal, row by row.

    Returns
    -------
    TensorVariable
        Shape (C, K) or (...).

    Examples
    --------
    >>> from helpers.ops import normal_log_density
    >>> normal_log_density([[[0.3, 0.1]]], [[0.0, 1.0]], [[1.0, 2.0]], [[0.5]]).eval().round(6)
    array([[-2.672183]])
    """
    value, mean, sd, entries = tensors = as_doubles(value, mean, sd, entries)
    density = NormalLogDensity(mean.type.shape[-1])
    if value.ndim == 3 and mean.ndim == sd.ndim == entries.ndim == 2:
        if mean.type.broadcastable == sd.type.broadcastable == value.type.broadcastable[1:]:
            return density.outputs(*tensors)[0]
    return density.plain(*tensors)
