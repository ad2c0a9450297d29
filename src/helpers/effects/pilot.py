"""What the counts say about each cluster's effects, before any sampling: a quadratic expansion."""

import copy
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

__all__ = ["Expansion", "expand_likelihood"]


# A pilot only has to be near: it stops when no logit moves by more than this.
TOLERANCE = 1e-6


# Doubles in one block of second derivatives; rows are taken in pieces of this size.
BLOCK = 4_000_000


@dataclass(frozen=True)
class Expansion:
    r"""
    What :func:`expand_likelihood` finds.

    Attributes
    ----------
    by_cluster : tuple of numpy.ndarray
        Of the effects of each cluster: `information`, shape (C, K - 1, P, P), which is H, minus
        the second derivative of the log-likelihood at the estimate,
        :math:`\sum_i n_i p_{ik} (1 - p_{ik}) x_i x_i'`; `score`, shape (C, K - 1, P), which is b,
        H times the estimate plus the first derivative there; `coupling`, shape
        (C, (K - 1) P, (K - 1) P), which is B. With
        :math:`t_{ck} = C_{ck}' (\theta_{ck} - \hat\theta_{ck})`, where :math:`C C'` is H plus
        the penalties, the effects of all categories of a cluster are about :math:`N(0, B B')` in
        terms of t: what H, taken category by category, leaves out.
    by_date : tuple of numpy.ndarray or None
        Of the shifts at each date: h and b, each of shape (D, K - 1). The log-likelihood is about
        :math:`b w - \tfrac12 h w^2`; the estimates have mean zero over dates.
    dispersion : float
        Squared residuals relative to what a multinomial expects, about 1 if rows are such. Like
        Pearson's statistic by its degrees of freedom, but where less than one choice is expected
        a single one weighs no more, so that a few rare categories do not make it.
    freedom : float
        Degrees of freedom that the dispersion rests on: its standard error is about the root of 2
        by these.
    """

    by_cluster: tuple
    by_date: tuple | None
    dispersion: float
    freedom: float


def expand_likelihood(
    counts,
    available,
    cluster,
    n_clusters,
    reference,
    varying,
    common=None,
    *,
    date=None,
    n_dates=0,
    overdispersed=False,
    rounds=None,
    steps=50,
):
    r"""
    Expand the masked multinomial log-likelihood in the effects of each cluster and category.

    Near its estimate :math:`\hat\theta_{ck}` the log-likelihood of cluster c is taken as
    :math:`b_{ck}'\theta_{ck} - \tfrac12 \theta_{ck}' H_{ck} \theta_{ck}`, category by category.
    The estimate is a penalised maximum: all rows together first, then each cluster with normal
    penalties around the common values, whose standard deviations are estimated along the way
    (empirical Bayes). So everything stays finite where a category was never chosen, or never on
    the menu, in a cluster, and where a predictor does not vary in it. With dates the logits may
    also shift at each date, by the same in all clusters; clusters and dates are fitted in turn.

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
    varying : numpy.ndarray, shape (R, P)
        What the effects that vary by cluster are multiplied with: ones for an intercept, the
        standardised predictors for slopes.
    common : numpy.ndarray, shape (R, Q), optional
        Standardised predictors whose slopes are the same in all clusters.
    date : numpy.ndarray of int, shape (R,), optional
        Date of each row, if logits shift from date to date.
    n_dates : int
        Number of dates D; some may have no rows.
    overdispersed : bool
        Whether rows scatter more than a multinomial allows. Then a concentration is estimated from
        the residuals along the way, and each row counts for as many choices as a row of a
        Dirichlet-multinomial is worth, :math:`n (1 + \varphi) / (n + \varphi)`.
    rounds : int, optional
        Times the penalties are estimated anew, and clusters and dates fitted in turn
        (rounds >= 1); 4, or 6 with dates, if not given.
    steps : int
        Largest number of Newton steps of each fit.

    Returns
    -------
    Expansion
        The expansion by cluster and by date, and how much rows scatter about the fit.

    References
    ----------
    Rue, H., Martino, S., & Chopin, N. (2009). Approximate Bayesian inference for latent Gaussian
    models by using integrated nested Laplace approximations. Journal of the Royal Statistical
    Society B, 71(2), 319-392.

    Examples
    --------
    One row of 30 and 10, both on the menu: H = n p (1 - p) = 7.5 at p = 1/4.

    >>> import numpy as np
    >>> from helpers.effects import expand_likelihood
    >>> expansion = expand_likelihood(
    ...     np.array([[30, 10]]), np.ones((1, 2)), np.array([0]), 1, 0, np.ones((1, 1))
    ... )
    >>> information, score, coupling = expansion.by_cluster
    >>> information.round(1)
    array([[[[7.5]]]])

    Four rows that have little in common:

    >>> counts = np.array([[90, 10], [20, 80], [60, 40], [30, 70]])
    >>> expansion = expand_likelihood(counts, counts > 0, np.zeros(4, int), 1, 0, np.ones((4, 1)))
    >>> round(expansion.dispersion), expansion.freedom
    (40, 3.0)
    """
    if rounds is None:
        rounds = 4 if date is None else 6
    order = np.argsort(cluster, kind="stable")
    rows = _Rows(counts[order], np.asarray(available, bool)[order], reference)
    varying = np.asarray(varying, float)[order]
    cluster = np.asarray(cluster)[order]
    n_free, n_varying = counts.shape[1] - 1, varying.shape[1]

    design = varying if common is None else np.hstack([varying, np.asarray(common)[order]])
    zero = np.zeros((1, design.shape[1], n_free))
    everywhere = np.zeros(len(cluster), dtype=int)
    pooled, _ = _newton(rows, design, everywhere, 1, zero, zero, np.full_like(zero, 1e-2), steps)
    offset = design[:, n_varying:] @ pooled[0, n_varying:]

    centre = pooled[:, :n_varying]
    variance = np.ones_like(centre)
    theta = np.repeat(centre, n_clusters, axis=0)
    shift = None if date is None else _Shift(np.asarray(date)[order], n_dates, n_free)
    for _ in range(rounds):
        fixed = offset if shift is None else offset + shift.by_row()
        theta, hessian = _newton(
            rows, varying, cluster, n_clusters, theta, centre, 1 / variance, steps, fixed
        )
        spread = np.diagonal(np.linalg.inv(hessian), axis1=1, axis2=2).reshape(theta.shape)
        penalty = 1 / variance
        # What shrinkage leaves of the number of parameters, and those of the population.
        free = theta.size - (penalty * spread).sum()
        n_parameters = min(free + centre.size, theta.size)
        centre = theta.mean(axis=0, keepdims=True)
        variance = ((theta - centre) ** 2 + spread).mean(axis=0, keepdims=True)
        variance = np.clip(variance, 1e-4, 4.0)
        by_cluster = np.einsum("rd,rdk->rk", varying, theta[cluster]) + offset
        logits = by_cluster
        if shift is not None:
            shift.fit(rows, by_cluster, steps)
            logits = by_cluster + shift.by_row()
            n_parameters += shift.n_parameters
        if overdispersed:
            rows.temper(logits, n_parameters)

    share = rows.shares(logits)
    weight = rows.n * share * (1 - share)
    information = _sum_by(
        cluster, np.einsum("rk,rp,rq->rkpq", weight, varying, varying), n_clusters
    )
    residual = rows.counts - rows.n * share
    gradient = _sum_by(cluster, np.einsum("rk,rp->rkp", residual, varying), n_clusters)
    theta = theta.transpose(0, 2, 1)
    score = np.einsum("ckpq,ckq->ckp", information, theta) + gradient
    squares, expected, freedom = rows.residuals(logits, n_parameters)
    return Expansion(
        by_cluster=(information, score, _coupling(information, hessian, penalty)),
        by_date=None if shift is None else shift.expand(weight, residual),
        # Without a choice between two nothing is known of scatter.
        dispersion=float(squares.sum() / expected.sum()) if expected.any() else 1.0,
        freedom=float(freedom),
    )


