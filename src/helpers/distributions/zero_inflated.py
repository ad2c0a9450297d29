"""Counts whose categories are each on the menu with some probability."""

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import Discrete, SymbolicRandomVariable

from helpers.distributions._grouped import _GroupedZeroInflatedMultinomial
from helpers.distributions._menus import (
    _NEED,
    _checked,
    _chosen,
    _columns_in_doubt,
    _observed,
    _refuse_off_menu,
    as_menu_parameters,
    draw_menus,
    effective_psi,
    in_doubt_somewhere,
    menu_totals,
    menu_weights,
    psi_is_right,
)
from helpers.distributions._parameters import _constant, _log, as_rv_inputs, as_total
from helpers.distributions.masked import MaskedMultinomial, MaskedMultinomialRV
from helpers.distributions.quadrature import log_mean_over_menus

__all__ = ["ZeroInflatedMultinomial"]


# Up to this many categories in doubt, going through all menus costs less than the integral.
ENUMERATE_UP_TO = 6


METHODS = ("auto", "enumerate", "quadrature")


class ZeroInflatedMultinomialRV(SymbolicRandomVariable):
    name = "zero_inflated_multinomial"
    extended_signature = "[rng],[size],(),(k),(k),(k),(),()->[rng],(k)"
    _print_name = ("ZeroInflatedMultinomial", "\\operatorname{ZeroInflatedMultinomial}")

    @classmethod
    def rv_op(cls, n, logits, psi, available, method, nonempty, *, size=None, rng=None):
        parameters, size, rng = as_rv_inputs(
            cls, (n, logits, psi, available, method, nonempty), size, rng
        )
        n, logits, psi, available, method, nonempty = parameters
        conditional = bool(_constant(nonempty))
        full = effective_psi(psi, available)
        full = check_parameters(
            full, *psi_is_right(full, conditional), msg=_NEED, can_be_replaced_by_ninf=False
        )
        next_rng, menu = draw_menus(full, conditional, size, rng)
        draws = MaskedMultinomialRV.rv_op(n, logits, menu, size=size, rng=next_rng)
        inputs = [rng, size, *parameters]
        return cls(inputs=inputs, outputs=list(draws.owner.outputs))(*inputs)


