"""Cluster effects: how they are parametrised for sampling, and the pilot fit that informs it."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform
from scipy.special import softmax

__all__ = ["ConditionedNormal", "cluster_intercepts", "pilot_intercepts"]

CENTRINGS = ("auto", "conditioned", "centred", "noncentred")


class ConditionedNormal(Transform):
    r"""
    Sample a normal effect relative to what its own data say about it.

    Unlike the centred form (sample the effect) and the non-centred form (sample its distance from
    the mean in standard deviations), it weighs prior and data as they stand: with a quadratic
    expansion of the log-likelihood, :math:`b\theta - h\theta^2/2`, and the prior
    :math:`N(\mu, \sigma^2)`, the effect is about :math:`N(m, 1/q)` with

    .. math::

       q = h + \sigma^{-2}, \qquad m = (b + \mu\sigma^{-2}) / q,

    and what is sampled is :math:`t = (\theta - m)\sqrt{q}`. It is a change of variables and
    nothing else: *any* constants h >= 0 and b give the same posterior, good ones make t nearly
    standard normal whatever the data weigh. h = 0 is the non-centred form.

    Parameters
    ----------
    information : numpy.ndarray
        h, the pilot estimate of minus the second derivative of the log-likelihood, with the
        effect's shape.
    score : numpy.ndarray
        b, that is h times the pilot estimate plus the first derivative there.
    """

    name = "conditioned"
    ndim_supp = 0

    def __init__(self, information, score):
        self.information = np.asarray(information, dtype=float)
        self.score = np.asarray(score, dtype=float)
        if not (np.isfinite(self.information).all() and np.isfinite(self.score).all()):
            raise ValueError("The pilot's information and score must be finite everywhere.")
        if (self.information < 0).any():
            raise ValueError("The pilot's information must not be negative.")

    def _location_precision(self, inputs):
        mu, sigma = inputs[-2:]
        precision = sigma**-2
        q = self.information + precision
        return (self.score + precision * mu) / q, q

    def backward(self, value, *inputs):
        m, q = self._location_precision(inputs)
        return m + value / pt.sqrt(q)

    def forward(self, value, *inputs):
        m, q = self._location_precision(inputs)
        return (value - m) * pt.sqrt(q)

    def log_jac_det(self, value, *inputs):
        _, q = self._location_precision(inputs)
        return pt.broadcast_to(-0.5 * pt.log(q), value.shape)


def cluster_intercepts(name, mean, sd, *, dims, centring="auto", pilot=None):
    """
    Normal intercepts that vary by cluster, in the parametrisation asked for.

    Unlike writing :class:`pymc.Normal` out, the choice of parametrisation is an argument and
    leaves names, dims and prior draws as they are.

    Parameters
    ----------
    name : str
        Name of the effect.
    mean, sd : tensor_like, broadcastable to ``dims``
        Population mean and standard deviation.
    dims : tuple of str
        Dims of the effect, such as ``("cluster", "contrast")``.
    centring : {"auto", "conditioned", "centred", "noncentred"}
        ``"auto"`` is ``"conditioned"`` where a pilot is given, else ``"noncentred"``.
    pilot : tuple of numpy.ndarray, optional
        Information and score, as from :func:`pilot_intercepts`; needed for ``"conditioned"``.

    Returns
    -------
    TensorVariable
        The effect, with the given dims.

    Raises
    ------
    ValueError
        For an unknown `centring`, or ``"conditioned"`` without a pilot.

    References
    ----------
    Papaspiliopoulos, O., Roberts, G. O., & Sköld, M. (2007). A general framework for the
    parametrization of hierarchical models. Statistical Science, 22(1), 59-73.

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers.effects import cluster_intercepts
    >>> with pm.Model(coords={"cluster": range(5)}) as model:
    ...     sd = pm.Exponential("sd", 1)
    ...     shift = cluster_intercepts("shift", 0.0, sd, dims=("cluster",), centring="centred")
    >>> [rv.name for rv in model.free_RVs]
    ['sd', 'shift']
    """
    if centring not in CENTRINGS:
        raise ValueError(f"`centring` must be one of {', '.join(CENTRINGS)}, not {centring!r}.")
    if centring == "auto":
        centring = "noncentred" if pilot is None else "conditioned"
    if centring == "noncentred":
        z = pm.Normal(f"{name}_z", dims=dims)
        return pm.Deterministic(name, mean + sd * z, dims=dims)
    if centring == "centred":
        return pm.Normal(name, mean, sd, dims=dims)
    if pilot is None:
        raise ValueError(
            'centring="conditioned" needs a pilot (information, score) from the data: give one, '
            'or choose "centred" or "noncentred".'
        )
    return pm.Normal(name, mean, sd, dims=dims, transform=ConditionedNormal(*pilot))


def _masked_shares(logits, available):
    return softmax(np.where(available, logits, -np.inf), axis=1)


def _sum_by(codes, values, n_groups):
    out = np.zeros((n_groups, *values.shape[1:]))
    np.add.at(out, codes, values)
    return out


def pilot_intercepts(
    counts, available, cluster, n_clusters, reference, predictors=None, *, prior_sd=1.0, steps=100
):
    """
    Expand the masked multinomial log-likelihood in each cluster's intercepts.

    A few penalised Newton steps, first for all rows together, then for each cluster, with common
    slopes held at their pooled estimate. The penalty keeps everything finite where a category
    was never chosen, or never on the menu, in a cluster.

    Parameters
    ----------
    counts, available : numpy.ndarray, shape (R, K)
        Counts and menus.
    cluster : numpy.ndarray of int, shape (R,)
        Cluster of each row.
    n_clusters : int
        Number of clusters C.
    reference : int
        Position of the category whose logit is 0.
    predictors : numpy.ndarray, shape (R, P), optional
        Standardised predictors with common slopes.
    prior_sd : float
        Standard deviation of the penalty, on the logit scale.
    steps : int
        Largest number of Newton steps at either level; they end once they no longer move.

    Returns
    -------
    information, score : numpy.ndarray, shape (C, K - 1)
        h and b of :class:`ConditionedNormal`: the diagonal of minus the second derivative, and h
        times the estimate plus the first derivative, both at the estimate and of the likelihood
        alone.

    Examples
    --------
    One row of 30 and 10, both on the menu: h = n p (1 - p) = 7.5 at p = 1/4.

    >>> import numpy as np
    >>> from helpers.effects import pilot_intercepts
    >>> h, b = pilot_intercepts(np.array([[30, 10]]), np.ones((1, 2)), np.array([0]), 1, 0)
    >>> h.round(2)
    array([[7.5]])
    """
    n_rows, n_categories = counts.shape
    free = np.arange(n_categories) != reference
    available = np.asarray(available, dtype=bool)
    n = counts.sum(axis=1, keepdims=True)
    design = np.ones((n_rows, 1))
    if predictors is not None:
        design = np.hstack([design, predictors])
    pooled = np.zeros((design.shape[1], n_categories - 1))
    everywhere = np.zeros(n_rows, dtype=int)
    pooled = _newton(
        counts, available, n, free, design, everywhere, pooled[None], 0.0, 10.0 * prior_sd, steps
    )[0]
    offset = design[:, 1:] @ pooled[1:]
    start = np.repeat(pooled[None, :1], n_clusters, axis=0)
    estimate = _newton(
        counts, available, n, free, design[:, :1], cluster, start, start, prior_sd, steps, offset
    )[:, 0]
    logits = np.zeros((n_rows, n_categories))
    logits[:, free] = estimate[cluster] + offset
    share = _masked_shares(logits, available)
    information = _sum_by(cluster, (n * share * (1 - share))[:, free], n_clusters)
    gradient = _sum_by(cluster, (counts - n * share)[:, free], n_clusters)
    return information, information * estimate + gradient


def _newton(counts, available, n, free, design, group, start, centre, prior_sd, steps, offset=0.0):
    """Penalised Newton for multinomial logits, one fit per group; shape (G, D, K - 1)."""
    theta = start.copy()
    n_groups, n_effects, n_free = theta.shape
    size = n_effects * n_free
    precision = prior_sd**-2
    logits = np.zeros(counts.shape)
    for _ in range(steps):
        logits[:, free] = np.einsum("rd,rdk->rk", design, theta[group]) + offset
        share = _masked_shares(logits, available)
        residual = (counts - n * share)[:, free]
        gradient = _sum_by(group, design[:, :, None] * residual[:, None], n_groups)
        gradient = gradient - precision * (theta - centre)
        p = share[:, free]
        curvature = n[..., None] * (p[:, :, None] * np.eye(n_free) - p[:, :, None] * p[:, None])
        hessian = np.einsum("rd,re,rkl->rdkel", design, design, curvature)
        hessian = _sum_by(group, hessian, n_groups).reshape(n_groups, size, size)
        hessian += precision * np.eye(size)
        step = np.linalg.solve(hessian, gradient.reshape(n_groups, size, 1))
        # A bounded step: far from the optimum the quadratic overshoots.
        theta += np.clip(step.reshape(theta.shape), -2.0, 2.0)
        if np.abs(step).max() < 1e-8:
            break
    return theta