class _Shift:
    """A shift of the logits at each date, the same in all clusters."""

    def __init__(self, date, n_dates, n_free):
        self.order = np.argsort(date, kind="stable")
        self.date, self.n_dates = date, n_dates
        self.estimate = np.zeros((n_dates, 1, n_free))
        self.variance = np.ones((1, 1, n_free))

    def by_row(self):
        return self.estimate[self.date, 0]

    def fit(self, rows, offset, steps):
        estimate, hessian = _newton(
            rows.take(self.order),
            np.ones((len(self.date), 1)),
            self.date[self.order],
            self.n_dates,
            self.estimate,
            np.zeros_like(self.estimate),
            1 / self.variance,
            steps,
            offset[self.order],
        )
        spread = np.diagonal(np.linalg.inv(hessian), axis1=1, axis2=2).reshape(estimate.shape)
        self.n_parameters = estimate.size - (spread / self.variance).sum()
        # The level is the clusters'.
        self.estimate = estimate - estimate.mean(axis=0)
        variance = (self.estimate**2 + spread).mean(axis=0, keepdims=True)
        self.variance = np.clip(variance, 1e-4, 4.0)

    def expand(self, weight, residual):
        date = self.date[self.order]
        information, gradient = (
            _sum_by(date, x[self.order], self.n_dates) for x in (weight, residual)
        )
        return information, information * self.estimate[:, 0] + gradient


def _coupling(information, hessian, penalty):
    """Inverse square root of the penalised second derivatives in terms of each category's t."""
    n_clusters, n_free, n_effects = information.shape[:3]
    size = n_free * n_effects
    # Categories outside, effects inside, as everywhere but in Newton's steps.
    hessian = hessian.reshape(n_clusters, n_effects, n_free, n_effects, n_free)
    hessian = hessian.transpose(0, 2, 1, 4, 3).reshape(n_clusters, size, size)
    blocks = information + penalty[0].T[:, :, None] * np.eye(n_effects)
    inverse = np.linalg.inv(np.linalg.cholesky(blocks))
    spread_out = np.zeros((n_clusters, n_free, n_effects, n_free, n_effects))
    diagonal = np.arange(n_free)
    spread_out[:, diagonal, :, diagonal] = inverse.transpose(1, 0, 2, 3)
    scale = spread_out.reshape(n_clusters, size, size)
    values, vectors = np.linalg.eigh(scale @ hessian @ scale.transpose(0, 2, 1))
    # Its diagonal blocks are the identity, so its eigenvalues are at most their number; what
    # rounding makes of counts of a thousand million is not believed.
    root = 1 / np.sqrt(np.clip(values, 1e-6, n_free))
    return (vectors * root[:, None]) @ vectors.transpose(0, 2, 1)


