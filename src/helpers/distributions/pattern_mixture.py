"""Counts whose menu is one of a few known patterns."""

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import Discrete, SymbolicRandomVariable

from helpers.distributions._menus import _observed
from helpers.distributions._parameters import (
    _as_float,
    _constant,
    _log,
    as_available,
    as_logits,
    as_rv_inputs,
    as_total,
    log_coefficient,
    on_support,
)
from helpers.distributions.masked import MaskedMultinomial, MaskedMultinomialRV

__all__ = ["PatternMixtureMultinomial"]


class PatternMixtureMultinomialRV(SymbolicRandomVariable):
    name = "pattern_mixture_multinomial"
    extended_signature = "[rng],[size],(),(k),(m,k),(m)->[rng],(k)"
    _print_name = ("PatternMixtureMultinomial", "\\operatorname{PatternMixtureMultinomial}")

    @classmethod
    def rv_op(cls, n, logits, patterns, weights, *, size=None, rng=None):
        parameters, size, rng = as_rv_inputs(cls, (n, logits, patterns, weights), size, rng)
        n, logits, patterns, weights = parameters
        next_rng, which = pt.random.categorical(weights, size=size, rng=rng, return_next_rng=True)
        chosen = pt.eq(which[..., None], pt.arange(weights.shape[-1]))
        menu = pt.any(chosen[..., None] & patterns, axis=-2)
        draws = MaskedMultinomialRV.rv_op(n, logits, menu, size=size, rng=next_rng)
        inputs = [rng, size, *parameters]
        return cls(inputs=inputs, outputs=list(draws.owner.outputs))(*inputs)


class PatternMixtureMultinomial(Discrete):
    r"""
    Multinomial whose menu is one of a few known patterns, nobody knows which.

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
        If constants are no menus, no probabilities or no whole numbers, or if observed counts are
        impossible under every pattern.
    pymc.logprob.utils.ParameterValueError
        If symbolic values turn out so when they are evaluated.

    Examples
    --------
    The second category was on the menu of one place in four. A zero of it has two explanations:

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
        counts, patterns = _observed(observed), _constant(variable.owner.inputs[4])
        if counts is not None and patterns is not None and patterns.ndim == 2:
            _refuse_impossible(name, counts, patterns.astype(bool))
        return variable

    @classmethod
    def dist(cls, n, logits=None, *, p=None, patterns, weights, **kwargs):
        weights = _as_float(weights)
        values = _constant(weights)
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
        heaviest = pt.eq(pt.argmax(weights, axis=-1)[..., None], pt.arange(weights.shape[-1]))
        menu = pt.any(heaviest[..., None] & patterns, axis=-2)
        return MaskedMultinomial.support_point(rv, size, n, logits, menu)

    def logp(value, n, logits, patterns, weights):
        """
        Log-probability of counts.

        Parameters
        ----------
        value : tensor_like of int
            Counts, with the K categories on the last axis.

        Returns
        -------
        TensorVariable
        """
        masked = pt.switch(patterns, logits[..., None, :], -np.inf)
        log_p = pt.special.log_softmax(masked, axis=-1)
        y = value[..., None, :]
        terms = _log(weights) + pt.sum(pt.switch(pt.gt(y, 0), y * log_p, 0.0), axis=-1)
        possible = pt.any(pt.gt(terms, -np.inf), axis=-1)
        terms = pt.switch(possible[..., None], terms, 0.0)
        res = log_coefficient(value) + pt.logsumexp(terms, axis=-1)
        return check_parameters(
            on_support(pt.switch(possible, res, -np.inf), value, n),
            pt.ge(n, 0),
            pt.all(pt.any(pt.gt(masked, -np.inf), axis=-1), axis=-1),
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
            f"{np.flatnonzero(~possible)[:10].tolist()}: add patterns that hold all that was "
            "chosen there."
        )
