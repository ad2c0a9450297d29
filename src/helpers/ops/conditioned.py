"""The change of variables of effects that are sampled relative to what their data say."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numba
import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply, Variable
from pytensor.tensor import TensorLike, TensorVariable

from helpers.ops._covariance import factor_inverter, factor_inverter_backward
from helpers.ops._loop import Backward, Loop, as_doubles, is_connected, no_gradient
from helpers.ops.triangular import (
    Triangle,
    cholesky,
    columns,
    covariance_factor,
    lower,
    multiply,
    precision,
    solve_lower,
    solve_upper,
)

__all__ = ["conditioned_effects", "conditioning", "couple"]


def conditioning(
    mean: Sequence[Any], factor: Triangle, information: Triangle, score: Sequence[Any]
) -> tuple[Triangle, list[Any]]:
    r"""
    What effects are sampled relative to: :math:`C` and :math:`u = C^{-1}(b + \Sigma^{-1}\mu)`.

    With the prior :math:`N(\mu, \Sigma)`, :math:`\Sigma = L L'`, and the log-likelihood
    :math:`b'\theta - \tfrac12\theta'H\theta`, the precision is :math:`H + \Sigma^{-1} = C C'`, and
    :math:`C'\theta - u` is standard normal.

    Parameters
    ----------
    mean : sequence of tensor_like
        Entries of :math:`\mu`.
    factor, information : list of list of tensor_like
        Entries of L and H on and below the diagonal.
    score : sequence of tensor_like
        Entries of b.

    Returns
    -------
    c : list of list of TensorVariable
        Entries of C on and below the diagonal.
    u : list of TensorVariable
        Entries of u.
    """
    prior = precision(factor)
    c = cholesky(
        [
            [h + x for h, x in zip(*rows, strict=True)]
            for rows in zip(information, prior, strict=True)
        ]
    )
    right = [b + x for b, x in zip(score, multiply(prior, mean), strict=True)]
    return c, solve_lower(c, right)


def couple(coupling: TensorLike, value: TensorVariable) -> TensorVariable:
    """
    Multiply the effects of each cluster, in one row, by a matrix: one for all, or one for each.

    As a sum, because a product of matrices takes three times as long to compile.

    Parameters
    ----------
    coupling : tensor_like of float, shape (M, M) or (C, M, M)
        The matrix.
    value : TensorVariable, shape (C, ...)
        M effects of each cluster.

    Returns
    -------
    TensorVariable
        With the shape of `value`.
    """
    in_one_row = value.reshape((value.shape[0], 1, -1))
    return pt.sum(coupling * in_one_row, axis=-1).reshape(value.shape)


@cache
def _prior_function(size: int) -> Callable:
    """Return a function for a category's prior, with a number of effects."""
    invert_factor = factor_inverter(size)

    @numba.njit(error_model="numpy")
    def prior(k, mean, sd, entries, factor, inverse, precision, shift):
        """Precision of category k's prior, and its product with the mean; see `factor_inverter`."""
        invert_factor(k, sd, entries, factor, inverse)
        for i in range(size):
            shift[k, i] = 0.0
            for j in range(size):
                total = 0.0
                for m in range(max(i, j), size):
                    total += inverse[m, i] * inverse[m, j]
                precision[k, i, j] = total
                shift[k, i] += total * mean[k, j]

    return prior


@cache
def _prior_backward_function(size: int) -> Callable:
    """Return a function for the gradient of that prior."""

    @numba.njit(error_model="numpy")
    def prior_backward(k, mean, inverse, precision, by_precision, by_shift, by_mean, by_inverse):
        """Gradients in category k's mean and the inverse of its covariance's factor."""
        for i in range(size):
            by_mean[k, i] = 0.0
            for j in range(size):
                by_inverse[i, j] = 0.0
                by_mean[k, i] += precision[k, i, j] * by_shift[k, j]
        for i in range(size):
            for j in range(i + 1):
                g = by_precision[k, i, j] + by_shift[k, i] * mean[k, j]
                if j < i:
                    g += by_shift[k, j] * mean[k, i]
                for m in range(i, size):
                    by_inverse[m, i] += g * inverse[m, j]
                    by_inverse[m, j] += g * inverse[m, i]

    return prior_backward


