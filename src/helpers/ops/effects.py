"""Densities and changes of variables of intercepts and slopes."""

import numba
import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType, disconnected_type

from helpers.ops.loop import Loop, _as_doubles, _Backward, _Differentiable, _plain_gradients

__all__ = ["conditioned_pair", "pair_log_density"]


def _pair_kernel(value, mu, sd, correlation):
    n_clusters, n_free, _ = value.shape
    if mu.shape != (n_free, 2) or sd.shape != (n_free, 2) or correlation.shape[0] != n_free:
        raise ValueError("Effects, means, standard deviations and correlations do not fit.")
    log_density = np.empty((n_clusters, n_free))
    for k in range(n_free):
        r = correlation[k]
        to_z = 1.0 / np.sqrt(1.0 - r * r)
        to_0, to_1 = 1.0 / sd[k, 0], 1.0 / sd[k, 1]
        constant = np.log(to_0 * to_1 * to_z) - np.log(2.0 * np.pi)
        for c in range(n_clusters):
            z0 = (value[c, k, 0] - mu[k, 0]) * to_0
            z1 = ((value[c, k, 1] - mu[k, 1]) * to_1 - r * z0) * to_z
            log_density[c, k] = constant - 0.5 * (z0 * z0 + z1 * z1)
    return log_density


def _pair_backward_kernel(cotangent, value, mu, sd, correlation):
    n_clusters, n_free, _ = value.shape
    by_value = np.empty(value.shape)
    by_mu = np.empty((n_free, 2))
    by_sd = np.empty((n_free, 2))
    by_correlation = np.empty(n_free)
    for k in range(n_free):
        r = correlation[k]
        to_z = 1.0 / np.sqrt(1.0 - r * r)
        to_0, to_1 = 1.0 / sd[k, 0], 1.0 / sd[k, 1]
        mu_0 = mu_1 = sd_0 = sd_1 = by_r = 0.0
        for c in range(n_clusters):
            g = cotangent[c, k]
            e0 = (value[c, k, 0] - mu[k, 0]) * to_0
            e1 = (value[c, k, 1] - mu[k, 1]) * to_1
            z1 = (e1 - r * e0) * to_z
            by_e1 = -g * z1 * to_z
            by_e0 = -g * e0 - r * by_e1
            by_value[c, k, 0] = by_e0 * to_0
            by_value[c, k, 1] = by_e1 * to_1
            mu_0 -= by_e0 * to_0
            mu_1 -= by_e1 * to_1
            sd_0 -= (g + by_e0 * e0) * to_0
            sd_1 -= (g + by_e1 * e1) * to_1
            # Of z1 and of the scale, which both hold the root of 1 - r².
            by_r += -by_e1 * e0 + g * r * (1.0 - z1 * z1) * to_z * to_z
        by_mu[k, 0], by_mu[k, 1] = mu_0, mu_1
        by_sd[k, 0], by_sd[k, 1] = sd_0, sd_1
        by_correlation[k] = by_r
    return by_value, by_mu, by_sd, by_correlation


class PairLogDensity(_Differentiable):
    """See :func:`pair_log_density`."""

    kernel = staticmethod(_pair_kernel)

    @staticmethod
    def plain(value, mu, sd, correlation):
        root = pt.sqrt(1 - correlation**2)
        z0 = (value[..., 0] - mu[:, 0]) / sd[:, 0]
        z1 = ((value[..., 1] - mu[:, 1]) / sd[:, 1] - correlation * z0) / root
        log_scale = pt.log(sd[:, 0] * sd[:, 1] * root)
        return -0.5 * (z0**2 + z1**2) - np.log(2 * np.pi) - log_scale

    @staticmethod
    def shapes(value, mu, sd, correlation):
        return [value[:2]]


class PairLogDensityBackward(_Backward):
    """Gradients of :class:`PairLogDensity`."""

    kernel = staticmethod(_pair_backward_kernel)
    forward = PairLogDensity()
    dtypes = ("float64",) * 4


PairLogDensity.backward = PairLogDensityBackward()


def pair_log_density(value, mu, sd, correlation):
    """
    Log-density of pairs of correlated normal effects, by cluster and category.

    Parameters
    ----------
    value : tensor_like of float, shape (C, K, 2)
        Effects.
    mu, sd : tensor_like of float, shape (K, 2)
        Means and standard deviations (sd > 0).
    correlation : tensor_like of float, shape (K,)
        Correlations, between -1 and 1.

    Returns
    -------
    TensorVariable
        Shape (C, K).

    Examples
    --------
    >>> from helpers.ops import pair_log_density
    >>> pair_log_density([[[0.3, 0.1]]], [[0.0, 1.0]], [[1.0, 2.0]], [0.5]).eval().round(6)
    array([[-2.672183]])
    """
    return PairLogDensity()(*_as_doubles(value, mu, sd, correlation))


