"""What the counts say about each cluster's effects, before any sampling: a quadratic expansion."""

from dataclasses import dataclass

import numpy as np

from helpers.effects._newton import Rows, newton, sum_by
from helpers.effects.conditioned import Quadratic

__all__ = ["Expansion", "expand_likelihood"]


@dataclass(frozen=True)
class Expansion:
    r"""
    What :func:`expand_likelihood` finds.

    Attributes
    ----------
    by_cluster : Quadratic
        Of the effects of each cluster: `information`, shape (C, K - 1, P, P), which is
        :math:`H = \sum_i n_i p_{ik} (1 - p_{ik}) x_i x_i'` at the estimate; `score`, shape
        (C, K - 1, P); `coupling`, shape (C, (K - 1) P, (K - 1) P), which is B. With
        :math:`t_{ck} = C_{ck}' (\theta_{ck} - \hat\theta_{ck})`, where :math:`C C'` is H plus
        the penalties, the effects of all categories of a cluster are about :math:`N(0, B B')` in
        terms of t: what H, taken category by category, leaves out.
    by_date : Quadratic or None
        Of the shifts at each date: h and b, each of shape (D, K - 1). The estimates have mean zero
        over dates.
    dispersion : float
        Squared residuals relative to their expectation under a multinomial, about 1 for
        multinomial rows: Pearson's statistic divided by its degrees of freedom, except that
        expected counts below 1 are taken as 1, so that a few rare categories do not dominate.
    freedom : float
        Its degrees of freedom: the standard error of `dispersion` is about the square root of
        2 / `freedom`.
    """

    by_cluster: Quadratic
    by_date: Quadratic | None
    dispersion: float
    freedom: float


def expand_likelihood(
    counts: np.ndarray,
    available: np.ndarray,
    cluster: np.ndarray,
    n_clusters: int,
    reference: int,
    varying: np.ndarray,
    common: np.ndarray | None = None,
    *,
    date: np.ndarray | None = None,
    n_dates: int = 0,
    offset: np.ndarray | None = None,
    overdispersed: bool = False,
    rounds: int | None = None,
    steps: int = 50,
) -> Expansion:
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
    offset : numpy.ndarray, shape (R, K), optional
        What is added to the logits, and not fitted.
    overdispersed : bool
        Whether rows scatter more than a multinomial allows. Then a concentration is estimated from
        the residuals along the way, and each row counts for as many choices as a row of a
        Dirichlet-multinomial is worth, :math:`n (1 + \varphi) / (n + \varphi)`.
    rounds : int, optional
        Number of times that the penalties are re-estimated, and clusters and dates fitted in turn
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
    given = None if offset is None else offset[order]
    rows = Rows(counts[order], np.asarray(available, bool)[order], reference, given)
    varying = np.asarray(varying, float)[order]
    cluster = np.asarray(cluster)[order]
    common = None if common is None else common[order]
    pooled, of_common = _fit_together(rows, varying, common, steps)
    shift = None
    if date is not None:
        shift = _Shift(np.asarray(date)[order], n_dates, counts.shape[1] - 1)
    fit = _ClusterFit(rows, varying, cluster, n_clusters, pooled, of_common)
    for _ in range(rounds):
        fit.update(shift, steps)
        if overdispersed:
            rows.downweight(fit.logits, fit.n_parameters)
    return fit.expansion(shift)


def _fit_together(rows, varying, common, steps):
    """One fit to all rows: the effects that vary, and what the common slopes add to each row."""
    n_varying = varying.shape[1]
    design = varying if common is None else np.hstack([varying, common])
    zero = np.zeros((1, design.shape[1], rows.counts.shape[1]))
    everywhere = np.zeros(len(design), dtype=int)
    pooled, _ = newton(rows, design, everywhere, 1, zero, zero, np.full_like(zero, 1e-2), steps)
    return pooled[:, :n_varying], design[:, n_varying:] @ pooled[0, n_varying:]


class _ClusterFit:
    """Effects of each cluster, with normal penalties whose variances are estimated as well."""

    def __init__(self, rows, varying, cluster, n_clusters, pooled, offset):
        self.rows, self.varying, self.offset = rows, varying, offset
        self.cluster, self.n_clusters = cluster, n_clusters
        self.centre, self.variance = pooled, np.ones_like(pooled)
        self.theta = np.repeat(pooled, n_clusters, axis=0)

    def update(self, shift, steps):
        """Fit clusters given the variances and the shifts of dates, then those given clusters."""
        self.penalty = 1 / self.variance
        offset = self.offset if shift is None else self.offset + shift.by_row()
        self.theta, self.hessian = newton(
            self.rows,
            self.varying,
            self.cluster,
            self.n_clusters,
            self.theta,
            self.centre,
            self.penalty,
            steps,
            offset,
        )
        inverse = np.linalg.inv(self.hessian)
        spread = np.diagonal(inverse, axis1=1, axis2=2).reshape(self.theta.shape)
        # What shrinkage leaves of the number of parameters. What it takes goes to the common
        # value, of which each cluster is one part in C.
        shrunk = (self.penalty * spread).sum()
        self.n_parameters = self.theta.size - shrunk * (1 - 1 / self.n_clusters)
        self.centre = self.theta.mean(axis=0, keepdims=True)
        squares = ((self.theta - self.centre) ** 2 + spread).sum(axis=0, keepdims=True)
        # Of few clusters the inverse of a mean square is too large, and shrinks too much: three
        # less of them make it right, as in James and Stein's estimator.
        self.variance = np.clip(squares / max(self.n_clusters - 3, 1), 1e-4, 4.0)
        self.logits = np.einsum("rd,rdk->rk", self.varying, self.theta[self.cluster]) + self.offset
        if shift is not None:
            shift.fit(self.rows, self.logits, steps)
            self.logits = self.logits + shift.by_row()
            self.n_parameters += shift.n_parameters

    def expansion(self, shift):
        rows, varying = self.rows, self.varying
        share = rows.shares(self.logits)
        weight = rows.n * share * (1 - share)
        information = np.einsum("rk,rp,rq->rkpq", weight, varying, varying)
        information = sum_by(self.cluster, information, self.n_clusters)
        residual = rows.counts - rows.n * share
        gradient = np.einsum("rk,rp->rkp", residual, varying)
        gradient = sum_by(self.cluster, gradient, self.n_clusters)
        theta = self.theta.transpose(0, 2, 1)
        score = np.einsum("ckpq,ckq->ckp", information, theta) + gradient
        coupling = _coupling(information, self.hessian, self.penalty)
        squares, expected, freedom = rows.residuals(self.logits, self.n_parameters)
        return Expansion(
            by_cluster=Quadratic(information, score, coupling),
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
        estimate, hessian = newton(
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
            sum_by(date, x[self.order], self.n_dates) for x in (weight, residual)
        )
        return Quadratic(information, information * self.estimate[:, 0] + gradient)


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
    # The diagonal blocks are the identity, so no eigenvalue exceeds their number: what does is
    # rounding, as with counts of a billion.
    root = 1 / np.sqrt(np.clip(values, 1e-6, n_free))
    return (vectors * root[:, None]) @ vectors.transpose(0, 2, 1)
