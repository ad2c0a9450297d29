"""Normal distributions of effects."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.distribution import Continuous, SymbolicRandomVariable
from pymc.distributions.shape_utils import implicit_size_from_params, rv_size_is_none
from pymc.pytensorf import normalize_rng_param
from pytensor.tensor.random.utils import normalize_size_param

from helpers.effects._triangular import (
    _columns,
    _correlation_factor,
    _is_pair,
    _scaled,
    _solve_lower,
)
from helpers.ops.effects import pair_log_density

__all__ = ["ClusterNormal", "CorrelatedNormal", "JointNormal"]


class ClusterNormalRV(SymbolicRandomVariable):
    name = "cluster_normal"
    extended_signature = "[rng],[size],(),(),()->[rng],()"
    _print_name = ("ClusterNormal", "\\operatorname{ClusterNormal}")

    @classmethod
    def rv_op(cls, start, mu, sigma, *, size=None, rng=None):
        start, mu, sigma = map(pt.as_tensor, (start, mu, sigma))
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        if rv_size_is_none(size):
            size = implicit_size_from_params(start, mu, sigma, ndims_params=cls.ndims_params)
        next_rng, draws = pt.random.normal(mu, sigma, size=size, rng=rng, return_next_rng=True)
        inputs = [rng, size, start, mu, sigma]
        return cls(inputs=inputs, outputs=[next_rng, draws])(*inputs)


class ClusterNormal(Continuous):
    """
    Normal that says where sampling starts.

    Unlike :class:`pymc.Normal` with ``initval``, it leaves a model that :func:`pymc.do` and
    :func:`pymc.observe` can take apart.

    Parameters
    ----------
    mu, sigma : tensor_like of float
        Mean and standard deviation (sigma > 0).
    start : tensor_like of float
        Where sampling starts, with the shape of a draw. It has no part in the density.

    Returns
    -------
    TensorVariable

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers.effects import ClusterNormal
    >>> with pm.Model() as model:
    ...     shift = ClusterNormal("shift", 0.0, 1.0, start=[1.5, -0.5])
    >>> model.initial_point()["shift"]
    array([ 1.5, -0.5])
    """

    rv_type = ClusterNormalRV
    rv_op = ClusterNormalRV.rv_op

    @classmethod
    def dist(cls, mu, sigma, start, **kwargs):
        return super().dist([start, mu, sigma], **kwargs)

    def support_point(rv, size, start, mu, sigma):
        return pt.broadcast_to(start, rv.shape)

    def logp(value, start, mu, sigma):
        """
        Log-density.

        Parameters
        ----------
        value : tensor_like of float

        Returns
        -------
        TensorVariable
        """
        return pm.logp(pm.Normal.dist(mu, sigma), value)


class CorrelatedNormalRV(SymbolicRandomVariable):
    name = "correlated_normal"
    extended_signature = "[rng],[size],(p),(p),(p),(q)->[rng],(p)"
    _print_name = ("CorrelatedNormal", "\\operatorname{CorrelatedNormal}")

    @classmethod
    def rv_op(cls, start, mu, sd, below, *, size=None, rng=None):
        start, mu, sd, below = map(pt.as_tensor, (start, mu, sd, below))
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        if rv_size_is_none(size):
            size = implicit_size_from_params(start, mu, sd, below, ndims_params=cls.ndims_params)
        shape = pt.concatenate([size, [mu.shape[-1]]])
        next_rng, z = pt.random.normal(size=shape, rng=rng, return_next_rng=True)
        z = pt.specify_shape(z, (None,) * (z.ndim - 1) + (mu.type.shape[-1],))
        chol = _scaled(_correlation_factor(_columns(below)), _columns(sd))
        steps = [sum(x * z[..., j] for j, x in enumerate(row)) for row in chol]
        draws = mu + pt.stack(steps, axis=-1)
        inputs = [rng, size, start, mu, sd, below]
        return cls(inputs=inputs, outputs=[next_rng, draws])(*inputs)


class CorrelatedNormal(Continuous):
    r"""
    Multivariate normal of a few effects, given by standard deviations and correlations.

    The same distribution as :class:`pymc.MvNormal`. Unlike it, it is written out entry by entry
    for a handful of effects, so that thousands of clusters are one elementwise pass, and so that
    it compiles in little time.

    .. math::

       x \sim N(\mu, D L L' D), \qquad D = \operatorname{diag}(\sigma)

    Parameters
    ----------
    mu : tensor_like of float
        Means. Shape ``(..., P)``.
    sd : tensor_like of float
        Standard deviations (sd > 0). Shape ``(..., P)``.
    below : tensor_like of float
        Entries of L, the Cholesky factor of the correlation matrix, below its diagonal, row by
        row. Shape ``(..., P (P - 1) / 2)``. For two effects it is their correlation.
    start : tensor_like of float, optional
        Where sampling starts, with the shape of a draw; by default at the mean. It has no part in
        the density.

    Returns
    -------
    TensorVariable
        The random variable, with the P effects on its last axis.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc as pm
    >>> from helpers.effects import CorrelatedNormal
    >>> effect = CorrelatedNormal.dist([0.0, 1.0], [1.0, 2.0], [0.5])
    >>> same = pm.MvNormal.dist([0.0, 1.0], np.array([[1.0, 1.0], [1.0, 4.0]]))
    >>> for distribution in (effect, same):
    ...     print(pm.logp(distribution, np.array([0.3, 0.1])).eval().round(6))
    -2.672183
    -2.672183
    """

    rv_type = CorrelatedNormalRV
    rv_op = CorrelatedNormalRV.rv_op

    @classmethod
    def dist(cls, mu, sd, below, start=None, **kwargs):
        mu, sd = pt.as_tensor(mu), pt.as_tensor(sd)
        below = pt.as_tensor(below, dtype="float64")
        return super().dist([mu if start is None else start, mu, sd, below], **kwargs)

    def support_point(rv, size, start, mu, sd, below):
        return pt.broadcast_to(start, rv.shape)

    def logp(value, start, mu, sd, below):
        """
        Log-density of effects.

        Parameters
        ----------
        value : tensor_like of float
            Effects, on the last axis.

        Returns
        -------
        TensorVariable
        """
        if _is_pair(below) and value.ndim == 3 and mu.ndim == sd.ndim == below.ndim == 2:
            if mu.type.broadcastable == sd.type.broadcastable == value.type.broadcastable[1:]:
                return pair_log_density(value, mu, sd, below[:, 0])
        sds = _columns(sd)
        factor = _correlation_factor(_columns(below))
        distance = [(x - m) / s for x, m, s in zip(_columns(value), _columns(mu), sds, strict=True)]
        z = _solve_lower(factor, distance)
        log_scale = sum(pt.log(s * row[-1]) for s, row in zip(sds, factor, strict=True))
        return -0.5 * (sum(x**2 for x in z) + len(z) * np.log(2 * np.pi)) - log_scale


class JointNormalRV(SymbolicRandomVariable):
    name = "joint_normal"
    extended_signature = "[rng],[size],(k,p),(k,p),(m,m)->[rng],(k,p)"
    _print_name = ("JointNormal", "\\operatorname{JointNormal}")

    @classmethod
    def rv_op(cls, start, mu, chol, *, size=None, rng=None):
        start, mu, chol = map(pt.as_tensor, (start, mu, chol))
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        if rv_size_is_none(size):
            size = implicit_size_from_params(start, mu, chol, ndims_params=cls.ndims_params)
        in_one_row = pt.concatenate([size, [chol.shape[-1]]])
        next_rng, z = pt.random.normal(size=in_one_row, rng=rng, return_next_rng=True)
        step = pt.sum(chol * z[..., None, :], axis=-1)
        shape = pt.concatenate([size, mu.shape[-2:]])
        draws = mu + pt.reshape(step, shape, ndim=step.ndim + 1)
        inputs = [rng, size, start, mu, chol]
        return cls(inputs=inputs, outputs=[next_rng, draws])(*inputs)


class JointNormal(Continuous):
    r"""
    Normal over all effects of all categories at once, with one covariance.

    The same distribution as :class:`pymc.MvNormal` of the effects in one row, category by
    category. Unlike it, categories and effects keep an axis each.

    Parameters
    ----------
    mu : tensor_like of float
        Means. Shape ``(K, P)``.
    chol : tensor_like of float
        Lower Cholesky factor of the covariance of the K P effects, those of a category side by
        side. Shape ``(K P, K P)``.
    start : tensor_like of float, optional
        Where sampling starts, with the shape of a draw; by default at the mean. It has no part in
        the density.

    Returns
    -------
    TensorVariable
        The random variable, with K categories and P effects on its last two axes.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc as pm
    >>> from helpers.effects import JointNormal
    >>> effects = JointNormal.dist(np.zeros((3, 2)), np.eye(6), shape=(20, 3, 2))
    >>> pm.draw(effects).shape
    (20, 3, 2)
    """

    rv_type = JointNormalRV
    rv_op = JointNormalRV.rv_op

    @classmethod
    def dist(cls, mu, chol, start=None, **kwargs):
        mu, chol = pt.as_tensor(mu), pt.as_tensor(chol)
        return super().dist([mu if start is None else start, mu, chol], **kwargs)

    def support_point(rv, size, start, mu, chol):
        return pt.broadcast_to(start, rv.shape)

    def logp(value, start, mu, chol):
        """
        Log-density of effects.

        Parameters
        ----------
        value : tensor_like of float
            Effects, on the last two axes.

        Returns
        -------
        TensorVariable
        """
        # Not by `pm.MvNormal`, which would multiply the factor out and take it apart again.
        distance = (value - mu).flatten(value.ndim - 1)
        columns = distance.reshape((-1, chol.shape[-1])).T
        z = pt.linalg.solve_triangular(chol, columns, lower=True)
        log_scale = pt.log(pt.diagonal(chol)).sum()
        by_column = -0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=0) - log_scale
        return by_column.reshape(distance.shape[:-1])
