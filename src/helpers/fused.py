"""
Operations that are one loop each, with gradients of their own.

PyTensor compiles a model operation by operation, and pays for each in compile time, in memory
traffic and in a call. The few that do nearly all the work of this book's models are loops written
out here, which numba compiles as they stand. Each also says what it is in plain operations: the
definition that the loop is tested against, and what other backends (JAX) take in its place.
"""

import inspect
from functools import cache
from hashlib import sha256

import numba
import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.compile.mode import optdb
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import dfs_rewriter, node_rewriter
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key
from pytensor.tensor.type import TensorType

__all__ = [
    "cluster_logits",
    "conditioned_log_det",
    "conditioned_pair",
    "masked_log_likelihood",
    "pair_log_density",
]

# Sums may be taken in any order, which lets a processor add several terms at once. What is not
# finite keeps its meaning.
_REORDER = {"reassoc", "contract", "nsz"}


class Loop(Op):
    """
    An operation with two definitions: `kernel`, a loop for numba, and `plain`, a graph.

    Subclasses give `kernel` and `plain` as static methods of the same arguments, `shapes` (of
    the outputs, from the shapes of the inputs) and perhaps `dtypes` of the outputs.
    """

    __props__ = ()
    dtypes = ("float64",)

    @staticmethod
    def kernel(*inputs):
        raise NotImplementedError

    @staticmethod
    def plain(*inputs):
        raise NotImplementedError

    @staticmethod
    def shapes(*shapes):
        raise NotImplementedError

    def make_node(self, *inputs):
        inputs = [pt.as_tensor(x) for x in inputs]
        shapes = self.shapes(*[x.type.shape for x in inputs])
        outputs = [
            TensorType(dtype, shape)() for dtype, shape in zip(self.dtypes, shapes, strict=True)
        ]
        return Apply(self, inputs, outputs)

    def infer_shape(self, fgraph, node, shapes):
        return self.shapes(*shapes)

    def perform(self, node, inputs, outputs):
        results = _compiled(type(self))(*inputs)
        for storage, result in zip(outputs, _as_tuple(results, len(outputs)), strict=True):
            storage[0] = np.asarray(result)


def _as_tuple(results, length):
    return (results,) if length == 1 else results


@cache
def _compiled(op_type):
    """The loop for use from Python, where there is no numba around the whole graph."""
    return numba.njit(op_type.kernel, fastmath=_REORDER, error_model="numpy")


@register_funcify_default_op_cache_key(Loop)
def _for_numba(op, **kwargs):
    # The cache on disk must notice when a loop is edited.
    version = int(sha256(inspect.getsource(op.kernel).encode()).hexdigest()[:12], 16)
    return numba_njit(op.kernel, fastmath=_REORDER, error_model="numpy"), version


@node_rewriter([Loop])
def _as_plain(fgraph, node):
    return _as_tuple(node.op.plain(*node.inputs), len(node.outputs))


optdb.register("fused_loops_as_plain_graphs", dfs_rewriter(_as_plain), "jax", position=0.01)


def _no_gradient(inputs, gradients):
    """Gradients of the first inputs; the others are data."""
    return [*gradients, *[disconnected_type() for _ in inputs[len(gradients) :]]]


class _Differentiable(Loop):
    """
    A loop with one output whose gradient is another loop, `backward`.

    `backward` takes the gradient of the output and then the inputs, and returns the gradients of
    the first inputs; all others are data.
    """

    backward = None

    def connection_pattern(self, node):
        n_wrt = len(self.backward.dtypes)
        return [[i < n_wrt] for i in range(len(node.inputs))]

    def pullback(self, inputs, outputs, cotangents):
        (cotangent,) = cotangents
        if isinstance(cotangent.type, DisconnectedType):
            return [disconnected_type() for _ in inputs]
        gradients = self.backward(cotangent, *inputs, return_list=True)
        return _no_gradient(inputs, gradients)