@numba.njit(inline="always", error_model="numpy")
def _precision_of_pair(k, sd, correlation):
    """Entries of the inverse covariance of category k's effects."""
    r, s0, s1 = correlation[k], sd[k, 0], sd[k, 1]
    q = 1.0 - r * r
    return 1.0 / (s0 * s0 * q), -r / (s0 * s1 * q), 1.0 / (s1 * s1 * q)


@numba.njit(inline="always", error_model="numpy")
def _from_precision_of_pair(k, sd, correlation, g00, g01, g11, by_sd, by_correlation):
    """Gradients in standard deviations and correlation from those in the inverse covariance."""
    r, s0, s1 = correlation[k], sd[k, 0], sd[k, 1]
    q = 1.0 - r * r
    p00, p01, p11 = 1.0 / (s0 * s0 * q), -r / (s0 * s1 * q), 1.0 / (s1 * s1 * q)
    by_sd[k, 0] = -(2.0 * p00 * g00 + p01 * g01) / s0
    by_sd[k, 1] = -(2.0 * p11 * g11 + p01 * g01) / s1
    by_correlation[k] = (
        2.0 * r * (p00 * g00 + p11 * g11) - (1.0 + r * r) / (s0 * s1 * q) * g01
    ) / q


def _conditioned_kernel(value, mu, sd, correlation, information, score, coupling):
    n_clusters, n_free, _ = value.shape
    size = 2 * n_free
    coupled = coupling.shape[0] > 0
    if mu.shape != (n_free, 2) or sd.shape != (n_free, 2) or correlation.shape[0] != n_free:
        raise ValueError("Effects, means, standard deviations and correlations do not fit.")
    if information.shape != (n_clusters, n_free, 2, 2) or score.shape != (n_clusters, n_free, 2):
        raise ValueError("The pilot is not for these clusters and categories.")
    if coupled and coupling.shape != (n_clusters, size, size):
        raise ValueError("The pilot's coupling is not for these clusters and categories.")
    theta = np.empty(value.shape)
    log_det = np.empty((n_clusters, n_free))
    steps = np.empty((n_clusters, n_free, 5))
    sampled, t = np.empty(size), np.empty(size)
    prior = np.empty((n_free, 5))  # inverse covariance, and its product with the mean
    for k in range(n_free):
        p00, p01, p11 = _precision_of_pair(k, sd, correlation)
        prior[k, 0], prior[k, 1], prior[k, 2] = p00, p01, p11
        prior[k, 3] = p00 * mu[k, 0] + p01 * mu[k, 1]
        prior[k, 4] = p01 * mu[k, 0] + p11 * mu[k, 1]
    for c in range(n_clusters):
        for k in range(n_free):
            sampled[2 * k], sampled[2 * k + 1] = value[c, k, 0], value[c, k, 1]
        for i in range(size):
            total = 0.0 if coupled else sampled[i]
            if coupled:
                for j in range(size):
                    total += coupling[c, i, j] * sampled[j]
            t[i] = total
        for k in range(n_free):
            to_0 = 1.0 / np.sqrt(information[c, k, 0, 0] + prior[k, 0])
            c10 = (information[c, k, 1, 0] + prior[k, 1]) * to_0
            to_1 = 1.0 / np.sqrt(information[c, k, 1, 1] + prior[k, 2] - c10 * c10)
            u0 = (score[c, k, 0] + prior[k, 3]) * to_0
            u1 = (score[c, k, 1] + prior[k, 4] - c10 * u0) * to_1
            theta_1 = (t[2 * k + 1] + u1) * to_1
            theta[c, k, 1] = theta_1
            theta[c, k, 0] = (t[2 * k] + u0 - c10 * theta_1) * to_0
            steps[c, k, 0], steps[c, k, 1], steps[c, k, 2] = to_0, c10, to_1
            steps[c, k, 3], steps[c, k, 4] = u0, u1
            log_det[c, k] = np.log(to_0 * to_1)
    return theta, log_det, steps


