"""
Importance sampling of the scatter of rows around the mode, many rows and draws at once.

Arrays are (k, P) or (k, P, M): k categories on the menu, P pairs of a row and a draw, M points.
All steps are elementwise. The scatter u of the k categories has the precision a = 1/tau^2, and
minus the second derivatives of the log posterior, diag(n p + a) - n p p', are inverted by the
formula for a matrix of rank one: there is no matrix to factorise.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, ndtri

# Squared length of a Newton step, in posterior standard deviations, that counts as arrived.
TOLERANCE = 1e-10
STEPS = 200
# No logit moves by more in one step: far from the mode the quadratic overshoots.
LONGEST = 4.0


class Pairs(NamedTuple):
    """Counts and means without scatter (k, P), precisions (k, P), df (P,) or None."""

    counts: np.ndarray
    logits: np.ndarray
    precision: np.ndarray
    df: np.ndarray | None

    def take(self, which):
        """Some of the pairs."""
        df = None if self.df is None else self.df[which]
        return Pairs(self.counts[:, which], self.logits[:, which], self.precision[:, which], df)

    def weight(self, distance):
        """By how much the precision counts at a squared distance: 1 for the normal."""
        if self.df is None:
            return np.ones(self.counts.shape[1])
        return (self.df + len(self.counts) - 1) / (self.df + distance)

    def log_density_ratio(self, at, moved):
        """Log density of the scatter at one squared distance over that at another."""
        if self.df is None:
            return -0.5 * (moved - at)
        df = self.df.reshape(np.shape(at)[:1] + (1,) * (np.ndim(moved) - 1))
        return -0.5 * (df + len(self.counts) - 1) * np.log((df + moved) / (df + at))


class Mode(NamedTuple):
    """The most likely scatter of each pair, and the curvature there."""

    scatter: np.ndarray  # u, with sum(a u) = 0
    shares: np.ndarray  # p
    precision: np.ndarray  # b, a or what of it counts at this distance
    spread: np.ndarray  # 1 / (n p + b)
    slack: np.ndarray  # 1 - n sum(p^2 / (n p + b)) = sum(p b / (n p + b))

    def take(self, which):
        """Some of the modes."""
        return Mode(*(x[..., which] for x in self))


def _at(pairs, u):
    """The curvature, and the gradient, at a scatter."""
    x = pairs.logits + u
    e = np.exp(x - x.max(axis=0))
    p = e / e.sum(axis=0)
    n = pairs.counts.sum(axis=0)
    b = pairs.precision * pairs.weight((pairs.precision * u**2).sum(axis=0))
    spread = 1 / (n * p + b)
    mode = Mode(u, p, b, spread, (p * b * spread).sum(axis=0))
    return mode, pairs.counts - n * p - b * u


def find_mode(pairs):
    """
    Damped Newton, from where counts and spreads alone would put each logit.

    For t scatter the curvature is that of the normal whose precision is right at this distance,
    which lies below the t: the steps climb, and the matrix stays positive definite.
    """
    y, eta, a, _ = pairs
    seen = np.log(y + 0.5) - eta
    known = 1 / (1 / a + 1 / (y + 0.5))
    u = (seen - (known * seen).sum(axis=0) / known.sum(axis=0)) * known / a
    active = np.arange(y.shape[1])
    for _ in range(STEPS):
        here = pairs.take(active)
        now = u[:, active]
        mode, gradient = _at(here, now)
        n = here.counts.sum(axis=0)
        step = mode.spread * gradient
        step += mode.spread * mode.shares * (n * (mode.shares * step).sum(axis=0) / mode.slack)
        left = (gradient * step).sum(axis=0)
        step *= np.minimum(1, LONGEST / np.maximum(np.abs(step).max(axis=0), LONGEST))
        distance = (here.precision * now**2).sum(axis=0)
        for _ in range(40):
            moved = (here.precision * (now + step) ** 2).sum(axis=0)
            gain = (here.counts * step).sum(axis=0)
            gain -= n * np.log((mode.shares * np.exp(step)).sum(axis=0))
            gain += here.log_density_ratio(distance, moved)
            # Differences below rounding are no reason to turn back.
            worse = gain < -1e-9 - 1e-14 * n
            if not worse.any():
                break
            step[:, worse] /= 2
        u[:, active] = now + step
        active = active[left > TOLERANCE]
        if not len(active):
            break
    return _at(pairs, u)[0]


def normal_points(uniform):
    """Standard normal points from points in the unit cube."""
    return ndtri(np.clip(uniform, 1e-15, 1 - 1e-15))


def weigh(pairs, mode, points):
    """
    Move standard normal points (k, P, M) to the mode, and weigh them.

    Returns the moves v (k, P, M), and the log weights (P, M): the density of the counts and of the
    contrasts of the scatter over that of the proposal, both relative to the mode.
    """
    y, _, a, _ = pairs
    _, p, b, spread, slack = mode
    n = y.sum(axis=0)
    root = np.sqrt(spread)
    along = p * root * np.sqrt(n)
    tilt = np.sqrt(slack)
    inner = np.einsum("kp,kpm->pm", along, points) / (tilt * (1 + tilt))[:, None]
    v = along[:, :, None] * inner
    v += points
    v *= root[:, :, None]
    # Only contrasts count: what a common shift of all k adds to the distances is taken off.
    shift = np.einsum("kp,kpm->pm", b, v) / b.sum(axis=0)[:, None]
    square = np.einsum("kpm,kpm->pm", points, points) - shift**2 * b.sum(axis=0)[:, None]
    distance = (a * mode.scatter**2).sum(axis=0)[:, None]
    centred = np.einsum("kp,kpm->pm", a * mode.scatter, v)
    moved = distance + 2 * centred + np.einsum("kp,kpm->pm", a, v**2)
    moved -= shift**2 * a.sum(axis=0)[:, None]
    log_w = pairs.log_density_ratio(distance, np.maximum(moved, 0)) + square / 2
    log_w += np.einsum("kp,kpm->pm", y, v)
    with np.errstate(over="ignore"):
        log_w -= n[:, None] * np.log(np.einsum("kp,kpm->pm", p, np.exp(v)))
    return v, log_w


def expected_loss(pairs, mode):
    """
    About 1 / efficiency - 1 of the weights, from what the normal at the mode leaves out.

    The points do not enter: whoever drops estimates for the sake of their own weights keeps those
    that are too low. Of the likelihood, it is the variance of the cubic term, n p v^3 / 6; of a t,
    that of X^2 / (4 (df + k - 1)), where X is the change of the distance.
    """
    y, _, _, df = pairs
    u, p, b, spread, slack = mode
    n = y.sum(axis=0)
    loss = 15 / 36 * ((n * p) ** 2 * spread**3).sum(axis=0)
    if df is None:
        return loss
    pull = b * u
    linear = (pull**2 * spread).sum(axis=0) + n * (p * spread * pull).sum(axis=0) ** 2 / slack
    # About so many dimensions are left to the prior by the counts.
    free = np.maximum((b * spread).sum(axis=0) - 1, 0)
    variance = 4 * linear + 2 * free
    fourth = 2 * variance**2 + 4 * free**2 * variance
    return loss + fourth / (16 * (df + len(y) - 1) ** 2)


def average(log_w):
    """Log of the mean weight of each pair, and the relative efficiency of the weights."""
    top = log_w.max(axis=1)
    w = np.exp(log_w - top[:, None])
    mean = w.mean(axis=1)
    return top + np.log(mean), mean**2 / (w**2).mean(axis=1)


def log_at_mode(pairs, mode):
    """Laplace's approximation: the log of the integral, if the weights were all 1."""
    y, eta, a, df = pairs
    freedom = len(y) - 1
    x = eta + mode.scatter
    top = x.max(axis=0)
    x = x - top - np.log(np.exp(x - top).sum(axis=0))
    n = y.sum(axis=0)
    value = gammaln(n + 1) - gammaln(y + 1).sum(axis=0) + (y * x).sum(axis=0)
    # The scale matrix of the contrasts has the determinant prod(tau^2) sum(1 / tau^2).
    value += 0.5 * (np.log(a).sum(axis=0) - np.log(a.sum(axis=0)))
    curvature = np.log(mode.slack) - np.log(mode.spread).sum(axis=0)
    value -= 0.5 * (curvature - np.log(mode.precision.sum(axis=0)))
    distance = (a * mode.scatter**2).sum(axis=0)
    if df is None:
        return value - distance / 2
    value += gammaln((df + freedom) / 2) - gammaln(df / 2) - freedom / 2 * np.log(df / 2)
    return value - (df + freedom) / 2 * np.log1p(distance / df)