class _Backward(Loop):
    """The gradient of a differentiable loop."""

    forward = None
    n_wrt = 1

    def plain(self, cotangent, *inputs):
        output = self.forward.plain(*inputs)
        gradients = pytensor.grad(
            None, list(inputs[: self.n_wrt]), known_grads={output: cotangent}
        )
        return gradients[0] if self.n_wrt == 1 else gradients

    def shapes(self, cotangent, *shapes):
        return shapes[: self.n_wrt]

    def pullback(self, inputs, outputs, cotangents):
        # Second derivatives are rare: they are those of the plain graph.
        plain = _as_tuple(self.plain(*inputs), len(outputs))
        known = {
            output: cotangent
            for output, cotangent in zip(plain, cotangents, strict=True)
            if not isinstance(cotangent.type, DisconnectedType)
        }
        wrt = list(inputs[: 1 + self.n_wrt])
        gradients = pytensor.grad(None, wrt, known_grads=known, disconnected_inputs="ignore")
        return _no_gradient(inputs, gradients)

    def connection_pattern(self, node):
        return [[i <= self.n_wrt] * len(node.outputs) for i in range(len(node.inputs))]


# Logits ------------------------------------------------------------------------------------------


def _logits_kernel(effects, cluster, x, place):
    n_rows, n_predictors = x.shape
    n_clusters, n_free, _ = effects.shape
    if cluster.shape[0] != n_rows or effects.shape[2] != n_predictors + 1:
        raise ValueError("Effects, cluster indices and predictors do not fit together.")
    logits = np.empty((n_rows, n_free + 1))
    for i in range(n_rows):
        c = cluster[i]
        if c < 0 or c >= n_clusters:
            raise IndexError("A row's cluster index is not that of a cluster.")
        for k in range(n_free):
            total = effects[c, k, 0]
            for p in range(n_predictors):
                total += effects[c, k, p + 1] * x[i, p]
            logits[i, k if k < place else k + 1] = total
        logits[i, place] = 0.0
    return logits


def _logits_backward_kernel(cotangent, effects, cluster, x, place):
    n_rows, n_predictors = x.shape
    n_free = effects.shape[1]
    gradient = np.zeros(effects.shape)
    for i in range(n_rows):
        c = cluster[i]
        for k in range(n_free):
            g = cotangent[i, k if k < place else k + 1]
            gradient[c, k, 0] += g
            for p in range(n_predictors):
                gradient[c, k, p + 1] += g * x[i, p]
    return gradient


class ClusterLogits(_Differentiable):
    """See :func:`cluster_logits`."""

    kernel = staticmethod(_logits_kernel)

    @staticmethod
    def plain(effects, cluster, x, place):
        by_row = effects[cluster]
        by_row = by_row[..., 0] + pt.sum(by_row[..., 1:] * x[:, None, :], axis=-1)
        column = pt.arange(effects.shape[1] + 1)
        # The reference has no column of its own: it takes a neighbour's, and is set to zero.
        source = pt.clip(column - pt.gt(column, place), 0, effects.shape[1] - 1)
        return pt.switch(pt.eq(column, place), 0.0, by_row[:, source])

    @staticmethod
    def shapes(effects, cluster, x, place):
        n_free = effects[1]
        return [(cluster[0], None if n_free is None else n_free + 1)]


class ClusterLogitsBackward(_Backward):
    """Gradient of :class:`ClusterLogits` in the effects."""

    kernel = staticmethod(_logits_backward_kernel)
    forward = ClusterLogits()


ClusterLogits.backward = ClusterLogitsBackward()


