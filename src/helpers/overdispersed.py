"""PyMC distributions of counts that scatter more than a multinomial, on menus known or not."""

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import Discrete, SymbolicRandomVariable
from pytensor.tensor.variable import TensorConstant

from helpers.distributions import (
    MaskedMultinomial,
    MaskedMultinomialRV,
    as_available,
    as_logits,
    as_rv_inputs,
    as_total,
    log_coefficient,
    on_support,
)
from helpers.unknown_menus import (
    GROUP_LIMIT,
    as_menu_parameters,
    draw_menus,
    effective_psi,
    in_doubt_somewhere,
    menu_totals,
    menu_weights,
    psi_is_right,
)

__all__ = ["MaskedDirichletMultinomial", "ZeroInflatedDirichletMultinomial"]

# From here on Stirling's series holds to rounding.
SHIFT = 8


def _log_rising(log_a, count):
    """
    Logarithm of a (a + 1) ... (a + count - 1), to rounding, for any a and count.

    The difference of two log-gammas, but neither is worked out: they are large where their
    difference is small, and their gradients take three quarters of a model's time. Moved up by
    `SHIFT`, where Stirling's series holds to rounding, the difference is written term by term.
    """
    a = pt.exp(log_a)
    low, high = a + SHIFT, a + SHIFT + count
    # a itself may have under-flowed, its logarithm has not.
    moved = pt.log((a + count) * _seven_factors(a + count) / _seven_factors(a)) - log_a
    stirling = (low - 0.5) * pt.log1p(count / low) + count * (pt.log(high) - 1)
    res = stirling + _stirling_series(high) - _stirling_series(low) - moved
    return pt.switch(pt.eq(count, 0), 0.0, res)


def _seven_factors(x):
    """(x + 1) (x + 2) ... (x + 7), in pairs that are as far from 4 on both sides."""
    square = x * (x + 8)
    return (x + 4) * (square + 7) * (square + 12) * (square + 15)


def _stirling_series(x):
    """What Stirling's formula leaves of log Gamma(x); to 1e-14 from 8 on."""
    y = 1 / (x * x)
    return (
        1 / 12
        - y
        * (
            1 / 360
            - y * (1 / 1260 - y * (1 / 1680 - y * (1 / 1188 - y * (691 / 360360 - y / 156))))
        )
    ) / x


def _log_gamma_draws(log_a, shape, rng):
    """Logarithms of Gamma(a, 1) draws, which do not under-flow where a is small."""
    a = pt.exp(log_a)
    rng, whole = pt.random.gamma(a + 1, scale=1.0, size=shape, rng=rng, return_next_rng=True)
    rng, wait = pt.random.exponential(size=shape, rng=rng, return_next_rng=True)
    # Gamma(a) is Gamma(a + 1) U^(1/a); the floor keeps what never happens finite.
    return rng, pt.log(whole) - wait / pt.maximum(a, 1e-290)


_MASKED_NEED = "n >= 0, concentration > 0, at least one category with p > 0 available in every row"
_INFLATED_NEED = (
    "n >= 0, a > 0, 0 <= psi <= 1, and in every row a category that is sure to be on the menu "
    "(psi = 1, or available = 1)"
)


class MaskedDirichletMultinomialRV(SymbolicRandomVariable):
    name = "masked_dirichlet_multinomial"
    extended_signature = "[rng],[size],(),(k),(),(k)->[rng],(k)"
    _print_name = ("MaskedDirichletMultinomial", "\\operatorname{MaskedDirichletMultinomial}")

    @classmethod
    def rv_op(cls, n, logits, concentration, available, *, size=None, rng=None):
        parameters, size, rng = as_rv_inputs(cls, (n, logits, concentration, available), size, rng)
        n, logits, concentration, available = parameters
        concentration = check_parameters(
            concentration,
            pt.all(pt.gt(concentration, 0)),
            msg=_MASKED_NEED,
            can_be_replaced_by_ninf=False,
        )
        log_p = pt.special.log_softmax(pt.switch(available, logits, -np.inf), axis=-1)
        log_a = log_p + pt.log(concentration)[..., None]
        shape = pt.concatenate([size, [log_a.shape[-1]]])
        next_rng, log_gamma = _log_gamma_draws(log_a, shape, rng)
        draws = MaskedMultinomialRV.rv_op(n, log_gamma, available, size=size, rng=next_rng)
        inputs = [rng, size, *parameters]
        return cls(inputs=inputs, outputs=list(draws.owner.outputs))(*inputs)


