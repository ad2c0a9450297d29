"""Squared distances of contrasts, the same whichever category is the reference."""

from collections.abc import Callable, Sequence
from functools import cache

import numba
import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply, Variable
from pytensor.tensor import TensorLike, TensorVariable

from helpers.ops._covariance import (
    factor_inverter,
    factor_inverter_backward,
    positive_inverter,
)
from helpers.ops._loop import Backward, Loop, as_doubles, is_connected, no_gradient
from helpers.ops.triangular import (
    Triangle,
    cholesky,
    columns,
    correlation_factor,
    covariance_factor,
    multiply,
    precision,
    solve_lower,
    solve_upper,
)

__all__ = ["contrast_covariance", "contrast_distance", "variance_of_contrasts"]


@cache
def _weights_function(size: int) -> Callable:
    """Return a function for the precisions of all categories, with a number of effects."""
    invert_factor, invert = factor_inverter(size), positive_inverter(size)

    @numba.njit(error_model="numpy")
    def weigh(sd, entries, inverse, precision, inverse_total):
        """
        Precision of each category's effects, and the inverse of their sum.

        `inverse` becomes the inverse of each covariance's factor. Returns the density's scale.
        """
        factor = np.empty((size, size))
        total = np.zeros((size, size))
        log_scale = 0.0
        for k in range(len(sd)):
            invert_factor(k, sd, entries, factor, inverse[k])
            for i in range(size):
                log_scale -= np.log(inverse[k, i, i])
                for j in range(size):
                    entry = 0.0
                    for m in range(max(i, j), size):
                        entry += inverse[k, m, i] * inverse[k, m, j]
                    precision[k, i, j] = entry
                    total[i, j] += entry
        return log_scale + 0.5 * invert(total, inverse_total)

    return weigh


@cache
def _forward_kernel(size: int) -> Callable:
    """The loop for a number of effects: a constant, so that inner loops are unrolled."""
    weigh = _weights_function(size)

    def kernel(value, mean, sd, entries, reference):
        n_rows, n_free, _ = value.shape
        n_all = n_free + 1
        if value.shape[2] != size or sd.shape != (n_all, size) or len(entries) != n_all:
            raise ValueError("Contrasts and standard deviations do not fit.")
        if mean.shape[1:] != value.shape[1:] or mean.shape[0] not in (1, n_rows):
            raise ValueError("Contrasts and means do not fit.")
        if reference < 0 or reference >= n_all:
            raise IndexError("The reference is none of the categories.")
        inverse = np.empty((n_all, size, size))
        precision = np.empty((n_all, size, size))
        inverse_total = np.empty((size, size))
        log_scale = weigh(sd, entries, inverse, precision, inverse_total)
        squares = np.empty(n_rows)
        weighted = np.empty(size)
        centre = np.empty(size)
        for c in range(n_rows):
            from_mean = mean[c if mean.shape[0] > 1 else 0]
            weighted[:] = 0.0
            for k in range(n_free):
                w = precision[k if k < reference else k + 1]
                for j in range(size):
                    distance = value[c, k, j] - from_mean[k, j]
                    for i in range(size):
                        weighted[i] += w[i, j] * distance
            for i in range(size):
                centre[i] = 0.0
                for j in range(size):
                    centre[i] += inverse_total[i, j] * weighted[j]
            # From the centre: the difference of two sums of squares would lose digits.
            distance = 0.0
            for i in range(size):
                for j in range(size):
                    distance += centre[i] * precision[reference, i, j] * centre[j]
            for k in range(n_free):
                factor_k = inverse[k if k < reference else k + 1]
                for i in range(size):
                    z = 0.0
                    for j in range(i + 1):
                        z += factor_k[i, j] * (value[c, k, j] - from_mean[k, j] - centre[j])
                    distance += z * z
            squares[c] = distance
        return squares, np.asarray(log_scale)

    return kernel


