"""Counts of a row whose logits scatter, by quadrature: no approximation of the integral."""

import numpy as np
from scipy import stats
from scipy.special import gammaln, logsumexp, wrightomega


def poisson_lognormal(y, mean, tau, nodes=121):
    """Log of the integral of Poisson(y | exp(x)) N(x | mean, tau) over x; arrays broadcast."""
    y, mean, tau = (np.asarray(x, dtype=float)[..., None] for x in (y, mean, tau))
    mode = mean + tau**2 * y - wrightomega(2 * np.log(tau) + mean + tau**2 * y)
    sd = (np.exp(mode) + tau**-2) ** -0.5
    # A grid that is fine at the mode, and reaches as far as the normal does.
    end = np.arcsinh(12 * tau / sd)
    w = end * np.linspace(-1, 1, nodes)
    x = np.minimum(mode + sd * np.sinh(w), 600)
    log_f = y * x - np.exp(x) - ((x - mean) / tau) ** 2 / 2 + np.log(sd * np.cosh(w))
    step = np.log(2 * end[..., 0] / (nodes - 1))
    return (
        logsumexp(log_f, axis=-1)
        + step
        - (np.log(2 * np.pi) / 2 + np.log(tau[..., 0]))
        - (gammaln(y[..., 0] + 1))
    )


def integrated(y, eta, tau, df=None):
    r"""
    Log density of the counts y of one row.

    A multinomial is what Poisson counts are given their total, and a flat log total s leaves no
    trace: Mult(y | softmax(x)) = n \int prod_k Poisson(y_k | exp(s + x_k)) ds. With independent
    normal x_k all integrals are one by one; a t is a mixture of normals over its scale.
    """
    y, eta, tau = (np.asarray(x, dtype=float) for x in (y, eta, tau))
    if df is not None:
        # The log of a Gamma(df / 2, df / 2), wide enough for rows far from their means.
        scale = np.linspace(-12, np.log(stats.gamma(df / 2, scale=2 / df).isf(1e-13)), 61)
        density = df / 2 * (np.log(df / 2) + scale - np.exp(scale)) - gammaln(df / 2)
        at_scale = [integrated(y, eta, tau * np.exp(-x / 2)) for x in scale]
        return logsumexp(at_scale + density) + np.log(scale[1] - scale[0])
    n = y.sum()
    middle = np.log(n) - np.logaddexp.reduce(eta)
    low, high = middle - 20 - 12 * tau.max(), middle + 20 + 12 * tau.max()
    for _ in range(4):  # zoom in on where the integrand is not negligible
        s = np.linspace(low, high, 101)
        log_f = poisson_lognormal(y, s[:, None] + eta, tau).sum(axis=-1)
        kept = np.flatnonzero(log_f > log_f.max() - 40)
        low, high = s[max(kept[0] - 1, 0)], s[min(kept[-1] + 1, 100)]
    return np.log(n) + logsumexp(log_f) + np.log(s[1] - s[0])
