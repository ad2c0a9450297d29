"""What the counts say about the slopes of attributes, before any sampling."""

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
        Of the slopes of each cluster, slope by slope: h and b, shape (C, Q).
    fitted : numpy.ndarray, shape (R, K)
        What the common slopes add to the logits.
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
) -> AttributePilot:
    """
    Fit common slopes of attributes, with intercepts for each cluster, by Newton's method.

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
    counts, available, cluster, z = (
        np.asarray(x)[order] for x in (counts, available, cluster, attributes)
    )
    added = 0.0 if offset is None else offset[order]
    fit = _Fit(counts, available, cluster, z, n_clusters, reference, added)
    for _ in range(steps):
        if fit.step() < TOLERANCE:
            break
    fit.expand()
    information = fit.information.sum(axis=0)
    h = np.maximum(np.diagonal(fit.information, axis1=1, axis2=2), 0.0)
    covariance = np.linalg.inv(information + _OF_SLOPES * np.eye(len(information)))
    influence = np.empty((len(order), len(fit.slope)))
    influence[order] = fit.row_scores() @ covariance
    return AttributePilot(
        slope=fit.slope,
        covariance=covariance,
        by_cluster=Quadratic(h, h * fit.slope + fit.gradient),
        fitted=attributes @ fit.slope,
        influence=influence,
    )


class _Fit:
    """Intercepts of clusters (C, K - 1), and slopes that all have in common (Q,)."""

    def __init__(self, counts, available, cluster, z, n_clusters, reference, offset):
        self.counts, self.available = counts.astype(float), available.astype(bool)
        self.cluster, self.n_clusters, self.z, self.offset = cluster, n_clusters, z, offset
        self.free = np.arange(counts.shape[1]) != reference
        self.n = self.counts.sum(axis=1)
        self.intercept = np.zeros((n_clusters, counts.shape[1] - 1))
        self.slope = np.zeros(z.shape[2])

    def expand(self):
        """Derivatives, with the intercepts' eliminated: their step follows from the slopes'."""
        logits = self.z @ self.slope + self.offset
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

    def row_scores(self):
        """Each row's derivative in the slopes, less what intercepts explain of it (R, Q)."""
        of_slope = np.einsum("rk,rkq->rq", self.residual, self.z)
        free = self.residual[:, self.free]
        return of_slope - np.einsum("rk,rkq->rq", free, self.to_intercept[self.cluster])

    def _sum(self, values):
        return sum_by(self.cluster, values, self.n_clusters)

    def _curvature(self, share):
        """Blocks of intercepts (C, K - 1, K - 1), between both, and of slopes (C, Q, Q)."""
        n_free, n_slopes = self.intercept.shape[1], len(self.slope)
        own = np.zeros((self.n_clusters, n_free, n_free))
        cross = np.zeros((self.n_clusters, n_free, n_slopes))
        within = np.zeros((self.n_clusters, n_slopes, n_slopes))
        size = max(1, BLOCK // (n_free * (n_free + n_slopes)))
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
        own += (_OF_LOGITS + 1e-12 * own.max(axis=(1, 2), keepdims=True)) * np.eye(n_free)
        return own, cross, within

    def step(self):
        """One step; returns how far it went."""
        self.expand()
        penalty = _OF_SLOPES * np.eye(len(self.slope))
        gradient = self.gradient.sum(axis=0) - _OF_SLOPES * self.slope
        move = np.linalg.solve(self.information.sum(axis=0) + penalty, gradient)
        of_intercept = self.rest - self.to_intercept @ move
        # A bounded step: far from the optimum the quadratic overshoots.
        self.slope = self.slope + np.clip(move, -1.0, 1.0)
        self.intercept = self.intercept + np.clip(of_intercept, -2.0, 2.0)
        return max(np.abs(move).max(), np.abs(of_intercept).max())


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
        return pt.constant(float(np.log(np.diag(self.root)).sum())) + 0.0 * value.sum()