@cache
def _forward_kernel(size: int, joint: bool) -> Callable:
    """The loop for a number of effects: a constant, so that inner loops are unrolled."""
    prior = _prior_function(size)
    # Determinants of a cluster's categories are summed, or kept apart.
    step = 0 if joint else 1

    def kernel(value, mean, sd, entries, information, score, coupling):
        n_clusters, n_free, _ = value.shape
        n_coupled = n_free * size
        coupled = coupling.shape[0] > 0
        n_entries = size * (size - 1) // 2
        if (
            mean.shape != (n_free, size)
            or sd.shape != mean.shape
            or entries.shape != (n_free, n_entries)
        ):
            raise ValueError("Effects, means, standard deviations and correlations do not fit.")
        if score.shape != value.shape or information.shape != (n_clusters, n_free, size, size):
            raise ValueError("The pilot is not for these clusters and categories.")
        if coupled and coupling.shape != (n_clusters, n_coupled, n_coupled):
            raise ValueError("The pilot's coupling is not for these clusters and categories.")
        factor = np.empty((size, size))
        inverse = np.empty((size, size))
        precision = np.empty((n_free, size, size))
        shift = np.empty((n_free, size))
        for k in range(n_free):
            prior(k, mean, sd, entries, factor, inverse, precision, shift)
        theta = np.empty((n_clusters, n_free, size))
        log_det = np.zeros((n_clusters, step * (n_free - 1) + 1))
        # What the gradient needs again: C, with the inverse of its diagonal, and u.
        c = np.zeros((n_clusters, n_free, size, size))
        u = np.empty((n_clusters, n_free, size))
        t = np.empty(n_coupled)
        sampled = np.empty(n_coupled)
        for cluster in range(n_clusters):
            for k in range(n_free):
                for i in range(size):
                    sampled[k * size + i] = value[cluster, k, i]
            for i in range(n_coupled):
                total = 0.0 if coupled else sampled[i]
                if coupled:
                    for j in range(n_coupled):
                        total += coupling[cluster, i, j] * sampled[j]
                t[i] = total
            for k in range(n_free):
                scale = 1.0
                for i in range(size):
                    right = score[cluster, k, i] + shift[k, i]
                    for j in range(i):
                        product = 0.0
                        for m in range(j):
                            product += c[cluster, k, i, m] * c[cluster, k, j, m]
                        entry = information[cluster, k, i, j] + precision[k, i, j] - product
                        entry *= c[cluster, k, j, j]
                        c[cluster, k, i, j] = entry
                        right -= entry * u[cluster, k, j]
                    product = 0.0
                    for m in range(i):
                        product += c[cluster, k, i, m] * c[cluster, k, i, m]
                    entry = information[cluster, k, i, i] + precision[k, i, i] - product
                    root = 1.0 / np.sqrt(entry)
                    c[cluster, k, i, i] = root
                    u[cluster, k, i] = right * root
                    scale *= root
                for i in range(size - 1, -1, -1):
                    right = t[k * size + i] + u[cluster, k, i]
                    for j in range(i + 1, size):
                        right -= c[cluster, k, j, i] * theta[cluster, k, j]
                    theta[cluster, k, i] = right * c[cluster, k, i, i]
                log_det[cluster, step * k] += np.log(scale)
        return theta, log_det, c, u

    return kernel