@cache
def _backward_kernel(size: int) -> Callable:
    """The loop of the gradients for a number of effects."""
    weigh, invert_factor = _weights_function(size), factor_inverter(size)
    invert_factor_backward = factor_inverter_backward(size)

    def kernel(by_squares, by_log_scale, value, mean, sd, entries, reference):
        n_rows, n_free, _ = value.shape
        n_all = n_free + 1
        one_mean = mean.shape[0] == 1
        factor = np.empty((size, size))
        inverse = np.empty((n_all, size, size))
        precision = np.empty((n_all, size, size))
        inverse_total = np.empty((size, size))
        weigh(sd, entries, inverse, precision, inverse_total)
        by_value = np.empty(value.shape)
        by_mean = np.zeros(mean.shape)
        # Second moments of the distances from the centre, weighted by the gradients.
        moments = np.zeros((n_all, size, size))
        weighted = np.empty(size)
        centre = np.empty(size)
        distance = np.empty(size)
        for c in range(n_rows):
            g, from_mean = by_squares[c], mean[0 if one_mean else c]
            weighted[:] = 0.0
            for k in range(n_free):
                w = precision[k if k < reference else k + 1]
                for j in range(size):
                    x = value[c, k, j] - from_mean[k, j]
                    for i in range(size):
                        weighted[i] += w[i, j] * x
            for i in range(size):
                centre[i] = 0.0
                for j in range(size):
                    centre[i] += inverse_total[i, j] * weighted[j]
            for i in range(size):
                for j in range(size):
                    moments[reference, i, j] += g * centre[i] * centre[j]
            # The centre minimises the distance, so nothing comes through it.
            for k in range(n_free):
                of_all = k if k < reference else k + 1
                for j in range(size):
                    distance[j] = value[c, k, j] - from_mean[k, j] - centre[j]
                for i in range(size):
                    slope = 0.0
                    for j in range(size):
                        slope += precision[of_all, i, j] * distance[j]
                        moments[of_all, i, j] += g * distance[i] * distance[j]
                    by_value[c, k, i] = 2.0 * g * slope
                    by_mean[0 if one_mean else c, k, i] -= 2.0 * g * slope
        by_sd = np.empty(sd.shape)
        by_entries = np.empty(entries.shape)
        by_inverse = np.empty((size, size))
        for k in range(n_all):
            invert_factor(k, sd, entries, factor, inverse[k])
            for i in range(size):
                for j in range(size):
                    entry = 0.0
                    if j <= i:
                        for m in range(i + 1):
                            both = 2.0 * moments[k, m, j] + by_log_scale * inverse_total[m, j]
                            entry += inverse[k, i, m] * both
                    by_inverse[i, j] = entry
                by_inverse[i, i] -= by_log_scale / inverse[k, i, i]
            invert_factor_backward(k, sd, factor, inverse[k], by_inverse, by_sd, by_entries)
        return by_value, by_mean, by_sd, by_entries

    return kernel


class ContrastDistance(Loop):
    """See :func:`contrast_distance`."""

    __props__ = ("size",)
    dtypes = ("float64", "float64")

    def __init__(self, size: int) -> None:
        self.size = size

    @property
    def kernel(self) -> Callable:
        return _forward_kernel(self.size)

    def plain(self, value, mean, sd, entries, reference):
        size = self.size
        factor = covariance_factor(sd, entries, size)
        weights = precision(factor)
        total = cholesky([[x.sum() for x in row] for row in weights])
        column = pt.arange(sd.shape[0])
        source = pt.clip(column - pt.gt(column, reference), 0, value.shape[1] - 1)
        distances = columns(value - mean, size)
        full = [pt.switch(pt.eq(column, reference), 0.0, x[:, source]) for x in distances]
        weighted = [x.sum(axis=-1) for x in multiply(weights, full)]
        centre = solve_upper(total, solve_lower(total, weighted))
        z = solve_lower(factor, [x - m[:, None] for x, m in zip(full, centre, strict=True)])
        squares = sum((x**2).sum(axis=-1) for x in z)
        log_scale = sum(pt.log(row[-1]).sum() for row in factor)
        return squares, log_scale + sum(pt.log(row[-1]) for row in total)

    def shapes(self, value, mean, sd, entries, reference):
        return [(value[0],), ()]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True, False], [True, False], [True, True], [True, True], [False, False]]

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence
    ) -> list[Variable]:
        given = [
            x if is_connected(x) else pt.zeros_like(output)
            for x, output in zip(cotangents, outputs, strict=True)
        ]
        gradients: list[Variable] = list(
            ContrastDistanceBackward(self.size).outputs(*given, *inputs)
        )
        if not is_connected(cotangents[0]):  # the scale knows no values
            gradients = [disconnected_type(), disconnected_type(), *gradients[2:]]
        return no_gradient(inputs, gradients)


class ContrastDistanceBackward(Backward):
    """Gradients of :class:`ContrastDistance`."""

    __props__ = ("size",)
    n_cotangents = 2
    dtypes = ("float64",) * 4

    def __init__(self, size: int) -> None:
        self.size = size

    @property
    def forward(self) -> ContrastDistance:
        return ContrastDistance(self.size)

    @property
    def kernel(self) -> Callable:
        return _backward_kernel(self.size)


