"""Counts that scatter more than a multinomial, on unknown menus."""

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import Discrete, SymbolicRandomVariable

from helpers.distributions._gamma import _log_gamma_draws, _log_rising
from helpers.distributions._menus import (
    GROUP_LIMIT,
    as_menu_parameters,
    draw_menus,
    effective_psi,
    in_doubt_somewhere,
    menu_totals,
    menu_weights,
    psi_is_right,
)
from helpers.distributions._parameters import (
    _positive,
    as_rv_inputs,
    as_total,
    log_coefficient,
    on_support,
)
from helpers.distributions.masked import MaskedMultinomial, MaskedMultinomialRV

__all__ = ["ZeroInflatedDirichletMultinomial"]


_INFLATED_NEED = (
    "n >= 0, a > 0, 0 <= psi <= 1, and in every row a category that is sure to be on the menu "
    "(psi = 1, or available = 1)"
)


class ZeroInflatedDirichletMultinomialRV(SymbolicRandomVariable):
    name = "zero_inflated_dirichlet_multinomial"
    extended_signature = "[rng],[size],(),(k),(k),(k)->[rng],(k)"
    _print_name = (
        "ZeroInflatedDirichletMultinomial",
        "\\operatorname{ZeroInflatedDirichletMultinomial}",
    )

    @classmethod
    def rv_op(cls, n, a, psi, available, *, size=None, rng=None):
        parameters, size, rng = as_rv_inputs(cls, (n, a, psi, available), size, rng)
        n, a, psi, available = parameters
        full = effective_psi(psi, available)
        full = check_parameters(
            full,
            *psi_is_right(full, nonempty=False),
            pt.all(pt.gt(a, 0)),
            msg=_INFLATED_NEED,
            can_be_replaced_by_ninf=False,
        )
        next_rng, menu = draw_menus(full, False, size, rng)
        shape = pt.concatenate([size, [a.shape[-1]]])
        next_rng, log_gamma = _log_gamma_draws(pt.log(a), shape, next_rng)
        draws = MaskedMultinomialRV.rv_op(n, log_gamma, menu, size=size, rng=next_rng)
        inputs = [rng, size, *parameters]
        return cls(inputs=inputs, outputs=list(draws.owner.outputs))(*inputs)


