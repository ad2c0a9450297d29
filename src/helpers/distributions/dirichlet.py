"""Counts that scatter more than a multinomial, on known menus."""

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import Discrete, SymbolicRandomVariable

from helpers.distributions._gamma import _log_gamma_draws, _log_rising
from helpers.distributions._parameters import (
    _positive,
    as_available,
    as_logits,
    as_rv_inputs,
    as_total,
    log_coefficient,
    on_support,
)
from helpers.distributions.masked import MaskedMultinomial, MaskedMultinomialRV

__all__ = ["MaskedDirichletMultinomial"]


_MASKED_NEED = "n >= 0, concentration > 0, at least one category with p > 0 available in every row"


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