class ZeroInflatedMultinomial(Discrete):
    r"""
    Multinomial whose categories are each on the menu with some probability.

    Unlike :class:`pymc.ZeroInflatedBinomial`, where the only outcome that can be inflated is that
    of no success, every category may be off the menu by itself, and what is left shares all n
    choices. Unlike :class:`~helpers.MaskedMultinomial`, it is not told which. With ``psi = 1``
    everywhere it is :class:`pymc.Multinomial`. This is the ZANIM of Menezes, Parnell and Murphy
    (2025).

    .. math::

       f(x \mid n, \eta, \psi) = \sum_{a \in \{0, 1\}^K} \prod_k \psi_k^{a_k} (1 - \psi_k)^{1 - a_k}
       \; \frac{n!}{\prod_k x_k!} \prod_{k: a_k = 1} p_{ak}^{x_k}, \qquad
       p_{ak} = \frac{a_k e^{\eta_k}}{\sum_j a_j e^{\eta_j}}

    ==========  ======================================================
    Support     :math:`x \in \{0, \ldots, n\}^K` such that :math:`\sum_k x_k = n` and
                :math:`x_k = 0` where :math:`\psi_k = 0`
    Mean        :math:`n \sum_a P(a) p_{ak}`
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
    psi : tensor_like of float
        Probability of being on the menu, that is of *not* being a structural zero
        (0 <= psi <= 1), as in PyMC's zero-inflated distributions. Shape ``(..., K)``.
    available : array_like, optional
        What is known of the menus: 1 where a category was on it, 0 where it was not, NaN where
        nobody knows. Known cells do not depend on `psi`. Shape ``(..., K)``.
    group : array_like of int, optional
        Rows of one group share one menu, as the towns of one state share a ballot. Shape
        ``(R,)``; the variable then has the shape ``(R, K)``, and its log-probability one value
        for each group, in ascending order. `psi` must be the same in all rows of a group.
    method : {"auto", "enumerate", "quadrature"}
        How the sum over menus is worked out: one by one, with work that doubles with each
        category in doubt, or as one integral, exact to about 1e-10, with work in proportion to
        their number. "auto" enumerates up to 6 categories. Groups are enumerated.
    nonempty : bool
        Whether `psi` is meant given that the menu is not empty. If not, one category at least
        must be sure to be on each menu.

    Returns
    -------
    TensorVariable
        The random variable, with the K categories on its last axis.

    Raises
    ------
    ValueError
        If constants are out of their range, if observed counts contradict `available`, if a group
        contradicts itself or has too many categories in doubt.
    pymc.logprob.utils.ParameterValueError
        If symbolic values turn out of their range, or if no category is sure to be on the menu.

    References
    ----------
    Menezes, A. F. B., Parnell, A. C., & Murphy, K. (2025). Finite mixture representations of
    zero-and-N-inflated distributions for count-compositional data. Journal of Multivariate
    Analysis, 210, 105492.

    Examples
    --------
    Ten choices, none of them of the third category, which is on every other menu:

    >>> import numpy as np
    >>> import pymc as pm
    >>> from helpers import ZeroInflatedMultinomial
    >>> counts = ZeroInflatedMultinomial.dist(n=10, p=[0.5, 0.3, 0.2], psi=[1, 1, 0.5])
    >>> print(pm.logp(counts, [6, 4, 0]).eval().round(6))
    -1.987387

    By hand, the sum over the two menus:

    >>> from scipy.stats import multinomial
    >>> with_it = multinomial.pmf([6, 4, 0], 10, [0.5, 0.3, 0.2])
    >>> without = multinomial.pmf([6, 4], 10, [0.625, 0.375])
    >>> print(np.log(0.5 * with_it + 0.5 * without).round(6))
    -1.987387
    """

    rv_type = ZeroInflatedMultinomialRV
    rv_op = ZeroInflatedMultinomialRV.rv_op

    def __new__(cls, name, *args, observed=None, group=None, **kwargs):
        if group is not None:
            return _GroupedZeroInflatedMultinomial(
                name, *args, observed=observed, group=group, **kwargs
            )
        variable = super().__new__(cls, name, *args, observed=observed, **kwargs)
        counts, available = _observed(observed), _constant(variable.owner.inputs[5])
        if counts is not None and available is not None:
            _refuse_off_menu(name, counts, available)
        return variable

    @classmethod
    def dist(
        cls,
        n,
        logits=None,
        *,
        p=None,
        psi,
        available=None,
        group=None,
        method="auto",
        nonempty=False,
        **kwargs,
    ):
        if group is not None:
            return _GroupedZeroInflatedMultinomial.dist(
                n,
                logits,
                p=p,
                psi=psi,
                available=available,
                group=group,
                method=method,
                nonempty=nonempty,
                **kwargs,
            )
        if method not in METHODS:
            raise ValueError(f"`method` must be one of {', '.join(METHODS)}, not {method!r}.")
        logits, psi, available = as_menu_parameters(logits, p, psi, available, nonempty)
        method = np.int64(METHODS.index(method))
        return super().dist(
            [as_total(n), logits, psi, available, method, np.bool_(nonempty)], **kwargs
        )

    def support_point(rv, size, n, logits, psi, available, method, nonempty):
        menu = pt.gt(effective_psi(psi, available), 0)
        return MaskedMultinomial.support_point(rv, size, n, logits, menu)

    def logp(value, n, logits, psi, available, method, nonempty):
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
        psi = effective_psi(psi, available)
        psi, logits, value = pt.broadcast_arrays(psi, logits, value)
        conditional = bool(_constant(nonempty))
        positive = pt.gt(value, 0)
        in_doubt = pt.invert(positive) & pt.lt(psi, 1) & pt.gt(psi, 0)
        res, log_ratio = _chosen(value, logits, psi, positive | pt.ge(psi, 1))
        res = res + pt.sum(pt.switch(positive, _log(psi), 0.0), axis=-1)
        choice = METHODS[int(_constant(method))]
        if choice == "auto":
            choice = "enumerate" if len(places) <= ENUMERATE_UP_TO else "quadrature"
        if choice == "enumerate" or not len(places):
            log_weight = menu_weights(psi, in_doubt, places)
            log_total = menu_totals(log_ratio, places)
            res = res + pt.logsumexp(log_weight - n[..., None] * log_total, axis=-1)
        else:
            parts = _columns_in_doubt(value, places, log_ratio, psi, in_doubt)
            res = res + log_mean_over_menus(pt.maximum(n, 1).astype("float64"), *parts)
        return _checked(res, value, n, psi, conditional)