class ZeroInflatedDirichletMultinomial(Discrete):
    r"""
    Dirichlet-multinomial whose categories are each on the menu with some probability.

    Unlike :class:`~helpers.ZeroInflatedMultinomial`, it has two explanations for a zero of a
    category that is chosen elsewhere: it was not on the menu, or its probability was next to
    nothing in that row. With ``psi = 1`` everywhere it is :class:`pymc.DirichletMultinomial`. This
    is the ZANIDM of Menezes, Parnell and Murphy (2025).

    .. math::

       f(x \mid n, a, \psi) = \sum_{m \in \{0, 1\}^K}
       \prod_k \psi_k^{m_k} (1 - \psi_k)^{1 - m_k} \;
       \frac{n! \, \Gamma(A_m)}{\Gamma(n + A_m)}
       \prod_{k: m_k = 1} \frac{\Gamma(x_k + a_k)}{x_k! \, \Gamma(a_k)}, \qquad
       A_m = \sum_k m_k a_k

    ==========  ======================================================
    Support     :math:`x \in \{0, \ldots, n\}^K` such that :math:`\sum_k x_k = n` and
                :math:`x_k = 0` where :math:`\psi_k = 0`
    Mean        :math:`n \sum_m P(m) m_k a_k / A_m`
    ==========  ======================================================

    Parameters
    ----------
    n : tensor_like of int
        Total counts in each replicate (n >= 0). Shape ``(...)``.
    a : tensor_like of float
        Concentration of each category (a > 0). Shape ``(..., K)``. Those on a menu keep theirs,
        whatever else is on it, so that shorter menus scatter more; in
        :class:`~helpers.MaskedDirichletMultinomial` their sum is the same on all menus.
    psi : tensor_like of float
        Probability of being on the menu (0 <= psi <= 1), 1 for one category at least. Shape
        ``(..., K)``.
    available : array_like, optional
        What is known of the menus: 1 where a category was on it, 0 where it was not, NaN where
        nobody knows. Shape ``(..., K)``.

    Returns
    -------
    TensorVariable
        The random variable, with the K categories on its last axis.

    Raises
    ------
    ValueError
        If constants are out of their range, or if more than 16 categories are in doubt, whose
        menus are gone through one by one.
    pymc.logprob.utils.ParameterValueError
        If symbolic values turn out of their range, or if no category is sure to be on the menu.

    References
    ----------
    Menezes, A. F. B., Parnell, A. C., & Murphy, K. (2025). Finite mixture representations of
    zero-and-N-inflated distributions for count-compositional data. Journal of Multivariate
    Analysis, 210, 105492.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc as pm
    >>> from helpers import ZeroInflatedDirichletMultinomial
    >>> counts = ZeroInflatedDirichletMultinomial.dist(n=10, a=[4, 2, 2], psi=[1, 1, 0.5])
    >>> print(pm.logp(counts, [6, 4, 0]).eval().round(6))
    -2.516669

    By hand, the sum over the two menus:

    >>> from scipy.stats import dirichlet_multinomial
    >>> with_it = dirichlet_multinomial.pmf([6, 4, 0], [4, 2, 2], 10)
    >>> without = dirichlet_multinomial.pmf([6, 4], [4, 2], 10)
    >>> print(np.log(0.5 * with_it + 0.5 * without).round(6))
    -2.516669
    """

    rv_type = ZeroInflatedDirichletMultinomialRV
    rv_op = ZeroInflatedDirichletMultinomialRV.rv_op

    @classmethod
    def dist(cls, n, a, *, psi, available=None, **kwargs):
        a = _positive(a, "a")
        _, psi, available = as_menu_parameters(pt.zeros(1), None, psi, available, nonempty=False)
        return super().dist([as_total(n), a, psi, available], **kwargs)

    def support_point(rv, size, n, a, psi, available):
        menu = pt.gt(effective_psi(psi, available), 0)
        return MaskedMultinomial.support_point(rv, size, n, pt.log(a), menu)

    def logp(value, n, a, psi, available):
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
        places = in_doubt_somewhere(value, available)
        if len(places) > GROUP_LIMIT:
            raise ValueError(
                f"{len(places)} categories are in doubt, which makes 2 to the power of as many "
                f"menus; up to {GROUP_LIMIT} are possible. Say in `available` which are known."
            )
        psi, a, value = pt.broadcast_arrays(effective_psi(psi, available), a, value)
        positive = pt.gt(value, 0)
        in_doubt = pt.invert(positive) & pt.lt(psi, 1) & pt.gt(psi, 0)
        sure = pt.sum(pt.switch(positive | pt.ge(psi, 1), a, 0.0), axis=-1, keepdims=True)
        some = pt.gt(sure, 0)
        # Against the sure ones as in the multinomial, so that both share what adds menus up.
        log_ratio = pt.log(a / pt.switch(some, sure, 1.0))
        log_sum = pt.log(pt.switch(some, sure, 1.0)) + menu_totals(log_ratio, places)
        total = pt.sum(value, axis=-1)
        log_weight = menu_weights(psi, in_doubt, places)
        res = pt.logsumexp(log_weight - _log_rising(log_sum, total[..., None]), axis=-1)
        rising = _log_rising(pt.log(a), pt.switch(positive, value, 0))
        chance = pt.switch(positive, pt.log(pt.switch(pt.gt(psi, 0), psi, 1.0)), 0.0)
        res = res + log_coefficient(value) + pt.sum(rising + chance, axis=-1)
        res = pt.switch(pt.eq(total, 0) & pt.eq(n, 0), 0.0, res)
        impossible = pt.any(positive & pt.eq(psi, 0), axis=-1)
        return check_parameters(
            on_support(pt.switch(impossible, -np.inf, res), value, n),
            pt.ge(n, 0),
            pt.all(pt.gt(a, 0), axis=-1),
            *psi_is_right(psi, nonempty=False),
            msg=_INFLATED_NEED,
        )
