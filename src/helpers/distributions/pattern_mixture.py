"""Counts whose menu is one of a few known patterns."""

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import Discrete
from pytensor.tensor import TensorLike, TensorVariable

from helpers.distributions._counts import (
    adds_up,
    as_observed,
    log_coefficient,
    log_or_ninf,
    something_on_menu,
)
from helpers.distributions._parameters import (
    as_available,
    as_float,
    as_logits,
    as_total,
    constant_of,
)
from helpers.distributions.masked import MaskedMultinomial, MaskedMultinomialRV
from helpers.ops.random import DrawnRV
from helpers.ops.shares import masked_log_softmax, sum_of_chosen

__all__ = ["PatternMixtureMultinomial"]


class PatternMixtureMultinomialRV(DrawnRV):
    name = "pattern_mixture_multinomial"
    extended_signature = "[rng],[size],(),(k),(m,k),(m)->[rng],(k)"
    _print_name = ("PatternMixtureMultinomial", "\\operatorname{PatternMixtureMultinomial}")

    @staticmethod
    def draw(rng, size, n, logits, patterns, weights):
        rng, which = pt.random.categorical(weights, size=size, rng=rng, return_next_rng=True)
        return MaskedMultinomialRV.draw(rng, size, n, logits, _menu(patterns, weights, which))


def _menu(patterns, weights, which):
    """The patterns of these numbers."""
    chosen = pt.eq(which[..., None], pt.arange(weights.shape[-1]))
    return pt.any(chosen[..., None] & patterns, axis=-2)


class PatternMixtureMultinomial(Discrete):
    r"""
    Multinomial whose menu is one of a few known patterns, but nobody recorded which.

    Unlike :class:`~helpers.MaskedMultinomial`, it is not told each row's menu, but which menus
    there were and how frequent they are. With one pattern the two are the same.

    .. math::

       f(x \mid n, \eta, A, w) = \sum_m w_m \frac{n!}{\prod_k x_k!} \prod_{k: a_{mk} = 1}
       p_{mk}^{x_k}, \qquad p_{mk} = \frac{a_{mk} e^{\eta_k}}{\sum_j a_{mj} e^{\eta_j}}

    ==========  ======================================================
    Support     :math:`x \in \{0, \ldots, n\}^K` such that :math:`\sum_k x_k = n` and that the
                positive ones are together in a pattern of positive weight
    Mean        :math:`n \sum_m w_m p_{mk}`
    ==========  ======================================================

    Parameters
    ----------
    n : tensor_like of int
        Total counts in each replicate (n >= 0). Shape ``(...)``.
    logits : tensor_like of float, optional
        Unnormalised log-probability of each category as if all were on the menu. Shape
        ``(..., K)``.
    p : tensor_like of float, optional
        Latent preferences (p >= 0, sum to 1). Shape ``(..., K)``. Exactly one of `logits` and `p`
        must be given.
    patterns : tensor_like of bool
        The M menus, none of them empty. Shape ``(M, K)``, or ``(..., M, K)``.
    weights : tensor_like of float
        Their probabilities (weights >= 0, sum to 1 over the last axis). Shape ``(..., M)``.

    Returns
    -------
    TensorVariable
        The random variable, with the K categories on its last axis.

    Raises
    ------
    ValueError
        If constant patterns, weights, preferences or totals are invalid, or if observed counts are
        impossible under every pattern.
    pymc.logprob.utils.ParameterValueError
        If symbolic values turn out to be invalid when evaluated.

    Examples
    --------
    The second category was on one menu in four, so a zero of it has two explanations:

    >>> import pymc as pm
    >>> from helpers import PatternMixtureMultinomial
    >>> counts = PatternMixtureMultinomial.dist(
    ...     n=3, p=[0.5, 0.5], patterns=[[1, 1], [1, 0]], weights=[0.25, 0.75]
    ... )
    >>> for y in ([3, 0], [2, 1]):
    ...     print(pm.logp(counts, y).exp().eval().round(6))
    0.78125
    0.09375
    """

    rv_type = PatternMixtureMultinomialRV
    rv_op = PatternMixtureMultinomialRV.rv_op

    def __new__(cls, name, *args, observed=None, **kwargs):
        variable = super().__new__(cls, name, *args, observed=observed, **kwargs)
        counts = as_observed(observed)
        if counts is not None and isinstance(variable.owner.op, cls.rv_type):
            *_, patterns, _ = variable.owner.op.dist_params(variable.owner)
            menus = constant_of(patterns)
            if menus is not None and menus.ndim == 2:
                _refuse_impossible(name, counts, menus.astype(bool))
        return variable

    @classmethod
    def dist(
        cls,
        n: TensorLike,
        logits: TensorLike | None = None,
        *,
        p: TensorLike | None = None,
        patterns: TensorLike,
        weights: TensorLike,
        **kwargs: Any,
    ) -> TensorVariable:
        weights = as_float(weights)
        values = constant_of(weights)
        if values is not None and ((values < 0).any() or not np.allclose(values.sum(axis=-1), 1)):
            raise ValueError(
                "`weights` must be non-negative and sum to 1: they sum to "
                f"{np.unique(values.sum(axis=-1))[:3].tolist()}, the smallest is {values.min():g}."
            )
        patterns = as_available(patterns, "patterns")
        if patterns.ndim < 2:
            raise ValueError("`patterns` must have a row for each menu, and so at least two axes.")
        m, found = patterns.type.shape[-2], weights.type.shape[-1]
        if None not in (m, found) and m != found:
            raise ValueError(f"There are {m} patterns and {found} weights: give one for each.")
        return super().dist([as_total(n), as_logits(logits, p), patterns, weights], **kwargs)

    def support_point(rv, size, n, logits, patterns, weights):
        # The counts expected under the heaviest pattern.
        menu = _menu(patterns, weights, pt.argmax(weights, axis=-1))
        return MaskedMultinomial.support_point(rv, size, n, logits, menu)

    def logp(value, n, logits, patterns, weights):
        """Log-probability of counts, with the K categories on the last axis."""
        log_p = masked_log_softmax(logits[..., None, :], patterns)
        terms = log_or_ninf(weights) + sum_of_chosen(value[..., None, :], log_p)
        possible = pt.any(pt.gt(terms, -np.inf), axis=-1)
        terms = pt.switch(possible[..., None], terms, 0.0)
        res = log_coefficient(value) + pt.logsumexp(terms, axis=-1)
        return check_parameters(
            pt.switch(adds_up(value, n) & possible, res, -np.inf),
            pt.ge(n, 0),
            pt.all(something_on_menu(logits[..., None, :], patterns), axis=-1),
            pt.all(pt.ge(weights, 0), axis=-1),
            pt.isclose(pt.sum(weights, axis=-1), 1),
            msg="n >= 0, a category with p > 0 in every pattern, weights >= 0, sum(weights) = 1",
        )


def _refuse_impossible(name, counts, patterns):
    rows = counts.reshape(-1, counts.shape[-1]) > 0
    possible = (~rows[:, None] | patterns).all(axis=-1).any(axis=-1)
    if not possible.all():
        raise ValueError(
            f"The observed counts of {name!r} are impossible under every pattern in rows "
            f"{np.flatnonzero(~possible)[:10].tolist()}: add patterns with all categories "
            "that were chosen there."
        )