class MaskedDirichletMultinomial(Discrete):
    r"""
    Dirichlet-multinomial distribution over the categories that were on the menu.

    Unlike :class:`pymc.DirichletMultinomial`, which has no place for a category that could not be
    chosen, it leaves those out. Unlike :class:`~helpers.MaskedMultinomial`, the probabilities
    themselves scatter from row to row, so that counts of the same preferences and the same menu
    differ by more than chance; as the concentration grows the two become the same.

    .. math::

       f(x \mid n, \eta, \varphi, a) = \frac{n! \, \Gamma(\varphi)}{\Gamma(n + \varphi)}
       \prod_{k: a_k = 1} \frac{\Gamma(x_k + \varphi p_k)}{x_k! \, \Gamma(\varphi p_k)},
       \qquad p_k = \frac{a_k e^{\eta_k}}{\sum_j a_j e^{\eta_j}}

    ==========  ======================================================
    Support     :math:`x \in \{0, 1, \ldots, n\}^K` such that
                :math:`\sum_k x_k = n` and :math:`x_k = 0` if :math:`a_k = 0`
    Mean        :math:`n p_k`
    Variance    :math:`n p_k (1 - p_k) (n + \varphi) / (1 + \varphi)`
    ==========  ======================================================

    Parameters
    ----------
    n : tensor_like of int
        Total counts in each replicate (n >= 0). Shape ``(...)``.
    logits : tensor_like of float, optional
        Unnormalised log-probability of each category as if all were on the menu. Shape
        ``(..., K)``. Values of unavailable categories are not looked at.
    p : tensor_like of float, optional
        Latent preferences (p >= 0, sum to 1). Shape ``(..., K)``. Exactly one of `logits` and `p`
        must be given.
    concentration : tensor_like of float
        How closely the probabilities of a row keep to the shares expected under its menu
        (concentration > 0); the same whatever is on the menu. Two choices of one row have the
        correlation 1 / (1 + concentration). Shape ``(...)``.
    available : tensor_like of bool
        Which categories were on the menu, at least one in every row. Shape ``(..., K)``.

    Returns
    -------
    TensorVariable
        The random variable, with the K categories on its last axis.

    Raises
    ------
    ValueError
        If a constant `n` is not whole, `concentration` not positive, `p` negative or its sum not
        1, `available` not boolean or a menu empty, or if not exactly one of `logits` and `p` is
        given.
    pymc.logprob.utils.ParameterValueError
        If symbolic values turn out so when they are evaluated.

    References
    ----------
    Mosimann, J. E. (1962). On the compound multinomial distribution, the multivariate
    beta-distribution, and correlations among proportions. Biometrika, 49(1/2), 65-82.

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers import MaskedDirichletMultinomial
    >>> counts = MaskedDirichletMultinomial.dist(
    ...     n=10, p=[0.5, 0.3, 0.2], concentration=8.0, available=[True, True, False]
    ... )
    >>> print(pm.logp(counts, [6, 4, 0]).eval().round(6))
    -1.820342

    Without the third category the two others share 8 as 5 and 3:

    >>> from scipy.stats import dirichlet_multinomial
    >>> print(dirichlet_multinomial.logpmf([6, 4], [5, 3], 10).round(6))
    -1.820342
    """

    rv_type = MaskedDirichletMultinomialRV
    rv_op = MaskedDirichletMultinomialRV.rv_op

    @classmethod
    def dist(cls, n, logits=None, *, p=None, concentration, available, **kwargs):
        concentration = _positive(concentration, "concentration")
        logits = as_logits(logits, p)
        return super().dist([as_total(n), logits, concentration, as_available(available)], **kwargs)

    def support_point(rv, size, n, logits, concentration, available):
        return MaskedMultinomial.support_point(rv, size, n, logits, available)

    def logp(value, n, logits, concentration, available):
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
        masked = pt.switch(available, logits, -np.inf)
        log_phi = pt.log(concentration)
        log_a = pt.special.log_softmax(masked, axis=-1) + log_phi[..., None]
        positive = pt.gt(value, 0)
        # Only what was chosen has a term, so nothing is said of the categories off the menu.
        rising = _log_rising(pt.switch(positive, log_a, 0.0), pt.switch(positive, value, 0))
        total = pt.sum(value, axis=-1)
        res = log_coefficient(value) + pt.sum(rising, axis=-1) - _log_rising(log_phi, total)
        impossible = pt.any(positive & pt.invert(available), axis=-1)
        return check_parameters(
            on_support(pt.switch(impossible, -np.inf, res), value, n),
            pt.ge(n, 0),
            pt.gt(concentration, 0),
            pt.any(pt.gt(masked, -np.inf), axis=-1),
            msg=_MASKED_NEED,
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
    >>> from helpers.overdispersed import ZeroInflatedDirichletMultinomial
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


def _positive(values, name):
    """Coerce to floats, refusing constants that are not positive."""
    tensor = pt.as_tensor(values).astype("float64")
    constant = pt.as_tensor(values)
    if isinstance(constant, TensorConstant):
        wrong = np.asarray(constant.data)
        wrong = wrong[~(np.isfinite(wrong) & (wrong > 0))]
        if wrong.size:
            raise ValueError(f"`{name}` must be positive: found {wrong[:3].tolist()}.")
    return tensor