class _Rows:
    """Counts sorted by cluster, without the reference category but for its share."""

    def __init__(self, counts, available, reference):
        self.free = np.arange(counts.shape[1]) != reference
        self.available = available
        self.raw = counts.astype(float)
        self.n = self.raw.sum(axis=1, keepdims=True)
        self.counts = self.raw[:, self.free]

    def take(self, order):
        """The same rows in another order, as tempered as they are."""
        other = copy.copy(self)
        for name in ("available", "raw", "n", "counts"):
            setattr(other, name, getattr(self, name)[order])
        return other

    def residuals(self, logits, n_parameters):
        """Squared residuals of each row, what a multinomial expects of them, and the freedom."""
        n = self.raw.sum(axis=1, keepdims=True)
        full = np.insert(logits, np.flatnonzero(~self.free), 0.0, axis=1)
        share = softmax(np.where(self.available, full, -np.inf), axis=1)
        # As Pearson's, but where less than one choice is expected a single one weighs no more.
        scale = np.maximum(n * share, 1.0)
        squares = ((self.raw - n * share) ** 2 / scale).sum(axis=1)
        expected = (n * share * (1 - share) / scale).sum(axis=1)
        freedom = (self.available.sum(axis=1) - 1)[n[:, 0] > 0].sum()
        left = max(freedom - n_parameters, freedom / 4)
        return squares, expected * left / max(freedom, 1), left

    def temper(self, logits, n_parameters):
        """Let each row count for what it is worth if rows scatter as the residuals do."""
        squares, expected, _ = self.residuals(logits, n_parameters)
        n = self.raw.sum(axis=1)

        def worth(log_phi):
            phi = np.exp(log_phi)
            return (1 + phi) / (np.maximum(n, 1) + phi)

        def excess(log_phi):
            return (squares * worth(log_phi) - expected).sum()

        low, high = np.log(1e-2), np.log(1e9)
        if excess(high) <= 0:
            log_phi = high
        else:
            log_phi = low if excess(low) >= 0 else brentq(excess, low, high)
        weight = worth(log_phi)[:, None]
        self.n, self.counts = weight * n[:, None], weight * self.raw[:, self.free]

    def shares(self, logits):
        full = np.zeros(self.available.shape)
        full[:, self.free] = logits
        return softmax(np.where(self.available, full, -np.inf), axis=1)[:, self.free]


def _sum_by(group, values, n_groups):
    """Sum rows by group; the groups are sorted."""
    out = np.zeros((n_groups, *values.shape[1:]))
    present, starts = np.unique(group, return_index=True)
    out[present] = np.add.reduceat(values, starts, axis=0)
    return out


def _newton(rows, design, group, n_groups, start, centre, precision, steps, offset=0.0):
    """
    Penalised Newton for multinomial logits, one fit per group.

    Returns the estimates, shape (G, D, K - 1), and minus the penalised second derivatives, shape
    (G, D (K - 1), D (K - 1)).
    """
    theta = start.copy()
    _, n_effects, n_free = theta.shape
    size = n_effects * n_free
    precision = np.broadcast_to(precision, theta.shape)
    penalty = precision.reshape(n_groups, size)[:, :, None] * np.eye(size)
    piece = max(1, BLOCK // size**2)
    for _ in range(steps):
        share = rows.shares(np.einsum("rd,rdk->rk", design, theta[group]) + offset)
        residual = rows.counts - rows.n * share
        gradient = _sum_by(group, np.einsum("rd,rk->rdk", design, residual), n_groups)
        gradient -= precision * (theta - centre)
        hessian = penalty.copy()
        for first in range(0, len(design), piece):
            s = slice(first, first + piece)
            p, x = share[s], design[s]
            curvature = p[:, :, None] * np.eye(n_free) - p[:, :, None] * p[:, None]
            outer = np.einsum("rd,re,rkl->rdkel", rows.n[s] * x, x, curvature, optimize=True)
            hessian += _sum_by(group[s], outer.reshape(-1, size, size), n_groups)
        # Huge counts can make the penalty vanish in rounding beside a curvature of low rank.
        hessian += 1e-12 * np.eye(size) * hessian.max(axis=(1, 2), keepdims=True)
        step = np.linalg.solve(hessian, gradient.reshape(n_groups, size, 1)).reshape(theta.shape)
        # A bounded step: far from the optimum the quadratic overshoots.
        theta += np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < TOLERANCE:
            break
    return theta, hessian
