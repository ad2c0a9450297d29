"""What counts say about the menus that nobody recorded."""

import pytensor.tensor as pt
from pytensor.tensor import TensorLike, TensorVariable

from helpers.distributions._groups import first_rows
from helpers.distributions._menus import effective_psi, log_nonempty
from helpers.distributions.pattern_mixture import (
    PatternMixtureMultinomial,
    PatternMixtureMultinomialRV,
)
from helpers.distributions.zero_inflated import ZeroInflatedMultinomialRV, log_probability

__all__ = ["menu_posterior"]


def menu_posterior(counts: TensorVariable, value: TensorLike) -> TensorVariable:
    """
    Probability that each category was on each row's menu, given the counts and all parameters.

    The likelihood is linear in the probability of each menu, so the posterior is a gradient of its
    logarithm: psi (1 + (1 - psi) d log L / d psi) where categories are on the menu with
    probability psi, and w d log L / d w for patterns of weight w.

    Parameters
    ----------
    counts : TensorVariable
        A :class:`~helpers.ZeroInflatedMultinomial` or :class:`~helpers.PatternMixtureMultinomial`.
    value : tensor_like of int
        Its observed value. Shape ``(..., K)``.

    Returns
    -------
    TensorVariable
        A graph of the parameters of `counts`. Shape ``(..., K)``.

    Raises
    ------
    ValueError
        If `counts` is of another kind.

    Examples
    --------
    None of 40 choices is of the first category, which half of those who can would choose, so it
    was not on the menu. Two choices say much less:

    >>> from helpers import ZeroInflatedMultinomial
    >>> from helpers.distributions import menu_posterior
    >>> counts = ZeroInflatedMultinomial.dist([40, 2], p=[0.5, 0.5], psi=[0.5, 1.0])
    >>> print(menu_posterior(counts, [[0, 40], [0, 2]]).eval().round(3))
    [[0.  1. ]
     [0.2 1. ]]
    """
    op, value = counts.owner.op, pt.as_tensor(value)
    if isinstance(op, PatternMixtureMultinomialRV):
        n, logits, patterns, weights = op.dist_params(counts.owner)
        weights = pt.broadcast_to(weights, (*value.shape[:-1], weights.shape[-1]))
        logp = PatternMixtureMultinomial.logp(
            value,  # type: ignore[arg-type]
            n,
            logits,
            patterns,
            weights,
        )
        share = weights * pt.grad(pt.sum(logp), weights)
        return pt.sum(share[..., None] * patterns, axis=-2)
    if not isinstance(op, ZeroInflatedMultinomialRV):
        raise ValueError(
            f"{counts.name!r} has no unknown menus: it must be a ZeroInflatedMultinomial or a "
            "PatternMixtureMultinomial."
        )
    n, logits, psi, available = op.dist_params(counts.owner)
    psi = pt.broadcast_to(effective_psi(psi, available), value.shape)
    first = slice(None) if op.codes is None else first_rows(op.codes)
    logp = log_probability(op, value, n, logits, psi, known=None, nonempty=True)
    # As likely as the data are with an empty menu allowed, in which every psi is linear.
    logp = logp + log_nonempty(psi[first])
    out = psi * (1 + (1 - psi) * pt.grad(pt.sum(logp), psi))
    return out if op.codes is None else out[first][op.codes]