def contrast_distance(
    value: TensorLike, mean: TensorLike, sd: TensorLike, entries: TensorLike, reference: int
) -> tuple[TensorVariable, TensorVariable]:
    r"""
    Squared distance of contrasts from their mean, and the scale of their normal density.

    Every category, the reference too, has effects :math:`u_k \sim N(0, \Sigma_k)`, and only
    differences from the reference are seen, :math:`x_k - \mu_k = u_k - u_{\text{ref}}`. With
    :math:`W_k = \Sigma_k^{-1}`, :math:`W = \sum_k W_k`, and :math:`x = \mu` for the reference,

    .. math::

       q = \sum_k (x_k - \mu_k - \bar u)' W_k (x_k - \mu_k - \bar u), \qquad
       \bar u = W^{-1} \sum_k W_k (x_k - \mu_k), \qquad
       s = \tfrac12 \Big( \sum_k \log |\Sigma_k| + \log |W| \Big),

    and the log-density is :math:`-q / 2 - s` and a constant. Another reference gives the same.

    Parameters
    ----------
    value : tensor_like of float, shape (N, K - 1, P)
        Contrasts: P effects of K categories against a reference, in N clusters or rows.
    mean : tensor_like of float, shape (1, K - 1, P) or (N, K - 1, P)
        Their means.
    sd : tensor_like of float, shape (K, P)
        Standard deviations of all categories, the reference included (sd > 0).
    entries : tensor_like of float, shape (K, P (P - 1) / 2)
        Cholesky factors of the correlations of each category's effects below their diagonals, row
        by row.
    reference : int
        Position of the reference.

    Returns
    -------
    squares : TensorVariable, shape (N,)
        q.
    log_scale : TensorVariable, scalar
        s.

    References
    ----------
    Aitchison, J. (1982). The statistical analysis of compositional data. Journal of the Royal
    Statistical Society B, 44(2), 139-177.

    Examples
    --------
    With standard deviations of 1, the contrast of two categories has variance 2:

    >>> import numpy as np
    >>> from helpers.ops import contrast_distance
    >>> none = np.zeros((2, 0))
    >>> squares, log_scale = contrast_distance([[[2.0]]], [[[0.0]]], [[1.0], [1.0]], none, 0)
    >>> print(squares.eval()[0], log_scale.eval().round(6), (np.log(2) / 2).round(6))
    2.0 0.346574 0.346574
    """
    value, mean, sd, entries = as_doubles(value, mean, sd, entries)
    size = sd.type.shape[-1]
    squares, log_scale = ContrastDistance(size).outputs(value, mean, sd, entries, reference)
    return squares, log_scale


def contrast_covariance(
    sd: TensorVariable, entries: TensorVariable, reference: int
) -> tuple[TensorVariable, TensorVariable]:
    r"""
    Standard deviations and correlations of each contrast by itself.

    The contrast of category k with the reference has covariance
    :math:`\Sigma_k + \Sigma_{\text{ref}}`.

    Parameters
    ----------
    sd : TensorVariable, shape (K, P)
        Standard deviations of all categories; K and P must be known.
    entries : TensorVariable, shape (K, P (P - 1) / 2)
        Cholesky factors of their correlations below the diagonal, row by row.
    reference : int
        Position of the reference.

    Returns
    -------
    sd : TensorVariable, shape (K - 1, P)
        Standard deviations of the contrasts.
    entries : TensorVariable, shape (K - 1, P (P - 1) / 2)
        Cholesky factors of their correlations.

    Examples
    --------
    >>> import numpy as np
    >>> import pytensor.tensor as pt
    >>> from helpers.ops import contrast_covariance
    >>> sd, _ = contrast_covariance(pt.as_tensor([[3.0], [4.0], [0.0]]), pt.zeros((3, 0)), 0)
    >>> sd.eval().ravel().tolist()
    [5.0, 3.0]
    """
    n_categories, size = sd.type.shape
    assert n_categories is not None and size is not None
    of_contrasts = pt.sqrt(variance_of_contrasts(sd**2, reference))
    factor, sds = correlation_factor(columns(entries, size * (size - 1) // 2)), columns(sd, size)
    sd_of_contrasts = columns(of_contrasts, size)
    correlation: Triangle = []
    for i in range(size):
        row = []
        for j in range(i):
            products: Sequence = [factor[i][m] * factor[j][m] for m in range(j + 1)]
            covariance = sum(products[1:], start=products[0]) * sds[i] * sds[j]
            together = variance_of_contrasts(covariance, reference)
            row.append(together / (sd_of_contrasts[i] * sd_of_contrasts[j]))
        correlation.append([*row, 1.0])
    chol = cholesky(correlation)
    below = [chol[i][j] for i in range(size) for j in range(i)]
    stacked = pt.stack(below, axis=-1) if below else pt.zeros((n_categories - 1, 0))
    return of_contrasts, pt.specify_shape(stacked, (n_categories - 1, len(below)))


def variance_of_contrasts(variance: TensorVariable, reference: int) -> TensorVariable:
    """
    Add the reference's variance to those of the other categories.

    Parameters
    ----------
    variance : TensorVariable, shape (K, ...)
        Variances, or covariances, of all categories; K must be known.
    reference : int
        Position of the reference.

    Returns
    -------
    TensorVariable, shape (K - 1, ...)

    Examples
    --------
    >>> import pytensor.tensor as pt
    >>> from helpers.ops import variance_of_contrasts
    >>> variance_of_contrasts(pt.as_tensor([9.0, 16.0, 0.0]), 0).eval().tolist()
    [25.0, 9.0]
    """
    n_categories = variance.type.shape[0]
    assert n_categories is not None
    # By a sum: look-ups by position, with their gradients, take seconds to compile.
    both = np.delete(np.eye(n_categories), reference, axis=0)
    both[:, reference] = 1.0
    both = both.reshape(*both.shape, *[1] * (variance.ndim - 1))
    return pt.sum(both * variance[None], axis=1)
