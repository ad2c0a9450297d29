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
from pytensor.graph.replace import graph_replace
from pytensor.graph.rewriting.basic import dfs_rewriter, node_rewriter
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key
from pytensor.tensor.type import TensorType

__all__ = [
    "cluster_logits",
    "conditioned_pair",
    "masked_log_likelihood",
    "masked_shares",
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

    def infer_shape(self, node, shapes):
        return self.shapes(*shapes)

    def perform(self, node, inputs, outputs):
        results = _compiled(type(self))(*inputs)
        for storage, result in zip(outputs, _as_list(results), strict=True):
            storage[0] = np.asarray(result)


@cache
def _compiled(op_type):
    """The loop for use from Python, where there is no numba around the whole graph."""
    return numba.njit(op_type.kernel, fastmath=_REORDER, error_model="numpy")


@register_funcify_default_op_cache_key(Loop)
def _for_numba(op, **kwargs):
    # The cache on disk must notice when a loop is edited.
    source = inspect.getsource(inspect.getmodule(op.kernel))
    version = int(sha256(source.encode()).hexdigest()[:12], 16)
    return numba_njit(op.kernel, fastmath=_REORDER, error_model="numpy"), version


@node_rewriter([Loop])
def _as_plain(fgraph, node):
    return _as_list(node.op.plain(*node.inputs))


optdb.register("fused_loops_as_plain_graphs", dfs_rewriter(_as_plain), "jax", position=0.01)


def _plain_gradients(function, inputs, n_wrt, cotangents):
    """
    Gradients of a function of tensors in its first inputs, given those of its outputs.

    The function is built on inputs of its own: those of a node may depend on each other, and then
    derivatives in one of them would hold what goes through the others.
    """
    own = [x.type() for x in inputs]
    known = {
        output: cotangent
        for output, cotangent in zip(function(*own), cotangents, strict=False)
        if not isinstance(cotangent.type, DisconnectedType)
    }
    gradients = pytensor.grad(None, own[:n_wrt], known_grads=known, disconnected_inputs="ignore")
    return graph_replace(gradients, dict(zip(own, inputs, strict=True)), strict=False)


def _as_doubles(*tensors):
    return [pt.as_tensor(x).astype("float64") for x in tensors]


def _as_list(outputs):
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _no_gradient(inputs, gradients):
    """Gradients of the first inputs; the others are data."""
    return [*gradients, *[disconnected_type() for _ in inputs[len(gradients) :]]]


class _Differentiable(Loop):
    """
    A loop with one output whose gradient is another loop, `backward`.

    `backward` takes the gradient of the output, then the inputs, and returns the gradients of the
    first inputs; the others are data.
    """

    backward = None

    def connection_pattern(self, node):
        return [[i < len(self.backward.dtypes)] for i in range(len(node.inputs))]

    def pullback(self, inputs, outputs, cotangents):
        gradients = self.backward(*cotangents, *inputs, return_list=True)
        return _no_gradient(inputs, gradients)


class _Backward(Loop):
    """
    The gradient of the loop `forward` in its first inputs, as many as `dtypes`.

    Its last inputs may be outputs of `forward`, `n_kept` of them, which spare it work.
    """

    forward = None
    n_kept = 0

    def plain(self, cotangent, *inputs):
        inputs = inputs[: len(inputs) - self.n_kept]
        return _plain_gradients(
            lambda *own: _as_list(self.forward.plain(*own)), inputs, len(self.dtypes), [cotangent]
        )

    def shapes(self, cotangent, *shapes):
        return shapes[: len(self.dtypes)]

    def connection_pattern(self, node):
        # Not to what was kept: in the plain graph that is a function of the inputs.
        return [[i <= len(self.dtypes)] * len(node.outputs) for i in range(len(node.inputs))]

    def pullback(self, inputs, outputs, cotangents):
        # Second derivatives are rare: they are those of the plain graph.
        gradients = _plain_gradients(self.plain, inputs, 1 + len(self.dtypes), cotangents)
        return _no_gradient(inputs, gradients)


# Logits ------------------------------------------------------------------------------------------


def _logits_kernel(effects, cluster, design, place):
    n_rows, n_effects = design.shape
    n_clusters, n_free, _ = effects.shape
    if cluster.shape[0] != n_rows or effects.shape[2] != n_effects:
        raise ValueError("Effects, cluster indices and design do not fit together.")
    logits = np.empty((n_rows, n_free + 1))
    for i in range(n_rows):
        c = cluster[i]
        if c < 0 or c >= n_clusters:
            raise IndexError("A row's cluster index is not that of a cluster.")
        for k in range(n_free):
            total = 0.0
            for p in range(n_effects):
                total += effects[c, k, p] * design[i, p]
            logits[i, k if k < place else k + 1] = total
        logits[i, place] = 0.0
    return logits


def _logits_backward_kernel(cotangent, effects, cluster, design, place):
    n_rows, n_effects = design.shape
    n_free = effects.shape[1]
    gradient = np.zeros(effects.shape)
    for i in range(n_rows):
        c = cluster[i]
        for k in range(n_free):
            g = cotangent[i, k if k < place else k + 1]
            for p in range(n_effects):
                gradient[c, k, p] += g * design[i, p]
    return gradient


class ClusterLogits(_Differentiable):
    """See :func:`cluster_logits`."""

    kernel = staticmethod(_logits_kernel)

    @staticmethod
    def plain(effects, cluster, design, place):
        by_row = pt.sum(effects[cluster] * design[:, None, :], axis=-1)
        column = pt.arange(effects.shape[1] + 1)
        # The reference has no column of its own: it takes a neighbour's, and is set to zero.
        source = pt.clip(column - pt.gt(column, place), 0, effects.shape[1] - 1)
        return pt.switch(pt.eq(column, place), 0.0, by_row[:, source])

    @staticmethod
    def shapes(effects, cluster, design, place):
        n_free = effects[1]
        return [(cluster[0], None if n_free is None else n_free + 1)]


class ClusterLogitsBackward(_Backward):
    """Gradient of :class:`ClusterLogits` in the effects."""

    kernel = staticmethod(_logits_backward_kernel)
    forward = ClusterLogits()


ClusterLogits.backward = ClusterLogitsBackward()


def cluster_logits(effects, cluster, design, place):
    r"""
    Logits of each row from the effects of its cluster.

    :math:`\eta_{ik} = \sum_p x_{ip} \theta_{c(i)kp}`, and 0 for the reference category.

    Parameters
    ----------
    effects : tensor_like of float, shape (C, K - 1, P)
        Effects by cluster and category, without the reference.
    cluster : tensor_like of int, shape (R,)
        Cluster of each row, 0 to C - 1.
    design : tensor_like of float, shape (R, P)
        What multiplies each effect: ones for an intercept, a predictor for a slope.
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
    >>> cluster_logits(effects, [0, 1], [[1.0, 0.0], [1.0, 10.0]], 1).eval()
    array([[ 1.,  0.],
           [43.,  0.]])
    """
    effects, design = _as_doubles(effects, design)
    return ClusterLogits()(effects, cluster, design, place)


# Likelihood --------------------------------------------------------------------------------------


@numba.njit(fastmath={"contract"}, error_model="numpy")
def _exp_of_distances(x, power):
    """
    Replace the numbers in `x`, none above 0, by their exponentials; `power` is room for as many.

    The library's exponential is a call for each number. These loops have no branch, so that a
    processor takes several numbers at a time: x = m log 2 + r with a whole m, where |r| < 0.35
    needs few terms of the series. Below the normal numbers (x < -708.7) the result is 0.
    """
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
        no_number = False  # a logit that is none, or all of them minus infinity
        for k in range(n_categories):
            y = value[i, k]
            distance = residual[i, k] - top
            residual[i, k] = distance
            total += y
            chosen += y * distance if y > 0 else 0.0
            impossible |= (y < 0) | ((y > 0) & (not available[i, k]))
            no_number |= distance != distance
        if n[i] < 0 or no_number:
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
        masked = pt.switch(available, logits, -np.inf)
        log_p = pt.special.log_softmax(masked, axis=-1)
        # A zero count contributes nothing, whatever its logit: 0 * -inf would be NaN.
        chosen = pt.sum(pt.switch(pt.gt(value, 0), value * log_p, 0.0), axis=-1)
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
        if not isinstance(by_row.type, DisconnectedType):
            gradient = by_row[:, None] * outputs[1]
        if not isinstance(by_cell.type, DisconnectedType):
            # Second derivatives are rare: they are those of the plain graph.
            (of_residual,) = _plain_gradients(
                lambda *own: [self.plain(*own)[1]], inputs, 1, [by_cell]
            )
            gradient = gradient + of_residual
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
        Whether no total is negative, and in every row something on the menu has a logit above
        minus infinity and no logit of the menu is not a number.

    Examples
    --------
    >>> from helpers.fused import masked_log_likelihood
    >>> value, residual, proper = masked_log_likelihood(
    ...     [[0.0, 5.0, 0.0]], [[3, 0, 1]], [4], [[True, False, True]]
    ... )
    >>> value.eval().round(4), residual.eval()
    (array([-2.7726]), array([[ 1.,  0., -1.]]))
    """
    return MaskedLogLikelihood()(*_as_doubles(logits), value, n, available)


# Shares ------------------------------------------------------------------------------------------


def _shares_kernel(logits, available):
    n_rows, n_categories = logits.shape
    if available.shape != logits.shape:
        raise ValueError("Logits and menus do not have the same shape.")
    share = np.empty(logits.shape)
    for i in range(n_rows):
        top = -np.inf
        for k in range(n_categories):
            share[i, k] = logits[i, k] if available[i, k] else -np.inf
            top = share[i, k] if share[i, k] > top else top
        weight = 0.0
        for k in range(n_categories):
            share[i, k] = np.exp(share[i, k] - top)
            weight += share[i, k]
        for k in range(n_categories):
            share[i, k] /= weight
    return share


class MaskedShares(Loop):
    """See :func:`masked_shares`."""

    kernel = staticmethod(_shares_kernel)

    @staticmethod
    def plain(logits, available):
        return pt.special.softmax(pt.switch(available, logits, -np.inf), axis=-1)

    @staticmethod
    def shapes(logits, available):
        return [logits]

    def connection_pattern(self, node):
        return [[True], [False]]

    def pullback(self, inputs, outputs, cotangents):
        weighted = outputs[0] * cotangents[0]
        gradient = weighted - outputs[0] * pt.sum(weighted, axis=-1, keepdims=True)
        return _no_gradient(inputs, [gradient])


def masked_shares(logits, available):
    r"""
    Probabilities of the categories on each row's menu, and 0 for the others.

    Unlike :func:`pytensor.tensor.special.softmax`, whose maxima and sums over an axis take seconds
    to compile, it is one loop.

    Parameters
    ----------
    logits : tensor_like of float, shape (R, K)
        Logits; those of unavailable categories are not looked at.
    available : tensor_like of bool, shape (R, K)
        Menus.

    Returns
    -------
    TensorVariable
        Shape (R, K); rows sum to 1. A row without a menu is not a number.

    Examples
    --------
    >>> from helpers.fused import masked_shares
    >>> masked_shares([[0.0, 5.0, 0.0]], [[True, False, True]]).eval()
    array([[0.5, 0. , 0.5]])
    """
    return MaskedShares()(*_as_doubles(logits), available)


# Pairs of effects: an intercept and a slope ------------------------------------------------------


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
    >>> from helpers.fused import pair_log_density
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
    >>> from helpers.fused import conditioned_pair
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
