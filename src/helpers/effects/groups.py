"""Effects shared by the rows of a group, integrated out with the scatter of the rows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincinv, gammaln
from scipy.stats import qmc

from helpers.effects._laplace import average, find_mode, normal_points
from helpers.effects._row_table import Table
from helpers.effects.rows import integrated_log_likelihood

__all__ = ["GroupLikelihood", "group_log_likelihood"]

# Degrees of freedom of the points, whose tails must not be lighter than those of the posterior.
HEAVY = 8.0
STEPS = 12
# Logits in one block of draws and points, and points for the scatter of each row, whose errors
# average out over those for the shared effect.
BLOCK, INNER = 1_000_000, 16


class GroupLikelihood(NamedTuple):
    """What :func:`group_log_likelihood` returns: arrays of shape (S,)."""

    #: Log density of all counts of the group in each draw.
    log_likelihood: np.ndarray
    #: Relative efficiency of the importance weights, 1 if the approximation was exact.
    efficiency: np.ndarray


def group_log_likelihood(
    counts: ArrayLike,
    available: ArrayLike,
    logits: ArrayLike,
    spread: ArrayLike,
    shared: ArrayLike,
    df: ArrayLike | None = None,
    *,
    points: int = 32,
    random_seed: int | np.random.Generator | None = None,
) -> GroupLikelihood:
    r"""
    Joint log density of the counts of a group of rows of which nothing is known.

    Unlike :func:`~helpers.effects.integrated_log_likelihood`, which takes the rows as independent,
    they have an effect in common, which is integrated out as well:

    .. math::

       p(y_g \mid \eta, \tau, \sigma) = \int \prod_{i \in g} p(y_i \mid \eta_i + v, \tau)
       \prod_k N(v_k \mid 0, \sigma_k^2) \, dv.

    It is what a new cluster, or a new date, is judged by. Effects drawn from their population
    hardly ever meet those of a group with many counts, and the mean of what few of them say is
    no estimate. So points are drawn where the counts put the effect, from a t around its mode, and
    weighed.

    Parameters
    ----------
    counts : array_like of int, shape (R, K)
        Counts of the rows of one group.
    available : array_like of bool, shape (R, K)
        Whether a category was on the menu.
    logits : array_like, shape (S, R, K)
        Means by draw, without scatter and without the group's effect.
    spread : array_like, shape (S, K)
        Standard deviations of the scatter of rows (> 0); of t scatter, its scales.
    shared : array_like, shape (S, K)
        Standard deviations of the effect that the rows share (> 0).
    df : array_like, shape (S,), optional
        Degrees of freedom of t scatter (> 0); if not given, the scatter is normal.
    points : int
        Points for each draw, a power of two.
    random_seed : int or numpy.random.Generator, optional
        Seed of the points.

    Returns
    -------
    GroupLikelihood
        ``log_likelihood`` and ``efficiency``, each of shape (S,).

    Raises
    ------
    ValueError
        If shapes do not fit, a standard deviation is not positive, or a category off the menu has
        counts.

    Examples
    --------
    Two rows that resemble each other are likelier if they have an effect in common:

    >>> from helpers.effects import group_log_likelihood
    >>> counts, available = [[900, 100], [880, 120]], [[True, True], [True, True]]
    >>> logits, small, large = [[[0.0, 0.0], [0.0, 0.0]]], [[0.1, 0.1]], [[1.0, 1.0]]
    >>> alike = group_log_likelihood(counts, available, logits, small, large, random_seed=1)
    >>> apart = group_log_likelihood(counts, available, logits, large, small, random_seed=1)
    >>> bool(alike.log_likelihood[0] > apart.log_likelihood[0] + 1)
    True
    """
    table = Table(counts, available, logits, spread, df)
    sd = np.asarray(shared, dtype=float)
    if sd.shape != table.spread.shape or not ((sd > 0) & np.isfinite(sd)).all():
        raise ValueError(f"shared must be positive and have the shape {table.spread.shape}.")
    if points < 1 or points & (points - 1):
        raise ValueError(f"points must be a power of two, such as 32, not {points}.")
    rows = np.concatenate([np.empty(0, dtype=int), *(rows for _, rows in table.menus())])
    if not len(rows):
        return GroupLikelihood(np.zeros(table.n_draws), np.ones(table.n_draws))
    used = np.flatnonzero(table.available[rows].any(axis=0))
    sd = sd[:, used]
    centre, precision = _mode(table, sd, used)
    factor = np.linalg.cholesky(precision)
    rng = np.random.default_rng(random_seed)
    log_w = np.empty((table.n_draws, points))
    n_draws = max(1, BLOCK // (points * table.counts.size))
    lattice = qmc.Sobol(len(used) + 1, rng=rng).random(points)
    for first in range(0, table.n_draws, n_draws):
        s = slice(first, first + n_draws)
        uniform = (lattice + rng.random((len(sd[s]), 1, len(used) + 1))) % 1
        z = normal_points(uniform[..., :-1])
        scale = gammaincinv(HEAVY / 2, np.clip(uniform[..., -1], 1e-15, 1 - 1e-15)) * 2 / HEAVY
        v = z / np.sqrt(scale)[..., None]
        log_q = _log_t((v**2).sum(axis=-1), len(used))
        log_q += np.log(np.diagonal(factor[s], axis1=1, axis2=2)).sum(axis=1)[:, None]
        v = centre[s, None] + np.linalg.solve(factor[s].mT[:, None], v[..., None])[..., 0]
        log_w[s] = -((v / sd[s, None]) ** 2).sum(axis=-1) / 2 - log_q
        log_w[s] -= (np.log(sd[s]) + np.log(2 * np.pi) / 2).sum(axis=1)[:, None]
        log_w[s] += _rows_at(table, rows, s, used, v, rng)
    return GroupLikelihood(*average(log_w))


def _log_t(square, size):
    """Log density of a standard multivariate t at a squared distance."""
    constant = gammaln((HEAVY + size) / 2) - gammaln(HEAVY / 2) - size / 2 * np.log(HEAVY * np.pi)
    return constant - (HEAVY + size) / 2 * np.log1p(square / HEAVY)


def _rows_at(table, rows, s, used, v, rng):
    """Log density of the rows at each point of the shared effect (S', M), scatter integrated."""
    n_draws, points, _ = v.shape
    moved = np.repeat(table.logits[s][:, None, rows], points, axis=1)
    moved[..., used] += v[:, :, None]
    value = integrated_log_likelihood(
        table.counts[rows],
        table.available[rows],
        moved.reshape(-1, *moved.shape[2:]),
        np.repeat(table.spread[s], points, axis=0),
        None if table.df is None else np.repeat(table.df[s], points),
        points=INNER,
        random_seed=rng,
    ).log_likelihood
    return value.sum(axis=1).reshape(n_draws, points)


def _mode(table, sd, used):
    """
    Where the counts put the shared effect (S, k), and its precision (S, k, k).

    Each row is taken as normal around its own mode, as in iteratively reweighted least squares: a
    category has the variance of its scatter and of its count, and the level of a row is free.
    """
    place = np.zeros(table.counts.shape[1], dtype=int)
    place[used] = np.arange(len(used))
    v = np.zeros(sd.shape)
    for _ in range(STEPS):
        precision = sd[:, :, None] ** -2 * np.eye(len(used))
        pull = np.zeros(sd.shape)
        for menu, rows in table.menus():
            draws = np.tile(np.arange(table.n_draws), len(rows))
            row = np.repeat(rows, table.n_draws)
            at = place[menu]
            own = table.pairs(draws, row, menu)
            mode = find_mode(own._replace(logits=own.logits + v[draws][:, at].T))
            expected = np.maximum(own.counts.sum(axis=0) * mode.shares, 1e-10)
            seen = v[draws][:, at].T + mode.scatter + (own.counts - expected) / expected
            weight = 1 / (1 / mode.precision + 1 / expected)
            level = (weight * seen).sum(axis=0) / weight.sum(axis=0)
            by_draw = (len(menu), len(rows), table.n_draws)
            w = weight.reshape(by_draw)
            share = w / w.sum(axis=0)
            information = -np.einsum("kis,jis->skj", w, share)
            information[:, range(len(menu)), range(len(menu))] += w.sum(axis=1).T
            precision[:, at[:, None], at] += information
            pull[:, at] += (weight * (seen - level)).reshape(by_draw).sum(axis=1).T
        step = np.linalg.solve(precision, pull[..., None])[..., 0] - v
        v += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-3:
            break
    return v, precision
