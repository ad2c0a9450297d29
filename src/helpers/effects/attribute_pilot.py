"""What the counts say about the slopes of attributes, before any sampling."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform
from pytensor.tensor import TensorVariable

from helpers.data.shares import shares_on_menu
from helpers.effects._newton import BLOCK, TOLERANCE, sum_by
from helpers.effects.conditioned import Quadratic

__all__ = ["AttributePilot", "Whitened", "fit_attributes"]

# Precision of each cluster's logits about their average, and of slopes about 0: weak.
_OF_LOGITS, _OF_SLOPES = 0.25, 1e-2
# Rounds in which clusters' own slopes and their variance are found in turns, and Newton steps in
# each: a rough variance is enough.
_ROUNDS, _STEPS = 30, 3


@dataclass(frozen=True)
class AttributePilot:
    """
    What :func:`fit_attributes` finds.

    Attributes
    ----------
    slope : numpy.ndarray, shape (Q,)
        The common slopes.
    covariance : numpy.ndarray, shape (Q, Q)
        Their covariance, with nothing taken for known about the intercepts.
    by_cluster : Quadratic
        Of the slopes of each cluster, slope by slope: h and b, shape (C, Q). Those that vary are
        expanded where the cluster's own slope is likely to be.
    fitted : numpy.ndarray, shape (R, K)
        What the slopes add to the logits.
    influence : numpy.ndarray, shape (R, Q)
        By how much each row moves the slopes. The sum of their squares estimates the slopes'
        variance however much rows scatter (the sandwich estimate; White, 1982).
    """

    slope: np.ndarray
    covariance: np.ndarray
    by_cluster: Quadratic
    fitted: np.ndarray
    influence: np.ndarray


def fit_attributes(
    counts: np.ndarray,
    available: np.ndarray,
    cluster: np.ndarray,
    n_clusters: int,
    reference: int,
    attributes: np.ndarray,
    offset: np.ndarray | None = None,
    steps: int = 50,
    *,
    varying: Sequence[int] | np.ndarray = (),
    pooled: bool = False,
) -> AttributePilot:
    """
    Fit common slopes of attributes by Newton's method, and slopes of clusters where they vary.

    Parameters
    ----------
    counts : numpy.ndarray, shape (R, K)
        Counts.
    available : numpy.ndarray of bool, shape (R, K)
        Menus.
    cluster : numpy.ndarray of int, shape (R,)
        Cluster of each row.
    n_clusters : int
        Number of clusters C.
    reference : int
        Position of the category whose logit is 0.
    attributes : numpy.ndarray, shape (R, K, Q)
        Attributes on a common scale, finite everywhere.
    offset : numpy.ndarray, shape (R, K), optional
        What is added to the logits, such as the logarithm of an exposure.
    steps : int
        Largest number of steps.
    varying : sequence of int
        Positions of the attributes that have a slope for each cluster.
    pooled : bool
        Whether all clusters share their intercepts.

    Returns
    -------
    AttributePilot

    References
    ----------
    White, H. (1982). Maximum likelihood estimation of misspecified models. Econometrica, 50(1),
    1-25.

    Examples
    --------
    Two products; whichever is cheaper by 1 is chosen three times as often:

    >>> import numpy as np
    >>> from helpers.effects import fit_attributes
    >>> price = np.array([[[0.0], [1.0]], [[1.0], [0.0]]])
    >>> counts, everywhere = np.array([[300, 100], [100, 300]]), np.ones((2, 2), dtype=bool)
    >>> pilot = fit_attributes(counts, everywhere, np.zeros(2, dtype=int), 1, 0, price)
    >>> pilot.slope.round(2), np.round(-np.log(3), 2)
    (array([-1.1]), np.float64(-1.1))
    """
    order = np.argsort(cluster, kind="stable")
    original = cluster
    counts, available, cluster, z = (
        np.asarray(x)[order] for x in (counts, available, cluster, attributes)
    )
    n_slopes, free = z.shape[2], np.arange(counts.shape[1]) != reference
    if pooled:  # common intercepts are slopes of one more attribute for each category
        constants = np.eye(counts.shape[1])[:, free]
        z = np.concatenate([z, np.broadcast_to(constants, (*counts.shape, free.sum()))], axis=2)
        free = np.zeros_like(free)
    added = 0.0 if offset is None else offset[order]
    fit = _Fit(counts, available, cluster, z, n_clusters, free, added)
    for _ in range(steps):
        if fit.step() < TOLERANCE:
            break
    if len(varying):
        fit.let_vary(np.asarray(varying))
    fit.expand()
    information = fit.of_common().sum(axis=0)
    covariance = np.linalg.inv(information + _OF_SLOPES * np.eye(len(information)))
    influence = np.empty((len(order), len(covariance)))
    influence[order] = fit.row_scores() @ covariance
    q = slice(n_slopes)
    own = fit.own[:, q]
    h = np.maximum(np.diagonal(fit.information, axis1=1, axis2=2)[:, q], 0.0)
    return AttributePilot(
        slope=fit.slope[q],
        covariance=covariance[q, q],
        by_cluster=Quadratic(h, h * own + fit.gradient[:, q]),
        fitted=np.einsum("rkq,rq->rk", attributes, own[np.asarray(original)]),
        influence=influence[:, q],
    )


class _Fit:
    """Intercepts of clusters (C, F), slopes that all have in common (Q,), and clusters' (C, Q)."""

    def __init__(self, counts, available, cluster, z, n_clusters, free, offset):
        self.counts, self.available = counts.astype(float), available.astype(bool)
        self.cluster, self.n_clusters, self.z, self.offset = cluster, n_clusters, z, offset
        self.free = free
        self.n = self.counts.sum(axis=1)
        self.intercept = np.zeros((n_clusters, free.sum()))
        self.slope = np.zeros(z.shape[2])
        self.own = np.zeros((n_clusters, z.shape[2]))
        self.varying = np.array([], dtype=int)
        self.precision = np.array([])

    def expand(self):
        """Derivatives, with the intercepts' eliminated: their step follows from the slopes'."""
        logits = np.einsum("rkq,rq->rk", self.z, self.own[self.cluster]) + self.offset
        logits[:, self.free] += self.intercept[self.cluster]
        share = shares_on_menu(logits, self.available)
        residual = self.residual = self.counts - self.n[:, None] * share
        centre = self.intercept.mean(axis=0)
        of_intercept = self._sum(residual[:, self.free]) - _OF_LOGITS * (self.intercept - centre)
        of_slope = self._sum(np.einsum("rk,rkq->rq", residual, self.z))
        own, cross, within = self._curvature(share)
        solved = np.linalg.solve(own, np.concatenate([cross, of_intercept[..., None]], axis=2))
        self.to_intercept, self.rest = solved[..., :-1], solved[..., -1]
        self.information = within - cross.mT @ self.to_intercept
        self.gradient = of_slope - np.einsum("ckq,ck->cq", cross, self.rest)

    def of_common(self):
        """What each cluster says about the common slopes, given how slopes vary (C, Q, Q)."""
        v = self.varying
        within = self.information[:, v[:, None], v] + np.diag(self.precision)
        across = self.information[:, v]
        return self.information - across.mT @ np.linalg.solve(within, across)

    def row_scores(self):
        """Each row's derivative in the slopes, less what intercepts explain of it (R, Q)."""
        of_slope = np.einsum("rk,rkq->rq", self.residual, self.z)
        free = self.residual[:, self.free]
        return of_slope - np.einsum("rk,rkq->rq", free, self.to_intercept[self.cluster])

    def _sum(self, values):
        return sum_by(self.cluster, values, self.n_clusters)

    def _curvature(self, share):
        """Blocks of intercepts (C, F, F), between both, and of slopes (C, Q, Q)."""
        n_free, n_slopes = self.intercept.shape[1], len(self.slope)
        own = np.zeros((self.n_clusters, n_free, n_free))
        cross = np.zeros((self.n_clusters, n_free, n_slopes))
        within = np.zeros((self.n_clusters, n_slopes, n_slopes))
        size = max(1, BLOCK // ((n_free + n_slopes) ** 2))
        for first in range(0, len(share), size):
            s = slice(first, first + size)
            weight, z = self.n[s, None] * share[s], self.z[s]
            away = z - (share[s, :, None] * z).sum(axis=1, keepdims=True)
            w, p = weight[:, self.free], share[s][:, self.free]
            blocks = w[:, :, None] * (np.eye(n_free) - p[:, None])
            parts = (
                (own, blocks),
                (cross, w[:, :, None] * away[:, self.free]),
                (within, np.einsum("rk,rkp,rkq->rpq", weight, away, away)),
            )
            for total, values in parts:
                total += sum_by(self.cluster[s], values, self.n_clusters)
        if n_free:
            largest = own.max(axis=(1, 2), keepdims=True)
            own += (_OF_LOGITS + 1e-12 * largest) * np.eye(n_free)
        return own, cross, within

    def step(self):
        """One step of the common slopes; returns how far it went."""
        self.expand()
        penalty = _OF_SLOPES * np.eye(len(self.slope))
        gradient = self.gradient.sum(axis=0) - _OF_SLOPES * self.slope
        move = np.linalg.solve(self.information.sum(axis=0) + penalty, gradient)
        return self._move(move, np.broadcast_to(move, self.own.shape))

    def _move(self, move, own_move):
        of_intercept = self.rest - np.einsum("ckq,cq->ck", self.to_intercept, own_move)
        # A bounded step: far from the optimum the quadratic overshoots.
        self.slope = self.slope + np.clip(move, -1.0, 1.0)
        self.own = self.own + np.clip(own_move, -1.0, 1.0)
        self.intercept = self.intercept + np.clip(of_intercept, -2.0, 2.0)
        return max(np.abs(move).max(), np.abs(of_intercept).max(initial=0.0))

    def let_vary(self, varying):
        """Slopes of clusters, normal about the common ones, and their variance, in turns."""
        self.varying, self.precision = varying, np.ones(len(varying))
        for _ in range(_ROUNDS):
            for _ in range(_STEPS):
                self._own_step()
            spread = np.linalg.inv(self._penalised())
            away = (self.own - self.slope)[:, varying]
            variance = (away**2 + np.diagonal(spread, axis1=1, axis2=2)).mean(axis=0)
            self.precision = 1 / variance

    def _penalised(self):
        v = self.varying
        return self.information[:, v[:, None], v] + np.diag(self.precision)

    def _own_step(self):
        """A step of clusters' slopes, given the common ones; then one of those."""
        self.expand()
        v, penalty = self.varying, _OF_SLOPES * np.eye(len(self.slope))
        pull = self.precision * (self.own - self.slope)[:, v]
        inner = self.gradient[:, v] - pull
        within, across = self._penalised(), self.information[:, v]
        solved = np.linalg.solve(within, np.concatenate([across, inner[..., None]], axis=2))
        to_own, rest = solved[..., :-1], solved[..., -1]
        # Deviations eliminated: the common slopes move against what clusters leave unexplained.
        gradient = self.gradient.sum(axis=0) - _OF_SLOPES * self.slope
        gradient = gradient - np.einsum("cvq,cv->q", across, rest)
        common = (self.information - across.mT @ to_own).sum(axis=0)
        move = np.linalg.solve(common + penalty, gradient)
        own = np.broadcast_to(move, self.own.shape).copy()
        own[:, v] += rest - to_own @ move
        self._move(move, own)


class Whitened(Transform):
    r"""
    Sample a vector relative to an estimate and its covariance: :math:`x = m + L t`.

    A change of variables with constants: *any* estimate gives the same posterior.

    Parameters
    ----------
    estimate : numpy.ndarray, shape (Q,)
        m.
    covariance : numpy.ndarray, shape (Q, Q)
        Of the estimate, L L'.
    """

    name = "whitened"
    ndim_supp = 1

    def __init__(self, estimate: np.ndarray, covariance: np.ndarray) -> None:
        self.estimate, self.root = estimate, np.linalg.cholesky(covariance)
        self.inverse = np.linalg.inv(self.root)

    def forward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        """t from x."""
        return pt.dot(self.inverse, value - self.estimate)

    def backward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        """x from t."""
        return self.estimate + pt.dot(self.root, value)

    def log_jac_det(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        """Logarithm of the determinant, a constant."""
        # Kept as a vector, which another table can exchange (`ManyTables`).
        return pt.constant(np.log(np.diag(self.root))).sum() + 0.0 * value.sum()
