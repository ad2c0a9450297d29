"""The mean over unknown menus of a multinomial's normalisation, by an integral."""

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad
from pytensor.tensor import TensorLike, TensorVariable

from helpers.distributions._gamma import SHIFT, stirling_series
from helpers.distributions._parameters import as_float

__all__ = ["log_mean_over_menus"]


# Nats below the largest term at which terms are left out: exp(-30) is 1e-13.
NATS = 30.0


# Beyond this the weight of a category outdoes all others' by far more than counts can tell.
LARGEST_LOG_RATIO = 300.0


def log_mean_over_menus(
    n: TensorLike, log_ratio: TensorLike, psi: TensorLike, in_doubt: TensorLike
) -> TensorVariable:
    r"""
    Logarithm of the mean of (1 + sum of the weights on the menu) to the power of -n.

    With :math:`r_k` the weight of category k relative to all that are certain to be on the menu,
    and independent :math:`a_k` that are 1 with probability :math:`\psi_k`, this is

    .. math::

       E_a\Big(1 + \sum_k a_k r_k\Big)^{-n}
       = \frac{1}{\Gamma(n)} \int_0^\infty u^{n-1} e^{-u}
         \prod_k \big(1 - \psi_k + \psi_k e^{-u r_k}\big) \, du,

    one integral in place of a sum over all menus: its work grows with the number of categories
    and not with that of their subsets. It is taken by the trapezoidal rule in
    :math:`s = \log(u/n)`, which converges geometrically.

    Parameters
    ----------
    n : tensor_like of float
        Totals (n >= 1). Shape ``(...)``.
    log_ratio : tensor_like of float
        :math:`\log r_k`. Shape ``(..., K)``.
    psi : tensor_like of float
        Probabilities. Shape ``(..., K)``.
    in_doubt : tensor_like of bool
        Which categories the mean is over; the others' ratio and psi are ignored. Shape
        ``(..., K)``.

    Returns
    -------
    TensorVariable
        Shape ``(...)``.

    Notes
    -----
    The integrand is a sum over menus a of Gamma densities in log u, all of one shape, each about
    :math:`s_a = -\log(1 + \sum_k a_k r_k)`. So a step that is small enough for one of them is for
    all, whatever their weights: with step h the relative error is
    :math:`2 |\Gamma(n + 2 \pi i / h)| / \Gamma(n)`, below 1e-10 here. And the nodes must reach
    from the smallest to the largest :math:`s_a` that matters: the heaviest menus are those of all
    categories below some threshold of :math:`r_k / \operatorname{logit} \psi_k`, so sorting finds
    them, and with them the range. Every row has its own; the number of nodes is what the widest
    needs.

    References
    ----------
    Trefethen, L. N., & Weideman, J. A. C. (2014). The exponentially convergent trapezoidal rule.
    SIAM Review, 56(3), 385-458.

    Examples
    --------
    One category in doubt, as heavy as the others together, in two choices: 3/4 + 1/4 · 1/4.

    >>> import numpy as np
    >>> from helpers.distributions import log_mean_over_menus
    >>> log_mean = log_mean_over_menus(2.0, [0.0], [0.25], [True])
    >>> print(np.exp(log_mean.eval()).round(10))
    0.8125
    """
    n, log_ratio = as_float(n), as_float(log_ratio)
    in_doubt = pt.as_tensor(in_doubt)
    chance = pt.switch(in_doubt, as_float(psi), 0.0)
    log_ratio = pt.switch(in_doubt, pt.minimum(log_ratio, LARGEST_LOG_RATIO), 0.0)
    low, high = _range(n, log_ratio, chance, in_doubt)
    widest = pt.max((high - low) / _step(n))
    count = pt.cast(pt.ceil(disconnected_grad(widest)), "int64") + 1
    low, high = disconnected_grad(low), disconnected_grad(high)
    h = (high - low) / (count - 1)
    s = low[..., None] + h[..., None] * pt.arange(count)

    u = (n[..., None] * pt.exp(s))[..., None]
    factors = (
        1
        - chance[..., None, :]
        + chance[..., None, :] * pt.exp(-u * pt.exp(log_ratio)[..., None, :])
    )
    log_f = pt.sum(pt.log(factors), axis=-1) - n[..., None] * (pt.expm1(s) - s)
    return _log_scale(n) + pt.log(h) + pt.logsumexp(log_f, axis=-1)


def _step(n):
    """Distance of nodes at which the rule's relative error is below 1e-10."""
    return 2 * np.pi / (pt.sqrt(48 * n) + 10)


def _range(n, log_ratio, psi, in_doubt):
    """First and last node of each row."""
    log_odds = pt.log(pt.switch(in_doubt, psi, 0.5)) - pt.log1p(-pt.switch(in_doubt, psi, 0.5))
    gain = pt.maximum(log_odds, 0.0)
    ratio = pt.switch(in_doubt, pt.exp(log_ratio), 0.0)
    # The heaviest menu at any u holds what gains more than it costs, u r < logit psi: sorted by
    # r / logit psi these come first, and those that never gain come last.
    key = pt.switch(pt.gt(gain, 0), log_ratio - pt.log(pt.maximum(gain, 1e-300)), np.inf)
    order = pt.argsort(key, axis=-1)
    none = pt.zeros_like(ratio[..., :1])
    total = pt.cumsum(pt.take_along_axis(ratio, order, axis=-1), axis=-1)
    total = pt.concatenate([none, total], axis=-1)
    gained = pt.cumsum(pt.take_along_axis(gain, order, axis=-1), axis=-1)
    weight = pt.concatenate([none, gained], axis=-1) - n[..., None] * pt.log1p(total)
    # Each of the 2^Z menus may add as much as the heaviest.
    nats = NATS + np.log(2) * pt.sum(in_doubt, axis=-1)
    matters = pt.ge(weight, pt.max(weight, axis=-1, keepdims=True) - nats[..., None])
    centre = -pt.log1p(total)
    first = pt.min(pt.switch(matters, centre, np.inf), axis=-1)
    last = pt.max(pt.switch(matters, centre, -np.inf), axis=-1)
    # n (exp(s) - 1 - s) exceeds `nats` beyond these, by bounds that hold at every n.
    c = nats / n
    reach = pt.sqrt(2 * c) + c
    return first - reach, last + pt.log1p(reach)


def _log_scale(n):
    """log(n^n exp(-n) / Gamma(n)): the difference of large numbers, written without them."""
    large = pt.maximum(n, SHIFT)
    small = pt.minimum(n, SHIFT)
    exact = small * pt.log(small) - small - pt.gammaln(small)
    return pt.switch(
        pt.ge(n, SHIFT), 0.5 * pt.log(large / (2 * np.pi)) - stirling_series(large), exact
    )