def cluster_logits(effects, cluster, x, place):
    r"""
    Logits of each row from the effects of its cluster.

    :math:`\eta_{ik} = \theta_{c(i)k0} + \sum_p x_{ip} \theta_{c(i)kp}`, and 0 for the reference category.

    Parameters
    ----------
    effects : tensor_like of float, shape (C, K - 1, 1 + P)
        Intercepts and slopes by cluster and category, without the reference.
    cluster : tensor_like of int, shape (R,)
        Cluster of each row, 0 to C - 1.
    x : tensor_like of float, shape (R, P)
        Predictors; P may be 0.
    place : int
        Where the reference category is put in.

    Returns
    -------
    TensorVariable
        Shape (R, K).

    Examples
    --------
    >>> from helpers.fused import cluster_logits
    >>> effects = [[[1.0, 2.0]], [[3.0, 4.0]]]  # two clusters, one category besides the reference
    >>> cluster_logits(effects, [0, 1], [[0.0], [10.0]], 1).eval()
    array([[ 1.,  0.],
           [43.,  0.]])
    """
    effects, x = pt.as_tensor(effects), pt.as_tensor(x)
    return ClusterLogits()(effects.astype("float64"), cluster, x.astype("float64"), place)


# Likelihood --------------------------------------------------------------------------------------


def _likelihood_kernel(logits, value, n, available):
    n_rows, n_categories = logits.shape
    if value.shape != logits.shape or available.shape != logits.shape or n.shape[0] != n_rows:
        raise ValueError("Counts, totals, logits and menus do not have the same shape.")
    log_likelihood = np.empty(n_rows)
    residual = np.empty(logits.shape)
    proper = True
    for i in range(n_rows):
        top = -np.inf
        for k in range(n_categories):
            if available[i, k] and not logits[i, k] <= top:
                top = logits[i, k]
        if top == -np.inf:
            proper = False
        total = 0
        weight = 0.0
        chosen = 0.0
        possible = True
        for k in range(n_categories):
            y = value[i, k]
            total += y
            if y < 0:
                possible = False
            if available[i, k]:
                distance = logits[i, k] - top
                w = np.exp(distance)
                weight += w
                residual[i, k] = w
                if y > 0:
                    chosen += y * distance
            else:
                residual[i, k] = 0.0
                if y > 0:
                    possible = False
        scale = total / weight
        for k in range(n_categories):
            if available[i, k]:
                residual[i, k] = value[i, k] - scale * residual[i, k]
        if possible and total == n[i]:
            log_likelihood[i] = chosen - total * np.log(weight)
        else:
            log_likelihood[i] = -np.inf
    return log_likelihood, residual, np.asarray(proper)


class MaskedLogLikelihood(Loop):
    """See :func:`masked_log_likelihood`."""

    kernel = staticmethod(_likelihood_kernel)
    dtypes = ("float64", "float64", "bool")

    @staticmethod
    def plain(logits, value, n, available):
        masked = pt.switch(available, logits, -np.inf)
        log_p = pt.special.log_softmax(masked, axis=-1)
        # A zero count contributes nothing, whatever its logit: 0 * -inf would be NaN.
        chosen = pt.sum(pt.switch(pt.gt(value, 0), value * log_p, 0.0), axis=-1)
        impossible = pt.or_(pt.lt(value, 0), pt.and_(pt.gt(value, 0), pt.invert(available)))
        total = pt.sum(value, axis=-1)
        off_support = pt.or_(pt.any(impossible, axis=-1), pt.neq(total, n))
        residual = pt.switch(available, value - total[:, None] * pt.exp(log_p), 0.0)
        proper = pt.all(pt.any(pt.neq(masked, -np.inf), axis=-1))
        return pt.switch(off_support, -np.inf, chosen), residual, proper

    @staticmethod
    def shapes(logits, value, n, available):
        return [logits[:1], logits, ()]

    def connection_pattern(self, node):
        return [[True, True, False]] + [[False] * 3] * 3

    def pullback(self, inputs, outputs, cotangents):
        by_row, by_cell, _ = cotangents
        gradient = pt.zeros_like(inputs[0])
        if not isinstance(by_row.type, DisconnectedType):
            gradient = by_row[:, None] * outputs[1]
        if not isinstance(by_cell.type, DisconnectedType):
            # Second derivatives are rare: they are those of the plain graph.
            _, residual, _ = self.plain(*inputs)
            gradient = gradient + pytensor.grad(
                None, inputs[0], known_grads={residual: by_cell}
            )
        return _no_gradient(inputs, [gradient])


