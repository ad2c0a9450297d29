"""Counts that scatter more than a multinomial, on known menus."""

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import Discrete
from pytensor.tensor import TensorLike, TensorVariable

from helpers.distributions._counts import adds_up, log_coefficient, something_on_menu
from helpers.distributions._gamma import log_gamma_draws, log_rising
from helpers.distributions._parameters import as_available, as_logits, as_positive, as_total
from helpers.distributions.masked import MaskedMultinomial, MaskedMultinomialRV
from helpers.ops.random import DrawnRV
from helpers.ops.shares import masked_log_softmax

__all__ = ["MaskedDirichletMultinomial"]


_REQUIRED = "n >= 0, concentration > 0, at least one category with p > 0 available in every row"


class MaskedDirichletMultinomialRV(DrawnRV):
    name = "masked_dirichlet_multinomial"
    extended_signature = "[rng],[size],(),(k),(),(k)->[rng],(k)"
    _print_name = ("MaskedDirichletMultinomial", "\\operatorname{MaskedDirichletMultinomial}")

    @staticmethod
    def draw(rng, size, n, logits, concentration, available):
        concentration = check_parameters(
            concentration,
            pt.all(pt.gt(concentration, 0)),
            msg=_REQUIRED,
            can_be_replaced_by_ninf=False,
        )
        log_a = masked_log_softmax(logits, available) + pt.log(concentration)[..., None]
        shape = pt.concatenate([size, [log_a.shape[-1]]])
        rng, log_gamma = log_gamma_draws(rng, shape, log_a)
        return MaskedMultinomialRV.draw(rng, size, n, log_gamma, available)


class MaskedDirichletMultinomial(Discrete):
    r"""
    Dirichlet-multinomial distribution over the categories that were on the menu.

    Unlike :class:`pymc.DirichletMultinomial`, it leaves out the categories that could not be
    chosen. Unlike :class:`~helpers.MaskedMultinomial`, the probabilities themselves scatter from
    row to row, so that counts of the same preferences and the same menu differ by more than
    chance; as the concentration grows the two become the same.

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
        ``(..., K)``. Values of unavailable categories are ignored.
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
        If symbolic values turn out to be invalid when evaluated.

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
    def dist(
        cls,
        n: TensorLike,
        logits: TensorLike | None = None,
        *,
        p: TensorLike | None = None,
        concentration: TensorLike,
        available: TensorLike,
        **kwargs: Any,
    ) -> TensorVariable:
        concentration = as_positive(concentration, "concentration")
        logits = as_logits(logits, p)
        return super().dist([as_total(n), logits, concentration, as_available(available)], **kwargs)

    def support_point(rv, size, n, logits, concentration, available):
        return MaskedMultinomial.support_point(rv, size, n, logits, available)

    def logp(value, n, logits, concentration, available):
        """Log-probability of counts, with the K categories on the last axis."""
        log_phi = pt.log(concentration)
        log_a = masked_log_softmax(logits, available) + log_phi[..., None]
        positive = pt.gt(value, 0)
        # Only what was chosen has a term, so nothing is said of the categories off the menu.
        rising = log_rising(pt.switch(positive, log_a, 0.0), pt.switch(positive, value, 0))
        total = pt.sum(value, axis=-1)
        res = log_coefficient(value) + pt.sum(rising, axis=-1) - log_rising(log_phi, total)
        on_menu = pt.all(available | pt.invert(positive), axis=-1)
        return check_parameters(
            pt.switch(adds_up(value, n) & on_menu, res, -np.inf),
            pt.ge(n, 0),
            pt.gt(concentration, 0),
            something_on_menu(logits, available),
            msg=_REQUIRED,
        )
