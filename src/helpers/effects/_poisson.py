r"""
Scatter of rows integrated out by quadrature, whatever its size.

A multinomial is what Poisson counts are given their total, and a flat log total s leaves no trace:

    Mult(y | softmax(x)) = n \int prod_k Poisson(y_k | exp(s + x_k)) ds.

Given s, the categories are independent, so that each integral has one dimension. A t is a mixture
of normals over its scale: one dimension more. This costs more than importance sampling at the
mode, and has none of its difficulties. Steps of the grids grow from the mode as sinh does, so that
slow tails are followed to their end.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import gammainccinv, gammaincinv, gammaln, logsumexp, wrightomega

# Nodes for scales of a t, for the log total, and for the logit of each category.
SCALES, TOTALS, LOGITS = 12, 16, 16
# What is left out of the distribution of scales at each end, and how far normals are followed.
TAIL, REACH = 1e-4, 6.0


class Totals(NamedTuple):
    """Nodes of scale and log total, L in all, for each of P pairs."""

    precision: np.ndarray  # a at the scale of the node, (k, P, L)
    log_total: np.ndarray  # s, (P, L)
    log_weight: np.ndarray  # (P, L): their logsumexp is the log of the integral


def doubles(size, df):
    """Doubles in the largest array for each pair."""
    return size * TOTALS * LOGITS * (1 if df is None else SCALES)


def integrate(pairs, mode):
    """The nodes of each pair, from its mode, and the weights of these."""
    y, eta, a, df = pairs
    n = y.sum(axis=0)[:, None]
    scale, log_share = np.ones_like(n), np.zeros_like(n)
    if df is not None:
        scale, log_share = _scales(pairs, mode)
    precision = a[:, :, None] * scale
    # The scatter of the mode is one for all scales: it says where the log total is.
    x = eta + mode.scatter
    centre = np.log(n[:, 0]) - logsumexp(x, axis=0)
    expected = np.exp(x + centre)[:, :, None]
    sd = (1 / (1 / precision + 1 / expected)).sum(axis=0) ** -0.5
    widest = REACH * (precision.min(axis=0) ** -0.5 + n**-0.5)
    w, step = _between(-np.arcsinh((widest + 25 / n) / sd), np.arcsinh(widest / sd), TOTALS)
    s = centre[:, None, None] + sd[:, :, None] * np.sinh(w)
    log_ds = np.log(sd)[:, :, None] + np.log(np.cosh(w) * step)
    precision = np.broadcast_to(precision[..., None], precision.shape + (TOTALS,))
    precision = precision.reshape(*a.shape, -1)
    s, log_ds = s.reshape(len(n), -1), log_ds.reshape(len(n), -1)
    _, _, log_f = _logits(y[:, :, None], eta[:, :, None] + s, precision, LOGITS)
    log_weight = log_f.sum(axis=0) + log_ds + np.log(n)
    return Totals(precision, s, log_weight + np.repeat(log_share, TOTALS, axis=1))


def draw(pairs, nodes, rng):
    """One scatter of each pair, (k, P): a node, then each category by itself."""
    y, eta, _, _ = pairs
    chosen = pick(nodes.log_weight, rng)
    at = np.arange(len(chosen)), chosen
    s, precision = nodes.log_total[at], nodes.precision[:, *at]
    x, share, _ = _logits(y, eta + s, precision, 8 * LOGITS)
    cumulative = share.cumsum(axis=-1)
    target = rng.random(y.shape)[..., None] * cumulative[..., -1:]
    cell = (cumulative < target).sum(axis=-1)[..., None]
    # Each node stands for what is nearest to it.
    ends = np.concatenate([x[..., :1], (x[..., 1:] + x[..., :-1]) / 2, x[..., -1:]], axis=-1)
    low, high = (np.take_along_axis(ends, cell + i, axis=-1)[..., 0] for i in (0, 1))
    return rng.uniform(low, high) - eta - s


def pick(log_weight, rng):
    """One position for each row of log weights (P, L), in proportion to the weights."""
    cumulative = np.exp(log_weight - log_weight.max(axis=1, keepdims=True)).cumsum(axis=1)
    return (cumulative < rng.random((len(cumulative), 1)) * cumulative[:, -1:]).sum(axis=1)


def _between(low, high, nodes):
    """Evenly spaced nodes on a new last axis, and their distance."""
    step = (high - low)[..., None] / (nodes - 1)
    return low[..., None] + step * np.arange(nodes), step


def _logits(y, mean, precision, nodes):
    """Grid of log rates of Poisson counts, the share of each node, and the log of their sum."""
    tau = precision**-0.5
    mode = mean + y / precision - wrightomega(mean + y / precision - np.log(precision))
    rate = np.exp(mode)
    sd = (rate + precision) ** -0.5
    # At a distance d, the density has fallen by rate (exp(d) - d - 1) + d^2 / (2 tau^2).
    normal = REACH / np.sqrt(rate)
    low, high = np.minimum(REACH * tau, normal + 20 / rate), np.minimum(REACH * tau, normal)
    w, step = _between(-np.arcsinh(low / sd), np.arcsinh(high / sd), nodes)
    up = np.exp(w)
    down = 1 / up
    d = (up - down) * (sd / 2)[..., None]
    # The slope at the mode is zero: what is left is the curvature of both parts.
    fall = rate[..., None] * (np.expm1(np.minimum(d, 700.0)) - d)
    fall += (precision / 2)[..., None] * d**2
    share = np.exp(-fall) * (up + down)
    log_f = y * mode - rate - precision / 2 * (mode - mean) ** 2 - gammaln(y + 1)
    log_f += np.log(sd * step[..., 0] / (2 * tau)) - np.log(2 * np.pi) / 2
    return mode[..., None] + d, share, log_f + np.log(share.sum(axis=-1))


def _scales(pairs, mode):
    """Scales of a t (P, J), from where prior or mode put them, and the log weight of each."""
    half, rest = pairs.df / 2, (len(pairs.counts) - 1) / 2
    known = half + rest, half + (pairs.precision * mode.scatter**2).sum(axis=0) / 2
    low = np.minimum(gammaincinv(half, TAIL) / half, gammaincinv(known[0], TAIL) / known[1])
    high = np.maximum(gammainccinv(half, TAIL) / half, gammainccinv(known[0], TAIL) / known[1])
    x, step = _between(np.log(low), np.log(high), SCALES)
    half = half[:, None]
    log_density = half * (np.log(half) + x - np.exp(x)) - gammaln(half)
    return np.exp(x), log_density + np.log(step)
