"""Penalised Newton for multinomial logits over the menus of rows, one fit per group."""

import copy

import numpy as np
from scipy.optimize import brentq

from helpers.data.shares import shares_on_menu

# A pilot need only be approximate: it stops when no logit moves by more than this.
TOLERANCE = 1e-6
# Doubles in one block of second derivatives; rows are taken in blocks of this size.
BLOCK = 4_000_000


class Rows:
    """Counts sorted by cluster; the reference category enters through its share alone."""

    def __init__(self, counts, available, reference, offset=None):
        self.free = np.arange(counts.shape[1]) != reference
        self.offset = np.zeros(counts.shape) if offset is None else offset
        self.available = available
        self.raw = counts.astype(float)
        self.n = self.raw.sum(axis=1, keepdims=True)
        self.counts = self.raw[:, self.free]

    def take(self, order):
        """The same rows, with their weights, in another order."""
        other = copy.copy(self)
        for name in ("available", "raw", "n", "counts", "offset"):
            setattr(other, name, getattr(self, name)[order])
        return other

    def residuals(self, logits, n_parameters):
        """Squared residuals by row, what a multinomial expects, and the degrees of freedom."""
        n = self.raw.sum(axis=1, keepdims=True)
        share = self._all_shares(logits)
        # As Pearson's, but with a floor: where less than one choice is expected, a single one
        # would otherwise dominate.
        scale = np.maximum(n * share, 1.0)
        squares = ((self.raw - n * share) ** 2 / scale).sum(axis=1)
        expected = (n * share * (1 - share) / scale).sum(axis=1)
        freedom = (self.available.sum(axis=1) - 1)[n[:, 0] > 0].sum()
        residual_freedom = max(freedom - n_parameters, freedom / 4)
        return squares, expected * residual_freedom / max(freedom, 1), residual_freedom

    def downweight(self, logits, n_parameters):
        """Weight rows by their effective number of choices, given the scatter of the residuals."""
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
        """Shares of the categories but the reference."""
        return self._all_shares(logits)[:, self.free]

    def _all_shares(self, logits):
        full = self.offset.copy()
        full[:, self.free] += logits
        return shares_on_menu(full, self.available)


def sum_by(group, values, n_groups):
    """Sum rows by group; the groups are sorted."""
    out = np.zeros((n_groups, *values.shape[1:]))
    present, starts = np.unique(group, return_index=True)
    out[present] = np.add.reduceat(values, starts, axis=0)
    return out


def newton(rows, design, group, n_groups, start, centre, precision, steps, offset=0.0):
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
    block_rows = max(1, BLOCK // size**2)
    for _ in range(steps):
        share = rows.shares(np.einsum("rd,rdk->rk", design, theta[group]) + offset)
        residual = rows.counts - rows.n * share
        gradient = sum_by(group, np.einsum("rd,rk->rdk", design, residual), n_groups)
        gradient -= precision * (theta - centre)
        hessian = penalty.copy()
        for first in range(0, len(design), block_rows):
            s = slice(first, first + block_rows)
            p, x = share[s], design[s]
            curvature = p[:, :, None] * np.eye(n_free) - p[:, :, None] * p[:, None]
            outer = np.einsum("rd,re,rkl->rdkel", rows.n[s] * x, x, curvature, optimize=True)
            hessian += sum_by(group[s], outer.reshape(-1, size, size), n_groups)
        # Huge counts can make the penalty vanish in rounding beside a curvature of low rank.
        hessian += 1e-12 * np.eye(size) * hessian.max(axis=(1, 2), keepdims=True)
        step = np.linalg.solve(hessian, gradient.reshape(n_groups, size, 1)).reshape(theta.shape)
        # A bounded step: far from the optimum the quadratic overshoots.
        theta += np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < TOLERANCE:
            break
    return theta, hessian
