"""Counts that scatter more than a multinomial, on unknown menus."""

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import Discrete
from pytensor.tensor import TensorLike, TensorVariable

from helpers.distributions._counts import adds_up, log_coefficient, log_or_ninf
from helpers.distributions._gamma import log_gamma_draws, log_rising
from helpers.distributions._menus import (
    PSI_REQUIRED,
    as_psi,
    chosen_and_in_doubt,
    draw_menus,
    effective_psi,
    menu_totals,
    menu_weights,
    number_of_categories,
    positions_in_doubt,
    psi_conditions,
    refuse_too_many,
)
from helpers.distributions._parameters import as_positive, as_total, constant_of
from helpers.distributions.masked import MaskedMultinomial, MaskedMultinomialRV
from helpers.ops.random import DrawnRV

__all__ = ["ZeroInflatedDirichletMultinomial"]


_REQUIRED = f"n >= 0, a > 0, {PSI_REQUIRED}"


class ZeroInflatedDirichletMultinomialRV(DrawnRV):
    name = "zero_inflated_dirichlet_multinomial"
    extended_signature = "[rng],[size],(),(k),(k),(k)->[rng],(k)"
    _print_name = (
        "ZeroInflatedDirichletMultinomial",
        "\\operatorname{ZeroInflatedDirichletMultinomial}",
    )

    @staticmethod
    def draw(rng, size, n, a, psi, available):
        psi = effective_psi(psi, available)
        psi = check_parameters(
            psi,
            *psi_conditions(psi, nonempty=False),
            pt.all(pt.gt(a, 0)),
            msg=_REQUIRED,
            can_be_replaced_by_ninf=False,
        )
        rng, menu = draw_menus(rng, size, psi, nonempty=False)
        shape = pt.concatenate([size, [a.shape[-1]]])
        rng, log_gamma = log_gamma_draws(rng, shape, pt.log(a))
        return MaskedMultinomialRV.draw(rng, size, n, log_gamma, menu)


class ZeroInflatedDirichletMultinomial(Discrete):
    r"""
    Dirichlet-multinomial whose categories are each on the menu with probability psi.

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
        If constants are out of range, or if more than 16 categories are in doubt, whose menus are
        enumerated.
    pymc.logprob.utils.ParameterValueError
        If symbolic values turn out to be out of range, or if no category is certain to be on the
        menu.

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
    def dist(
        cls,
        n: TensorLike,
        a: TensorLike,
        *,
        psi: TensorLike,
        available: TensorLike | None = None,
        **kwargs: Any,
    ) -> TensorVariable:
        psi, available = as_psi(psi, available, nonempty=False)
        return super().dist([as_total(n), as_positive(a, "a"), psi, available], **kwargs)

    def support_point(rv, size, n, a, psi, available):
        menu = pt.gt(effective_psi(psi, available), 0)
        return MaskedMultinomial.support_point(rv, size, n, pt.log(a), menu)

    def logp(value, n, a, psi, available):
        """Log-probability of counts, with the K categories on the last axis."""
        n_categories = number_of_categories(value, a, psi, available)
        positions = positions_in_doubt(value, n_categories, constant_of(available))
        refuse_too_many(positions)
        psi, a, value = pt.broadcast_arrays(  # type: ignore[assignment]
            effective_psi(psi, available), a, value
        )
        positive, certain, in_doubt = chosen_and_in_doubt(value, psi)
        of_certain = pt.sum(pt.switch(certain, a, 0.0), axis=-1, keepdims=True)
        # Without any choices nothing need be certain, and the log-probability is 0.
        of_certain = pt.switch(pt.gt(of_certain, 0), of_certain, 1.0)
        # Against the certain ones as in the multinomial, so that both share what adds menus up.
        log_sum = pt.log(of_certain) + menu_totals(pt.log(a / of_certain), positions)
        total = pt.sum(value, axis=-1)
        log_weight = menu_weights(psi, in_doubt, positions)
        res = pt.logsumexp(log_weight - log_rising(log_sum, total[..., None]), axis=-1)
        rising = log_rising(pt.log(a), pt.switch(positive, value, 0))
        chance = pt.switch(positive, log_or_ninf(psi), 0.0)
        res = res + log_coefficient(value) + pt.sum(rising + chance, axis=-1)
        res = pt.switch(pt.any(positive, axis=-1), res, 0.0)
        return check_parameters(
            pt.switch(adds_up(value, n), res, -np.inf),
            pt.ge(n, 0),
            pt.all(pt.gt(a, 0), axis=-1),
            *psi_conditions(psi, nonempty=False),
            msg=_REQUIRED,
        )