def masked_log_likelihood(logits, value, n, available):
    r"""
    Multinomial log-likelihood over the categories on each row's menu, and its gradient.

    Parameters
    ----------
    logits : tensor_like of float, shape (R, K)
        Logits; those of unavailable categories are not looked at.
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
        Whether in every row something on the menu has a logit above minus infinity.

    Examples
    --------
    >>> from helpers.fused import masked_log_likelihood
    >>> value, residual, proper = masked_log_likelihood(
    ...     [[0.0, 5.0, 0.0]], [[3, 0, 1]], [4], [[True, False, True]]
    ... )
    >>> value.eval().round(4), residual.eval()
    (array([-2.7726]), array([[ 1.,  0., -1.]]))
    """
    logits = pt.as_tensor(logits).astype("float64")
    return MaskedLogLikelihood()(logits, value, n, available)


# Pairs of effects: an intercept and a slope ------------------------------------------------------


def _pair_kernel(value, mu, sd, correlation):
    n_clusters, n_free, _ = value.shape
    if mu.shape != (n_free, 2) or sd.shape != (n_free, 2) or correlation.shape[0] != n_free:
        raise ValueError("Effects, means, standard deviations and correlations do not fit.")
    log_density = np.empty((n_clusters, n_free))
    for k in range(n_free):
        r = correlation[k]
        root = np.sqrt(1.0 - r * r)
        constant = -np.log(2.0 * np.pi) - np.log(sd[k, 0] * sd[k, 1] * root)
        for c in range(n_clusters):
            z0 = (value[c, k, 0] - mu[k, 0]) / sd[k, 0]
            z1 = ((value[c, k, 1] - mu[k, 1]) / sd[k, 1] - r * z0) / root
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
        root = np.sqrt(1.0 - r * r)
        to_0, to_1 = 1.0 / sd[k, 0], 1.0 / sd[k, 1]
        mu_0 = mu_1 = sd_0 = sd_1 = by_r = 0.0
        for c in range(n_clusters):
            g = cotangent[c, k]
            e0 = (value[c, k, 0] - mu[k, 0]) * to_0
            e1 = (value[c, k, 1] - mu[k, 1]) * to_1
            z1 = (e1 - r * e0) / root
            by_e1 = -g * z1 / root
            by_e0 = -g * e0 - r * by_e1
            by_value[c, k, 0] = by_e0 * to_0
            by_value[c, k, 1] = by_e1 * to_1
            mu_0 -= by_e0 * to_0
            mu_1 -= by_e1 * to_1
            sd_0 -= (g + by_e0 * e0) * to_0
            sd_1 -= (g + by_e1 * e1) * to_1
            # Of z1, and of the root in the scale.
            by_r += -by_e1 * e0 + (g * r - g * z1 * z1 * r) / (root * root)
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
    n_wrt = 4


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
    >>> from helpers.fused import pair_log_density
    >>> pair_log_density([[[0.3, 0.1]]], [[0.0, 1.0]], [[1.0, 2.0]], [0.5]).eval().round(6)
    array([[-2.672183]])
    """
    return PairLogDensity()(*[pt.as_tensor(x) for x in (value, mu, sd, correlation)])


def _conditioned_kernel(value, mu, sd, correlation, information, score, coupling):
    n_clusters, n_free, _ = value.shape
    size = 2 * n_free
    coupled = coupling.shape[0] > 0
    if mu.shape != (n_free, 2) or sd.shape != (n_free, 2) or correlation.shape[0] != n_free:
        raise ValueError("Effects, means, standard deviations and correlations do not fit.")
    if information.shape[0] != n_clusters or information.shape[1] != n_free:
        raise ValueError("The pilot is not for these clusters and categories.")
    theta = np.empty(value.shape)
    t = np.empty(size)
    for c in range(n_clusters):
        for i in range(size):
            if coupled:
                total = 0.0
                for j in range(size):
                    total += coupling[c, i, j] * value[c, j // 2, j % 2]
                t[i] = total
            else:
                t[i] = value[c, i // 2, i % 2]
        for k in range(n_free):
            r, s0, s1 = correlation[k], sd[k, 0], sd[k, 1]
            q = 1.0 - r * r
            p00, p11, p01 = 1.0 / (s0 * s0 * q), 1.0 / (s1 * s1 * q), -r / (s0 * s1 * q)
            c00 = np.sqrt(information[c, k, 0, 0] + p00)
            c10 = (information[c, k, 1, 0] + p01) / c00
            c11 = np.sqrt(information[c, k, 1, 1] + p11 - c10 * c10)
            u0 = (score[c, k, 0] + p00 * mu[k, 0] + p01 * mu[k, 1]) / c00
            u1 = (score[c, k, 1] + p01 * mu[k, 0] + p11 * mu[k, 1] - c10 * u0) / c11
            theta_1 = (t[2 * k + 1] + u1) / c11
            theta[c, k, 1] = theta_1
            theta[c, k, 0] = (t[2 * k] + u0 - c10 * theta_1) / c00
    return theta


def _conditioned_backward_kernel(
    cotangent, value, mu, sd, correlation, information, score, coupling
):
    n_clusters, n_free, _ = value.shape
    size = 2 * n_free
    coupled = coupling.shape[0] > 0
    by_value = np.zeros(value.shape)
    by_push = np.zeros((n_free, 2))
    by_precision = np.zeros((n_free, 3))
    t = np.empty(size)
    by_t = np.empty(size)
    for c in range(n_clusters):
        for i in range(size):
            if coupled:
                total = 0.0
                for j in range(size):
                    total += coupling[c, i, j] * value[c, j // 2, j % 2]
                t[i] = total
            else:
                t[i] = value[c, i // 2, i % 2]
        for k in range(n_free):
            r, s0, s1 = correlation[k], sd[k, 0], sd[k, 1]
            q = 1.0 - r * r
            p00, p11, p01 = 1.0 / (s0 * s0 * q), 1.0 / (s1 * s1 * q), -r / (s0 * s1 * q)
            c00 = np.sqrt(information[c, k, 0, 0] + p00)
            to_0 = 1.0 / c00
            c10 = (information[c, k, 1, 0] + p01) * to_0
            c11 = np.sqrt(information[c, k, 1, 1] + p11 - c10 * c10)
            to_1 = 1.0 / c11
            u0 = (score[c, k, 0] + p00 * mu[k, 0] + p01 * mu[k, 1]) * to_0
            u1 = (score[c, k, 1] + p01 * mu[k, 0] + p11 * mu[k, 1] - c10 * u0) * to_1
            theta_1 = (t[2 * k + 1] + u1) * to_1
            theta_0 = (t[2 * k] + u0 - c10 * theta_1) * to_0
            # Back through each line above, the last one first.
            w0 = cotangent[c, k, 0] * to_0
            w1 = (cotangent[c, k, 1] - c10 * w0) * to_1
            by_t[2 * k], by_t[2 * k + 1] = w0, w1
            v1 = w1 * to_1
            v0 = (w0 - c10 * v1) * to_0
            by_c11 = -theta_1 * w1 - u1 * v1
            by_c10 = -theta_1 * w0 - u0 * v1 - c10 * to_1 * by_c11
            by_c00 = -theta_0 * w0 - u0 * v0 - c10 * to_0 * by_c10
            by_push[k, 0] += v0
            by_push[k, 1] += v1
            by_precision[k, 0] += 0.5 * by_c00 * to_0
            by_precision[k, 1] += by_c10 * to_0
            by_precision[k, 2] += 0.5 * by_c11 * to_1
        for i in range(size):
            if coupled:
                for j in range(size):
                    by_value[c, j // 2, j % 2] += coupling[c, i, j] * by_t[i]
            else:
                by_value[c, i // 2, i % 2] = by_t[i]
    by_mu = np.empty((n_free, 2))
    by_sd = np.empty((n_free, 2))
    by_correlation = np.empty(n_free)
    for k in range(n_free):
        r, s0, s1 = correlation[k], sd[k, 0], sd[k, 1]
        q = 1.0 - r * r
        p00, p11, p01 = 1.0 / (s0 * s0 * q), 1.0 / (s1 * s1 * q), -r / (s0 * s1 * q)
        m0, m1 = mu[k, 0], mu[k, 1]
        v0, v1 = by_push[k, 0], by_push[k, 1]
        by_mu[k, 0] = p00 * v0 + p01 * v1
        by_mu[k, 1] = p01 * v0 + p11 * v1
        g00 = by_precision[k, 0] + m0 * v0
        g01 = by_precision[k, 1] + m1 * v0 + m0 * v1
        g11 = by_precision[k, 2] + m1 * v1
        by_sd[k, 0] = -(2.0 * p00 * g00 + p01 * g01) / s0
        by_sd[k, 1] = -(2.0 * p11 * g11 + p01 * g01) / s1
        by_correlation[k] = (
            2.0 * r * (p00 * g00 + p11 * g11) - (1.0 + r * r) / (s0 * s1 * q) * g01
        ) / q
    return by_value, by_mu, by_sd, by_correlation


def _plain_precision(sd, correlation):
    q = 1 - correlation**2
    s0, s1 = sd[:, 0], sd[:, 1]
    return 1 / (s0**2 * q), -correlation / (s0 * s1 * q), 1 / (s1**2 * q)


class ConditionedPair(_Differentiable):
    """See :func:`conditioned_pair`."""

    kernel = staticmethod(_conditioned_kernel)

    @staticmethod
    def plain(value, mu, sd, correlation, information, score, coupling):
        if coupling.type.shape[0] == 0:
            t = value
        else:
            in_one_row = value.reshape((value.shape[0], 1, -1))
            t = pt.sum(coupling * in_one_row, axis=-1).reshape(value.shape)
        p00, p01, p11 = _plain_precision(sd, correlation)
        c00 = pt.sqrt(information[..., 0, 0] + p00)
        c10 = (information[..., 1, 0] + p01) / c00
        c11 = pt.sqrt(information[..., 1, 1] + p11 - c10**2)
        u0 = (score[..., 0] + p00 * mu[:, 0] + p01 * mu[:, 1]) / c00
        u1 = (score[..., 1] + p01 * mu[:, 0] + p11 * mu[:, 1] - c10 * u0) / c11
        theta_1 = (t[..., 1] + u1) / c11
        theta_0 = (t[..., 0] + u0 - c10 * theta_1) / c00
        return pt.stack([theta_0, theta_1], axis=-1)

    @staticmethod
    def shapes(value, *others):
        return [value]


class ConditionedPairBackward(_Backward):
    """Gradients of :class:`ConditionedPair`."""

    kernel = staticmethod(_conditioned_backward_kernel)
    forward = ConditionedPair()
    dtypes = ("float64",) * 4
    n_wrt = 4


ConditionedPair.backward = ConditionedPairBackward()


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
    TensorVariable
        Shape (C, K, 2).

    Examples
    --------
    Without information from the data it is the non-centred form:

    >>> import numpy as np
    >>> from helpers.fused import conditioned_pair
    >>> nothing = np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2))
    >>> conditioned_pair([[[0.0, 1.0]]], [[5.0, 5.0]], [[1.0, 2.0]], [0.0], *nothing).eval()
    array([[[5., 7.]]])
    """
    if coupling is None:
        coupling = np.zeros((0, 0, 0))
    inputs = value, mu, sd, correlation, information, score, coupling
    return ConditionedPair()(*[pt.as_tensor(x) for x in inputs])