def _conditioned_backward_kernel(
    cotangent, value, mu, sd, correlation, information, score, coupling, theta, log_det, steps
):
    n_clusters, n_free, _ = theta.shape
    size = 2 * n_free
    coupled = coupling.shape[0] > 0
    by_value = np.empty(theta.shape)
    by_t, by_sampled = np.empty(size), np.empty(size)
    by_prior = np.zeros((n_free, 5))
    for c in range(n_clusters):
        # Back through each line of the forward loop, the last one first.
        for k in range(n_free):
            to_0, c10, to_1 = steps[c, k, 0], steps[c, k, 1], steps[c, k, 2]
            u0, u1 = steps[c, k, 3], steps[c, k, 4]
            w0 = cotangent[c, k, 0] * to_0
            w1 = (cotangent[c, k, 1] - c10 * w0) * to_1
            by_t[2 * k], by_t[2 * k + 1] = w0, w1
            v1 = w1 * to_1
            v0 = (w0 - c10 * v1) * to_0
            by_c11 = -theta[c, k, 1] * w1 - u1 * v1
            by_c10 = -theta[c, k, 1] * w0 - u0 * v1 - c10 * to_1 * by_c11
            by_c00 = -theta[c, k, 0] * w0 - u0 * v0 - c10 * to_0 * by_c10
            by_prior[k, 0] += 0.5 * by_c00 * to_0
            by_prior[k, 1] += by_c10 * to_0
            by_prior[k, 2] += 0.5 * by_c11 * to_1
            by_prior[k, 3] += v0
            by_prior[k, 4] += v1
        for j in range(size):
            by_sampled[j] = 0.0 if coupled else by_t[j]
        if coupled:
            for i in range(size):
                for j in range(size):
                    by_sampled[j] += coupling[c, i, j] * by_t[i]
        for k in range(n_free):
            by_value[c, k, 0], by_value[c, k, 1] = by_sampled[2 * k], by_sampled[2 * k + 1]
    by_mu = np.empty((n_free, 2))
    by_sd = np.empty((n_free, 2))
    by_correlation = np.empty(n_free)
    for k in range(n_free):
        p00, p01, p11 = _precision_of_pair(k, sd, correlation)
        v0, v1 = by_prior[k, 3], by_prior[k, 4]
        by_mu[k, 0] = p00 * v0 + p01 * v1
        by_mu[k, 1] = p01 * v0 + p11 * v1
        g00 = by_prior[k, 0] + mu[k, 0] * v0
        g01 = by_prior[k, 1] + mu[k, 1] * v0 + mu[k, 0] * v1
        g11 = by_prior[k, 2] + mu[k, 1] * v1
        _from_precision_of_pair(k, sd, correlation, g00, g01, g11, by_sd, by_correlation)
    return by_value, by_mu, by_sd, by_correlation


def _log_det_backward_kernel(cotangent, sd, correlation, information):
    n_clusters, n_free = information.shape[:2]
    by_sd = np.empty((n_free, 2))
    by_correlation = np.empty(n_free)
    for k in range(n_free):
        p00, p01, p11 = _precision_of_pair(k, sd, correlation)
        g00 = g01 = g11 = 0.0
        for c in range(n_clusters):
            a, b = information[c, k, 0, 0] + p00, information[c, k, 1, 0] + p01
            to_a = 1.0 / a
            left = information[c, k, 1, 1] + p11 - b * b * to_a
            # Of log a + log left, the two squares on the diagonal of C.
            by_left = -0.5 * cotangent[c, k] / left
            ratio = b * to_a
            g00 += -0.5 * cotangent[c, k] * to_a + by_left * ratio * ratio
            g01 -= 2.0 * by_left * ratio
            g11 += by_left
        _from_precision_of_pair(k, sd, correlation, g00, g01, g11, by_sd, by_correlation)
    return by_sd, by_correlation


