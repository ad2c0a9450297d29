"""Normal distributions of effects, which know where sampling starts."""

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.distribution import Continuous, _support_point
from pytensor.tensor import TensorLike, TensorVariable

from helpers.ops.random import DrawnRV
from helpers.ops.triangular import columns, covariance_factor, multiply_lower, solve_lower

__all__ = ["ClusterNormal", "CorrelatedNormal", "JointNormal"]


class EffectsRV(DrawnRV):
    """
    Random effects whose first parameter is where sampling starts: no part of the density.

    Unlike `initval`, a parameter leaves a model that :func:`pymc.do` and :func:`pymc.observe` can
    take apart.
    """


@_support_point.register(EffectsRV)
def _start(op, rv, rng, size, start, *parameters):
    return pt.broadcast_to(start, rv.shape)


class ClusterNormalRV(EffectsRV):
    name = "cluster_normal"
    extended_signature = "[rng],[size],(),(),()->[rng],()"
    _print_name = ("ClusterNormal", "\\operatorname{ClusterNormal}")

    @staticmethod
    def draw(rng, size, start, mu, sigma):
        return pt.random.normal(mu, sigma, size=size, rng=rng, return_next_rng=True)


class ClusterNormal(Continuous):
    """
    Normal that knows where sampling starts.

    The same distribution as :class:`pymc.Normal`, with a start that is part of the variable.

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
    def dist(
        cls, mu: TensorLike, sigma: TensorLike, start: TensorLike, **kwargs: Any
    ) -> TensorVariable:
        return super().dist([start, mu, sigma], **kwargs)

    def logp(value, start, mu, sigma):
        """Log-density of a value."""
        return pm.logp(pm.Normal.dist(mu, sigma), value)


class CorrelatedNormalRV(EffectsRV):
    name = "correlated_normal"
    extended_signature = "[rng],[size],(p),(p),(p),(q)->[rng],(p)"
    _print_name = ("CorrelatedNormal", "\\operatorname{CorrelatedNormal}")

    @staticmethod
    def draw(rng, size, start, mu, sd, entries):
        shape = pt.concatenate([size, [mu.shape[-1]]])
        next_rng, z = pt.random.normal(size=shape, rng=rng, return_next_rng=True)
        z = pt.specify_shape(z, (None,) * (z.ndim - 1) + (mu.type.shape[-1],))
        steps = multiply_lower(covariance_factor(sd, entries), columns(z))
        return [next_rng, mu + pt.stack(steps, axis=-1)]


class CorrelatedNormal(Continuous):
    r"""
    Multivariate normal of a few effects, given by standard deviations and correlations.

    The same distribution as :class:`pymc.MvNormal`. Unlike it, its log-density is written out entry
    by entry: a few elementwise operations, which compile in little time, in place of a call to
    LAPACK for each cluster and category.

    .. math::

       x \sim N(\mu, D L L' D), \qquad D = \operatorname{diag}(\sigma)

    Parameters
    ----------
    mu : tensor_like of float
        Means. Shape ``(..., P)``.
    sd : tensor_like of float
        Standard deviations (sd > 0). Shape ``(..., P)``.
    entries : tensor_like of float
        L, the Cholesky factor of the correlation matrix, below its diagonal, row by row. Shape
        ``(..., P (P - 1) / 2)``. For two effects it is their correlation.
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
    def dist(
        cls,
        mu: TensorLike,
        sd: TensorLike,
        entries: TensorLike,
        start: TensorLike | None = None,
        **kwargs: Any,
    ) -> TensorVariable:
        mu, sd = pt.as_tensor(mu), pt.as_tensor(sd)
        entries = pt.as_tensor(entries, dtype="float64")
        return super().dist([mu if start is None else start, mu, sd, entries], **kwargs)

    def logp(value, start, mu, sd, entries):
        """Log-density of effects, on the last axis."""
        size = mu.type.shape[-1]
        factor = covariance_factor(sd, entries, size)
        pairs = zip(columns(value, size), columns(mu, size), strict=True)
        z = solve_lower(factor, [x - m for x, m in pairs])
        log_scale = sum(pt.log(row[-1]) for row in factor)
        return -0.5 * (sum(x**2 for x in z) + size * np.log(2 * np.pi)) - log_scale


class JointNormalRV(EffectsRV):
    name = "joint_normal"
    extended_signature = "[rng],[size],(k,p),(k,p),(m,m)->[rng],(k,p)"
    _print_name = ("JointNormal", "\\operatorname{JointNormal}")

    @staticmethod
    def draw(rng, size, start, mu, chol):
        in_one_row = pt.concatenate([size, [chol.shape[-1]]])
        next_rng, z = pt.random.normal(size=in_one_row, rng=rng, return_next_rng=True)
        step = pt.sum(chol * z[..., None, :], axis=-1)
        shape = pt.concatenate([size, mu.shape[-2:]])
        return [next_rng, mu + pt.reshape(step, shape, ndim=step.ndim + 1)]


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
    def dist(
        cls,
        mu: TensorLike,
        chol: TensorLike,
        start: TensorLike | None = None,
        **kwargs: Any,
    ) -> TensorVariable:
        mu, chol = pt.as_tensor(mu), pt.as_tensor(chol)
        return super().dist([mu if start is None else start, mu, chol], **kwargs)

    def logp(value, start, mu, chol):
        """Log-density of effects, on the last two axes."""
        # Not by `pm.MvNormal`, which would multiply the factor out and take it apart again.
        distance = (value - mu).flatten(value.ndim - 1)
        in_columns = distance.reshape((-1, chol.shape[-1])).T
        z = pt.linalg.solve_triangular(chol, in_columns, lower=True)
        log_scale = pt.log(pt.diagonal(chol)).sum()
        by_column = -0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=0) - log_scale
        return by_column.reshape(distance.shape[:-1])