def _log_det_kernel(sd, correlation, information):
    n_clusters, n_free = information.shape[:2]
    if sd.shape != (n_free, 2) or correlation.shape[0] != n_free:
        raise ValueError("Standard deviations, correlations and the pilot do not fit.")
    log_det = np.empty((n_clusters, n_free))
    for k in range(n_free):
        r, s0, s1 = correlation[k], sd[k, 0], sd[k, 1]
        q = 1.0 - r * r
        p00, p11, p01 = 1.0 / (s0 * s0 * q), 1.0 / (s1 * s1 * q), -r / (s0 * s1 * q)
        for c in range(n_clusters):
            a, b = information[c, k, 0, 0] + p00, information[c, k, 1, 0] + p01
            log_det[c, k] = -0.5 * np.log(a * (information[c, k, 1, 1] + p11 - b * b / a))
    return log_det


def _log_det_backward_kernel(cotangent, sd, correlation, information):
    n_clusters, n_free = information.shape[:2]
    by_sd = np.empty((n_free, 2))
    by_correlation = np.empty(n_free)
    for k in range(n_free):
        r, s0, s1 = correlation[k], sd[k, 0], sd[k, 1]
        q = 1.0 - r * r
        p00, p11, p01 = 1.0 / (s0 * s0 * q), 1.0 / (s1 * s1 * q), -r / (s0 * s1 * q)
        g00 = g01 = g11 = 0.0
        for c in range(n_clusters):
            a, b = information[c, k, 0, 0] + p00, information[c, k, 1, 0] + p01
            d = information[c, k, 1, 1] + p11
            scale = -0.5 * cotangent[c, k] / (a * (d - b * b / a))
            g00 += scale * d
            g01 -= 2.0 * scale * b
            g11 += scale * a
        by_sd[k, 0] = -(2.0 * p00 * g00 + p01 * g01) / s0
        by_sd[k, 1] = -(2.0 * p11 * g11 + p01 * g01) / s1
        by_correlation[k] = (
            2.0 * r * (p00 * g00 + p11 * g11) - (1.0 + r * r) / (s0 * s1 * q) * g01
        ) / q
    return by_sd, by_correlation