@cache
def _backward_kernel(size: int, joint: bool) -> Callable:
    """The loop of the gradients for a number of effects."""
    step = 0 if joint else 1
    prior, prior_backward = _prior_function(size), _prior_backward_function(size)
    invert_factor_backward = factor_inverter_backward(size)

    def kernel(by_theta, by_log_det, value, mean, sd, entries, h, b, coupling, theta, _, c, u):
        n_clusters, n_free = theta.shape[:2]
        n_coupled = n_free * size
        coupled = coupling.shape[0] > 0
        by_value = np.empty((n_clusters, n_coupled))
        by_precision = np.zeros((n_free, size, size))
        by_shift = np.zeros((n_free, size))
        by_t = np.empty(n_coupled)
        by_right = np.empty(size)
        by_c = np.empty((size, size))
        for cluster in range(n_clusters):
            # Back through each line of the forward loop, the last one first.
            for k in range(n_free):
                for i in range(size):
                    total = by_theta[cluster, k, i]
                    for j in range(i):
                        total -= c[cluster, k, i, j] * by_t[k * size + j]
                    by_t[k * size + i] = total * c[cluster, k, i, i]
                for i in range(size - 1, -1, -1):
                    total = by_t[k * size + i]
                    for j in range(i + 1, size):
                        total -= c[cluster, k, j, i] * by_right[j]
                    total *= c[cluster, k, i, i]
                    by_right[i] = total
                    by_shift[k, i] += total
                    for j in range(i + 1):
                        by_c[i, j] = (
                            -theta[cluster, k, i] * by_t[k * size + j] - total * u[cluster, k, j]
                        )
                    by_c[i, i] -= by_log_det[cluster, step * k] * c[cluster, k, i, i]
                for i in range(size - 1, -1, -1):
                    total = 0.5 * by_c[i, i] * c[cluster, k, i, i]
                    by_precision[k, i, i] += total
                    for m in range(i):
                        by_c[i, m] -= 2.0 * total * c[cluster, k, i, m]
                    for j in range(i - 1, -1, -1):
                        total = by_c[i, j] * c[cluster, k, j, j]
                        by_precision[k, i, j] += total
                        by_c[j, j] -= total * c[cluster, k, i, j]
                        for m in range(j):
                            by_c[i, m] -= total * c[cluster, k, j, m]
                            by_c[j, m] -= total * c[cluster, k, i, m]
            for j in range(n_coupled):
                by_value[cluster, j] = 0.0 if coupled else by_t[j]
            if coupled:
                for i in range(n_coupled):
                    for j in range(n_coupled):
                        by_value[cluster, j] += coupling[cluster, i, j] * by_t[i]
        by_mean = np.empty((n_free, size))
        by_sd = np.empty((n_free, size))
        by_entries = np.empty(entries.shape)
        factor = np.empty((size, size))
        inverse = np.empty((size, size))
        by_inverse = np.empty((size, size))
        precision = np.empty((n_free, size, size))
        shift = np.empty((n_free, size))
        for k in range(n_free):
            prior(k, mean, sd, entries, factor, inverse, precision, shift)
            prior_backward(k, mean, inverse, precision, by_precision, by_shift, by_mean, by_inverse)
            invert_factor_backward(k, sd, factor, inverse, by_inverse, by_sd, by_entries)
        return by_value.reshape(theta.shape), by_mean, by_sd, by_entries

    return kernel


class ConditionedEffects(Loop):
    """See :func:`conditioned_effects`; its last two outputs are what the gradient needs again."""

    __props__ = ("size", "joint")
    dtypes = ("float64",) * 4

    def __init__(self, size: int, joint: bool = False) -> None:
        self.size, self.joint = size, joint

    @property
    def kernel(self) -> Callable:
        return _forward_kernel(self.size, self.joint)

    def plain(self, value, mean, sd, entries, information, score, coupling):
        size = self.size
        t = value if coupling.type.shape[0] == 0 else couple(coupling, value)
        factor, h = covariance_factor(sd, entries, size), lower(information, size)
        c, u = conditioning(columns(mean, size), factor, h, columns(score, size))
        shifted = [x + y for x, y in zip(columns(t, size), u, strict=True)]
        theta = pt.stack(solve_upper(c, shifted), axis=-1)
        zero = pt.zeros_like(c[0][0])
        inverted = [[1 / x if j == i else x for j, x in enumerate(c[i])] for i in range(size)]
        rows = [pt.stack([*inverted[i], *[zero] * (size - 1 - i)], axis=-1) for i in range(size)]
        log_det = -sum(pt.log(row[-1]) for row in c)
        if self.joint:
            log_det = log_det.sum(axis=-1, keepdims=True)
        return theta, log_det, pt.stack(rows, axis=-2), pt.stack(u, axis=-1)

    def shapes(self, value, mean, sd, entries, information, score, coupling):
        effects = (*value[:2], self.size)
        log_det = (value[0], 1) if self.joint else value[:2]
        return [effects, log_det, (*effects, self.size), effects]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        # Neither what is sampled nor the mean is in the determinant.
        parameters = [[True, i > 1, True, True] for i in range(4)]
        return parameters + [[False] * 4] * 3

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence
    ) -> list[Variable]:
        by_theta, by_log_det, *by_kept = cotangents
        if any(is_connected(x) for x in by_kept):
            raise NotImplementedError("Only the results can be differentiated, not steps to them.")
        given = [
            x if is_connected(x) else pt.zeros_like(output)
            for x, output in zip((by_theta, by_log_det), outputs, strict=False)
        ]
        backward = ConditionedEffectsBackward(self.size, self.joint)
        gradients: list[Variable] = list(backward.outputs(*given, *inputs, *outputs))
        if not is_connected(by_theta):  # the determinant knows neither value nor mean
            gradients = [disconnected_type(), disconnected_type(), *gradients[2:]]
        return no_gradient(inputs, gradients)


