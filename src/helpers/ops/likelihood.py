"""The masked multinomial log-likelihood and its residuals."""

import numba
import numpy as np
import pytensor.tensor as pt
from pytensor.tensor import TensorLike, TensorVariable

from helpers.ops._loop import Loop, as_doubles, is_connected, no_gradient, plain_gradients
from helpers.ops.shares import masked_log_softmax, sum_of_chosen

__all__ = ["masked_log_likelihood"]


@numba.njit(fastmath={"contract"}, error_model="numpy")
def _exp_of_distances(x, power):
    """
    Replace the numbers in `x`, all of them at most 0, by their exponentials.

    `power` is scratch space of the same size.

    The library's exponential is a call for each number. These loops have no branch, so that a
    processor takes several numbers at a time: x = m log 2 + r with a whole m, where |r| < 0.35
    needs few terms of the series. Below the normal numbers (x < -708.7) the result is 0.
    """
    # Here alone multiplications and additions may be contracted: that changes the rounding of a
    # number by itself, whereas no order of sums, as in `_loop`, depends on it.
    # A double of this size, 1.5 * 2**52, keeps no fraction, and its last bits are the whole number.
    shift = 6755399441055744.0
    bits = power.view(np.int64)
    for i in range(x.size):
        bounded = x[i] if x[i] > -709.0 else -709.0  # the exponent of 2 is 0 in the bits there
        power[i] = bounded * 1.4426950408889634 + shift
        m = power[i] - shift
        x[i] = (bounded - m * 0.6931471803691238) - m * 1.9082149292705877e-10
    for i in range(x.size):
        bits[i] = (bits[i] + 1023) << 52
    for i in range(x.size):
        r = x[i]
        series = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0
        series = series * r + 1.0 / 39916800.0
        series = series * r + 1.0 / 3628800.0
        series = series * r + 1.0 / 362880.0
        series = series * r + 1.0 / 40320.0
        series = series * r + 1.0 / 5040.0
        series = series * r + 1.0 / 720.0
        series = series * r + 1.0 / 120.0
        series = series * r + 1.0 / 24.0
        series = series * r + 1.0 / 6.0
        series = series * r + 0.5
        series = series * r + 1.0
        series = series * r + 1.0
        x[i] = series * power[i]


def _likelihood_kernel(logits, value, n, available):
    n_rows, n_categories = logits.shape
    if value.shape != logits.shape or available.shape != logits.shape or n.shape[0] != n_rows:
        raise ValueError("Counts, totals, logits and menus do not have the same shape.")
    log_likelihood = np.empty(n_rows)
    # It holds the distances to the highest logit of the menu first, then their exponentials.
    residual = np.empty(logits.shape)
    totals = np.empty(n_rows)
    proper = True
    for i in range(n_rows):
        top = -np.inf
        for k in range(n_categories):
            logit = logits[i, k] if available[i, k] else -np.inf
            residual[i, k] = logit
            top = logit if logit > top else top
        total = 0
        chosen = 0.0
        impossible = False
        undefined = False  # a NaN on the menu, or nothing above minus infinity
        for k in range(n_categories):
            y = value[i, k]
            distance = residual[i, k] - top
            residual[i, k] = distance
            total += y
            chosen += y * distance if y > 0 else 0.0
            impossible |= (y < 0) | ((y > 0) & (not available[i, k]))
            undefined |= distance != distance
        if n[i] < 0 or undefined:
            proper = False
        totals[i] = total
        log_likelihood[i] = -np.inf if impossible or total != n[i] else chosen
    _exp_of_distances(residual.reshape(residual.size), np.empty(residual.size))
    for i in range(n_rows):
        weight = 0.0
        for k in range(n_categories):
            weight += residual[i, k]
        log_likelihood[i] -= totals[i] * np.log(weight)
        scale = totals[i] / weight
        for k in range(n_categories):
            by_logit = value[i, k] - scale * residual[i, k]
            residual[i, k] = by_logit if available[i, k] else 0.0
    return log_likelihood, residual, np.asarray(proper)


class MaskedLogLikelihood(Loop):
    """See :func:`masked_log_likelihood`."""

    kernel = staticmethod(_likelihood_kernel)
    dtypes = ("float64", "float64", "bool")

    @staticmethod
    def plain(logits, value, n, available):
        log_p = masked_log_softmax(logits, available)
        chosen = sum_of_chosen(value, log_p)
        impossible = pt.or_(pt.lt(value, 0), pt.and_(pt.gt(value, 0), pt.invert(available)))
        total = pt.sum(value, axis=-1)
        off_support = pt.or_(pt.any(impossible, axis=-1), pt.neq(total, n))
        residual = pt.switch(available, value - total[:, None] * pt.exp(log_p), 0.0)
        proper = pt.all(pt.gt(pt.sum(pt.exp(log_p), axis=-1), 0) & pt.ge(n, 0))
        return pt.switch(off_support, -np.inf, chosen), residual, proper

    @staticmethod
    def shapes(logits, value, n, available):
        return [logits[:1], logits, ()]

    def connection_pattern(self, node):
        return [[True, True, False]] + [[False] * 3] * 3

    def pullback(self, inputs, outputs, cotangents):
        by_row, by_cell, _ = cotangents
        gradient = pt.zeros_like(inputs[0])
        if is_connected(by_row):
            gradient = by_row[:, None] * outputs[1]
        if is_connected(by_cell):
            # Second derivatives are rare: they are those of the plain graph.
            (of_residual,) = plain_gradients(
                lambda *fresh: [self.plain(*fresh)[1]], inputs, 1, [by_cell]
            )
            gradient = gradient + of_residual
        return no_gradient(inputs, [gradient])


def masked_log_likelihood(
    logits: TensorLike, value: TensorLike, n: TensorLike, available: TensorLike
) -> list[TensorVariable]:
    r"""
    Multinomial log-likelihood over the categories on each row's menu, and its gradient.

    Parameters
    ----------
    logits : tensor_like of float, shape (R, K)
        Logits; those of unavailable categories are ignored.
    value : tensor_like of int, shape (R, K)
        Counts.
    n : tensor_like of int, shape (R,)
        Totals.
    available : tensor_like of bool, shape (R, K)
        Menus.

    Returns
    -------
    log_likelihood : TensorVariable, shape (R,)
        :math:`\sum_k y_k \log p_k`, without the multinomial coefficient; minus infinity for
        counts that are negative, not on the menu, or do not add up to `n`.
    residual : TensorVariable, shape (R, K)
        :math:`y_k - n p_k`, its gradient.
    proper : TensorVariable of bool
        Whether no total is negative and, in every row, no logit on the menu is NaN and one at
        least is above minus infinity.

    Examples
    --------
    >>> from helpers.ops import masked_log_likelihood
    >>> value, residual, proper = masked_log_likelihood(
    ...     [[0.0, 5.0, 0.0]], [[3, 0, 1]], [4], [[True, False, True]]
    ... )
    >>> value.eval().round(4), residual.eval()
    (array([-2.7726]), array([[ 1.,  0., -1.]]))
    """
    return MaskedLogLikelihood().outputs(*as_doubles(logits), value, n, available)