class ConditionedLogDet(_Differentiable):
    """See :func:`conditioned_log_det`."""

    kernel = staticmethod(_log_det_kernel)

    @staticmethod
    def plain(sd, correlation, information):
        p00, p01, p11 = _plain_precision(sd, correlation)
        a, b = information[..., 0, 0] + p00, information[..., 1, 0] + p01
        return -0.5 * pt.log(a * (information[..., 1, 1] + p11 - b**2 / a))

    @staticmethod
    def shapes(sd, correlation, information):
        return [information[:2]]


class ConditionedLogDetBackward(_Backward):
    """Gradients of :class:`ConditionedLogDet`."""

    kernel = staticmethod(_log_det_backward_kernel)
    forward = ConditionedLogDet()
    dtypes = ("float64",) * 2
    n_wrt = 2


ConditionedLogDet.backward = ConditionedLogDetBackward()


def conditioned_log_det(sd, correlation, information):
    r"""
    What the form conditioned on the data takes off the log-density of pairs of effects.

    :math:`-\log\det C`, with :math:`C C' = H + \Sigma^{-1}`; a coupling is not in it.

    Parameters
    ----------
    sd : tensor_like of float, shape (K, 2)
        Standard deviations (sd > 0).
    correlation : tensor_like of float, shape (K,)
        Correlations, between -1 and 1.
    information : numpy.ndarray, shape (C, K, 2, 2)
        H.

    Returns
    -------
    TensorVariable
        Shape (C, K).

    Examples
    --------
    >>> import numpy as np
    >>> from helpers.fused import conditioned_log_det
    >>> conditioned_log_det([[1.0, 1.0]], [0.0], np.zeros((1, 1, 2, 2))).eval() + 0.0
    array([[0.]])
    """
    return ConditionedLogDet()(*[pt.as_tensor(x) for x in (sd, correlation, information)])
