"""Multinomial counts on known menus."""

from typing import Any

import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import Discrete
from pymc.distributions.shape_utils import rv_size_is_none
from pytensor.tensor import TensorLike, TensorVariable
from pytensor.tensor.random.basic import multinomial

from helpers.distributions._counts import log_coefficient
from helpers.distributions._parameters import as_available, as_logits, as_total
from helpers.ops.likelihood import masked_log_likelihood
from helpers.ops.random import DrawnRV
from helpers.ops.shares import masked_softmax

__all__ = ["MaskedMultinomial"]


_REQUIRED = "n >= 0, at least one category with p > 0 available in every row"


class MaskedMultinomialRV(DrawnRV):
    name = "masked_multinomial"
    extended_signature = "[rng],[size],(),(k),(k)->[rng],(k)"
    _print_name = ("MaskedMultinomial", "\\operatorname{MaskedMultinomial}")

    @staticmethod
    def draw(rng, size, n, logits, available):
        # The multinomial sampler gives whatever rounding leaves over to the last category, which
        # may not be on the menu. Drawing in ascending order of p makes the last the likeliest.
        p = masked_softmax(*pt.broadcast_arrays(logits, available))
        # The sampler does not check: it would turn p = NaN into absurd counts.
        p = check_parameters(
            p, pt.ge(n, 0), pt.invert(pt.isnan(p)), msg=_REQUIRED, can_be_replaced_by_ninf=False
        )
        order = pt.argsort(p, axis=-1)
        next_rng, ascending = multinomial(
            n, pt.take_along_axis(p, order, axis=-1), size=size, rng=rng, return_next_rng=True
        )
        back = pt.broadcast_to(pt.argsort(order, axis=-1), ascending.shape)
        return next_rng, pt.take_along_axis(ascending, back, axis=-1)


class MaskedMultinomial(Discrete):
    r"""
    Multinomial distribution over the categories that were on the menu.

    Unlike :class:`pymc.Multinomial`, it knows which categories could be chosen: those that could
    not are left out of the normalisation, so that their zeros say nothing about preference. With
    everything available the two are the same. This is the conditional logit with varying choice
    sets of McFadden (1974).

    .. math::

       f(x \mid n, \eta, a) = \frac{n!}{\prod_k x_k!} \prod_{k: a_k = 1} p_k^{x_k}, \qquad
       p_k = \frac{a_k e^{\eta_k}}{\sum_j a_j e^{\eta_j}}

    ==========  ======================================================
    Support     :math:`x \in \{0, 1, \ldots, n\}^K` such that
                :math:`\sum_k x_k = n` and :math:`x_k = 0` if :math:`a_k = 0`
    Mean        :math:`n p_k`
    Variance    :math:`n p_k (1 - p_k)`
    Covariance  :math:`-n p_k p_l` for :math:`k \ne l`
    ==========  ======================================================

    Parameters
    ----------
    n : tensor_like of int
        Total counts in each replicate (n >= 0). Shape ``(...)``.
    logits : tensor_like of float, optional
        Unnormalised log-probability of each category as if all were on the menu. Shape
        ``(..., K)``. A constant added to a whole row changes nothing. Values of unavailable
        categories are ignored.
    p : tensor_like of float, optional
        Latent preferences, the probabilities with everything on the menu (p >= 0, sum to 1 over
        the last axis). Shape ``(..., K)``. Exactly one of `logits` and `p` must be given; logits
        are the safer choice, as they cannot underflow.
    available : tensor_like of bool
        Which categories were on the menu, at least one in every row. Shape ``(..., K)``. May be
        symbolic, so that a menu can be exchanged with :func:`pymc.set_data`.

    Returns
    -------
    TensorVariable
        The random variable, with the K categories on its last axis.

    Raises
    ------
    ValueError
        If a constant `n` is not whole, if not exactly one of `logits` and `p` is given, if a
        constant `p` is negative or does not sum to 1, if a constant `available` is not boolean or
        leaves a menu empty.
    pymc.logprob.utils.ParameterValueError
        If symbolic values turn out to be invalid when evaluated.

    References
    ----------
    McFadden, D. (1974). Conditional logit analysis of qualitative choice behavior. In Frontiers
    in Econometrics, pages 105-142. Academic Press.

    Examples
    --------
    Three categories, the second of them missing from the second row's menu:

    >>> import numpy as np
    >>> import pymc as pm
    >>> from helpers import MaskedMultinomial
    >>> with pm.Model() as model:
    ...     logits = pm.Normal("logits", shape=3)
    ...     menus = pm.Data("menus", np.array([[1, 1, 1], [1, 0, 1]]))
    ...     counts = MaskedMultinomial(
    ...         "counts", n=[10, 6], logits=logits, available=menus,
    ...         observed=[[5, 3, 2], [4, 0, 2]],
    ...     )
    >>> {name: float(logp) for name, logp in model.point_logps().items()}
    {'logits': -2.76, 'counts': -4.6}

    A positive count of something that could not be chosen is impossible:

    >>> even = MaskedMultinomial.dist(n=3, p=[0.2, 0.2, 0.6], available=[True, True, False])
    >>> print(pm.logp(even, [1, 1, 1]).eval(), pm.logp(even, [1, 2, 0]).eval().round(4))
    -inf -0.9808
    """

    rv_type = MaskedMultinomialRV
    rv_op = MaskedMultinomialRV.rv_op

    @classmethod
    def dist(
        cls,
        n: TensorLike,
        logits: TensorLike | None = None,
        *,
        p: TensorLike | None = None,
        available: TensorLike,
        **kwargs: Any,
    ) -> TensorVariable:
        parameters = [as_total(n), as_logits(logits, p), as_available(available)]
        return super().dist(parameters, **kwargs)

    def support_point(rv, size, n, logits, available):
        # Largest remainders: whole counts that sum to n, none of them off the menu.
        menu = pt.broadcast_to(available, pt.broadcast_arrays(logits, available)[0].shape)
        mean = n[..., None] * masked_softmax(logits, available)
        whole = pt.floor(mean)
        left_over = n - pt.sum(whole, axis=-1)
        remainder = pt.switch(menu, mean - whole, -1.0)
        rank = pt.argsort(pt.argsort(-remainder, axis=-1), axis=-1)
        point = whole + pt.lt(rank, left_over[..., None])
        if not rv_size_is_none(size):
            point = pt.broadcast_to(point, pt.concatenate([size, [point.shape[-1]]]))
        return point

    def logp(value, n, logits, available):
        """Log-probability of counts, with the K categories on the last axis."""
        tensors = [value, logits, pt.as_tensor(n)[..., None], available]
        aligned = len({x.type.broadcastable[:-1] for x in tensors}) == 1 and value.ndim == 2
        if aligned:
            by_row, _, proper = masked_log_likelihood(logits, value, n, available)
        else:  # any number of axes, of which one or another may be stretched
            full = pt.broadcast_arrays(*tensors)
            rows = [x.reshape((-1, x.shape[-1])) for x in full]
            by_row, _, proper = masked_log_likelihood(rows[1], rows[0], rows[2][:, 0], rows[3])
            by_row = by_row.reshape(full[0].shape[:-1], ndim=full[0].ndim - 1)
        return check_parameters(by_row + log_coefficient(value), proper, msg=_REQUIRED)