class ConditionedEffectsBackward(Backward):
    """Gradients of :class:`ConditionedEffects`."""

    __props__ = ("size", "joint")
    n_cotangents = 2
    n_kept = 4
    dtypes = ("float64",) * 4

    def __init__(self, size: int, joint: bool = False) -> None:
        self.size, self.joint = size, joint

    @property
    def forward(self) -> ConditionedEffects:
        return ConditionedEffects(self.size, self.joint)

    @property
    def kernel(self) -> Callable:
        return _backward_kernel(self.size, self.joint)


_NO_COUPLING = np.zeros((0, 0, 0))


def conditioned_effects(
    value: TensorLike,
    mean: TensorLike,
    sd: TensorLike,
    entries: TensorLike,
    information: TensorLike,
    score: TensorLike,
    coupling: TensorLike | None = None,
    *,
    joint: bool = False,
) -> tuple[TensorVariable, TensorVariable]:
    r"""
    Effects from what is sampled for them in the form conditioned on the data.

    :math:`\theta = C^{-\mathsf T} (B t + C^{-1} (b + \Sigma^{-1} \mu))`, with
    :math:`C C' = H + \Sigma^{-1}`; see :class:`~helpers.effects.Conditioned`.

    Parameters
    ----------
    value : tensor_like of float, shape (C, K, P)
        t, for C clusters, K categories and P effects.
    mean, sd : tensor_like of float, shape (K, P)
        Means and standard deviations of the effects (sd > 0).
    entries : tensor_like of float, shape (K, P (P - 1) / 2)
        Cholesky factor of their correlations below its diagonal, row by row.
    information : tensor_like of float, shape (C, K, P, P)
        H.
    score : tensor_like of float, shape (C, K, P)
        b.
    coupling : tensor_like of float, shape (C, K P, K P), optional
        B; the identity if not given.
    joint : bool
        Whether a cluster's effects have one density, of all categories together.

    Returns
    -------
    effects : TensorVariable, shape (C, K, P)
        The effects.
    log_det : TensorVariable, shape (C, K), or (C,) if `joint`
        What the change of variables adds to the log-density, :math:`-\log\det C`; that of the
        coupling, a constant, is left out.

    Examples
    --------
    Without information from the data it is the non-centred form:

    >>> import numpy as np
    >>> from helpers.ops import conditioned_effects
    >>> nothing = np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2))
    >>> effects, log_det = conditioned_effects(
    ...     [[[0.0, 1.0]]], [[5.0, 5.0]], [[1.0, 2.0]], [[0.0]], *nothing
    ... )
    >>> effects.eval(), log_det.eval().round(4)
    (array([[[5., 7.]]]), array([[0.6931]]))
    """
    if coupling is None:
        coupling = _NO_COUPLING
    inputs = as_doubles(value, mean, sd, entries, information, score, coupling)
    effects, log_det, *_ = ConditionedEffects(inputs[4].type.shape[-1], joint).outputs(*inputs)
    return effects, log_det.reshape((-1,)) if joint else log_det