class ConditionedPair(Loop):
    """
    See :func:`conditioned_pair`.

    Effects and log-determinant have gradients of their own, for PyMC asks for them one by one; the
    last output is steps on the way to them.
    """

    kernel = staticmethod(_conditioned_kernel)
    dtypes = ("float64",) * 3

    @staticmethod
    def plain(value, mu, sd, correlation, information, score, coupling):
        if coupling.type.shape[0] == 0:
            t = value
        else:
            in_one_row = value.reshape((value.shape[0], 1, -1))
            t = pt.sum(coupling * in_one_row, axis=-1).reshape(value.shape)
        q = 1 - correlation**2
        s0, s1 = sd[:, 0], sd[:, 1]
        p00, p01, p11 = 1 / (s0**2 * q), -correlation / (s0 * s1 * q), 1 / (s1**2 * q)
        c00 = pt.sqrt(information[..., 0, 0] + p00)
        c10 = (information[..., 1, 0] + p01) / c00
        c11 = pt.sqrt(information[..., 1, 1] + p11 - c10**2)
        u0 = (score[..., 0] + p00 * mu[:, 0] + p01 * mu[:, 1]) / c00
        u1 = (score[..., 1] + p01 * mu[:, 0] + p11 * mu[:, 1] - c10 * u0) / c11
        theta_1 = (t[..., 1] + u1) / c11
        theta_0 = (t[..., 0] + u0 - c10 * theta_1) / c00
        theta = pt.stack([theta_0, theta_1], axis=-1)
        return theta, -pt.log(c00 * c11), pt.stack([1 / c00, c10, 1 / c11, u0, u1], axis=-1)

    @staticmethod
    def shapes(value, *others):
        return [value, value[:2], (*value[:2], 5)]

    def connection_pattern(self, node):
        parameters = [[True, True, True]] * 4
        parameters[:2] = [[True, False, True]] * 2  # value and means are not in the determinant
        return parameters + [[False] * 3] * 3

    def pullback(self, inputs, outputs, cotangents):
        by_theta, by_log_det, by_steps = cotangents
        if not isinstance(by_steps.type, DisconnectedType):
            raise NotImplementedError("Only the results can be differentiated, not steps to them.")
        gradients = [disconnected_type() for _ in inputs]
        if not isinstance(by_theta.type, DisconnectedType):
            gradients[:4] = ConditionedPairBackward()(by_theta, *inputs, *outputs)
        if not isinstance(by_log_det.type, DisconnectedType):
            _, _, sd, correlation, information, *_ = inputs
            of_log_det = ConditionedLogDetBackward()(by_log_det, sd, correlation, information)
            for i, gradient in zip((2, 3), of_log_det, strict=True):
                connected = not isinstance(gradients[i].type, DisconnectedType)
                gradients[i] = gradients[i] + gradient if connected else gradient
        return gradients


class ConditionedPairBackward(_Backward):
    """Gradients of the effects of :class:`ConditionedPair`."""

    kernel = staticmethod(_conditioned_backward_kernel)
    forward = ConditionedPair()
    n_kept = 3
    dtypes = ("float64",) * 4


class ConditionedLogDetBackward(_Backward):
    """Gradients of the log-determinant of :class:`ConditionedPair`."""

    kernel = staticmethod(_log_det_backward_kernel)
    dtypes = ("float64",) * 2

    def plain(self, cotangent, sd, correlation, information):
        def log_det(sd, correlation, information):
            n_clusters, n_free = information.shape[:2]
            nothing, no_mean = pt.zeros((n_clusters, n_free, 2)), pt.zeros((n_free, 2))
            inputs = nothing, no_mean, sd, correlation, information, nothing, _NO_COUPLING
            return [ConditionedPair.plain(*inputs)[1]]

        return _plain_gradients(log_det, [sd, correlation, information], 2, [cotangent])


_NO_COUPLING = pt.as_tensor(np.zeros((0, 0, 0)))


def conditioned_pair(value, mu, sd, correlation, information, score, coupling=None):
    r"""
    Pairs of effects from what is sampled for them in the form conditioned on the data.

    :math:`\theta = C^{-\mathsf T} (B t + C^{-1} (b + \Sigma^{-1} \mu))`, with
    :math:`C C' = H + \Sigma^{-1}`; see :class:`~helpers.effects.Conditioned`.

    Parameters
    ----------
    value : tensor_like of float, shape (C, K, 2)
        t.
    mu, sd : tensor_like of float, shape (K, 2)
        Means and standard deviations of the effects (sd > 0).
    correlation : tensor_like of float, shape (K,)
        Their correlations, between -1 and 1.
    information : numpy.ndarray, shape (C, K, 2, 2)
        H.
    score : numpy.ndarray, shape (C, K, 2)
        b.
    coupling : numpy.ndarray, shape (C, 2 K, 2 K), optional
        B; the identity if not given.

    Returns
    -------
    effects : TensorVariable, shape (C, K, 2)
        The effects.
    log_det : TensorVariable, shape (C, K)
        What the change of variables adds to the log-density, :math:`-\log\det C`; that of the
        coupling, a constant, is left out.

    Examples
    --------
    Without information from the data it is the non-centred form:

    >>> import numpy as np
    >>> from helpers.ops import conditioned_pair
    >>> nothing = np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2))
    >>> effects, log_det = conditioned_pair(
    ...     [[[0.0, 1.0]]], [[5.0, 5.0]], [[1.0, 2.0]], [0.0], *nothing
    ... )
    >>> effects.eval(), log_det.eval().round(4)
    (array([[[5., 7.]]]), array([[0.6931]]))
    """
    if coupling is None:
        coupling = _NO_COUPLING
    inputs = _as_doubles(value, mu, sd, correlation, information, score, coupling)
    effects, log_det, _ = ConditionedPair()(*inputs)
    return effects, log_det
