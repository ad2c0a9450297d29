"""Counts whose categories are each on the menu with probability psi."""

from typing import Any, Literal

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import Discrete
from pymc.distributions.shape_utils import maybe_resize
from pymc.logprob.abstract import _logprob
from pytensor.tensor import TensorLike, TensorVariable

from helpers.data.messages import require_choice
from helpers.distributions._counts import adds_up, as_observed, log_coefficient, log_or_ninf
from helpers.distributions._groups import (
    any_of_group,
    as_codes,
    first_rows,
    known_of_groups,
    refuse_unequal_psi,
    sum_of_group,
)
from helpers.distributions._menus import (
    PSI_REQUIRED,
    as_psi,
    chosen_and_in_doubt,
    columns_in_doubt,
    draw_menus,
    effective_psi,
    log_nonempty,
    menu_totals,
    menu_weights,
    number_of_categories,
    positions_in_doubt,
    psi_conditions,
    refuse_too_many,
)
from helpers.distributions._parameters import as_logits, as_total, constant_of
from helpers.distributions.masked import MaskedMultinomial, MaskedMultinomialRV
from helpers.distributions.quadrature import log_mean_over_menus
from helpers.ops.random import DrawnRV
from helpers.ops.shares import sum_of_chosen

__all__ = ["ZeroInflatedMultinomial"]


# Up to this many categories in doubt, going through all menus costs less than the integral.
ENUMERATE_UP_TO = 6


METHODS = ("auto", "enumerate", "quadrature")


_REQUIRED = f"n >= 0, {PSI_REQUIRED}"


class ZeroInflatedMultinomialRV(DrawnRV):
    name = "zero_inflated_multinomial"
    extended_signature = "[rng],[size],(),(k),(k),(k)->[rng],(k)"
    _print_name = ("ZeroInflatedMultinomial", "\\operatorname{ZeroInflatedMultinomial}")
    options: tuple[str, ...] = ("method", "nonempty")
    method: str
    nonempty: bool
    codes: np.ndarray | None = None

    @staticmethod
    def draw(rng, size, n, logits, psi, available, *, method, nonempty, codes=None):
        psi, menus, rows = effective_psi(psi, available), size, size
        if codes is not None:
            psi = psi[..., first_rows(codes), :]
            menus = pt.concatenate([size, psi.shape[-2:-1]])
            rows = pt.concatenate([size, n.shape[-1:]])
        psi = check_parameters(
            psi, *psi_conditions(psi, nonempty), msg=_REQUIRED, can_be_replaced_by_ninf=False
        )
        rng, menu = draw_menus(rng, menus, psi, nonempty)
        if codes is not None:
            menu = menu[..., codes, :]
        return MaskedMultinomialRV.draw(rng, rows, n, logits, menu)


class GroupedZeroInflatedMultinomialRV(ZeroInflatedMultinomialRV):
    """Rows with the same of `codes` share one menu."""

    name = "grouped_zero_inflated_multinomial"
    extended_signature = "[rng],[size],(r),(r,k),(r,k),(r,k)->[rng],(r,k)"
    options = ("method", "nonempty", "codes")


class ZeroInflatedMultinomial(Discrete):
    r"""
    Multinomial whose categories are each on the menu with probability psi.

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
        How the sum over menus is computed: one by one, with work that doubles with each category
        in doubt, or as one integral, exact to about 1e-10, with work in proportion to their
        number. "auto" enumerates up to 6 categories. Groups are enumerated.
    nonempty : bool
        Whether `psi` is meant given that the menu is not empty. If not, one category at least
        must be certain to be on each menu.

    Returns
    -------
    TensorVariable
        The random variable, with the K categories on its last axis.

    Raises
    ------
    ValueError
        If constants are out of range, if observed counts contradict `available`, if a group
        contradicts itself or has too many categories in doubt.
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
    Ten choices, none of them of the third category, which is on half of the menus:

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

    def __new__(cls, name, *args, observed=None, **kwargs):
        variable = super().__new__(cls, name, *args, observed=observed, **kwargs)
        counts, op = as_observed(observed), variable.owner.op
        if counts is not None and isinstance(op, cls.rv_type):
            *_, available = op.dist_params(variable.owner)
            known = constant_of(available)
            if known is not None:
                _refuse_off_menu(name, counts, known, op.codes)
        return variable

    @classmethod
    def dist(
        cls,
        n: TensorLike,
        logits: TensorLike | None = None,
        *,
        p: TensorLike | None = None,
        psi: TensorLike,
        available: TensorLike | None = None,
        group: Any = None,
        method: Literal["auto", "enumerate", "quadrature"] = "auto",
        nonempty: bool = False,
        **kwargs: Any,
    ) -> TensorVariable:
        require_choice("`method`", method, METHODS)
        options = {"method": method, "nonempty": bool(nonempty), **kwargs}
        n, logits = as_total(n), as_logits(logits, p)
        psi, available = as_psi(psi, available, nonempty)
        if group is None:
            return super().dist([n, logits, psi, available], **options)
        if method == "quadrature":
            raise ValueError(
                "Rows that share a menu do not factor into one integral each: leave `method` at "
                '"auto", or give no `group`.'
            )
        codes = as_codes(group)
        refuse_unequal_psi(constant_of(psi), codes)
        known = constant_of(available)
        if known is None:
            raise ValueError("With `group`, `available` must be constant.")
        shape = len(codes), number_of_categories(logits, psi, available)
        parameters = [
            pt.broadcast_to(n, shape[:1]),
            pt.broadcast_to(logits, shape),
            pt.broadcast_to(psi, shape),
            known_of_groups(np.broadcast_to(known, shape), codes),
        ]
        return _GroupedZeroInflatedMultinomial.dist(parameters, codes=codes, **options)

    def support_point(rv, size, n, logits, psi, available):
        menu = pt.gt(effective_psi(psi, available), 0)
        if rv.owner.op.codes is not None:
            size = pt.concatenate([size, n.shape[-1:]])
        return MaskedMultinomial.support_point(rv, size, n, logits, menu)


class _GroupedZeroInflatedMultinomial(Discrete):
    """What :class:`ZeroInflatedMultinomial` is with groups, when all is coerced."""

    rv_type = GroupedZeroInflatedMultinomialRV
    rv_op = GroupedZeroInflatedMultinomialRV.rv_op


@_logprob.register(ZeroInflatedMultinomialRV)
def zero_inflated_logprob(op, values, rng, size, n, logits, psi, available, **kwargs):
    psi, known = effective_psi(psi, available), constant_of(available)
    (value,) = values
    return maybe_resize(log_probability(op, value, n, logits, psi, known, op.nonempty), size)


def log_probability(
    op: ZeroInflatedMultinomialRV,
    value: TensorVariable,
    n: TensorVariable,
    logits: TensorVariable,
    psi: TensorVariable,
    known: np.ndarray | None,
    nonempty: bool,
) -> TensorVariable:
    """Log-probability by row, or by group of rows, with what is known of the menus in `psi`."""
    codes, method = op.codes, op.method
    positions = positions_in_doubt(value, number_of_categories(value, logits, psi), known, codes)
    if codes is not None:
        refuse_too_many(positions, " for each group", ", or give no `group`")
        method = "enumerate"
    elif method == "auto":
        method = "enumerate" if len(positions) <= ENUMERATE_UP_TO else "quadrature"

    psi, logits, value = pt.broadcast_arrays(psi, logits, value)
    of_menu = psi if codes is None else psi[first_rows(codes)]
    positive, certain, in_doubt = chosen_and_in_doubt(value, of_menu, codes)
    chosen, log_ratio = _of_certain(
        value, logits, psi, certain if codes is None else certain[codes]
    )
    res = sum_of_group(chosen, codes)
    res = res + pt.sum(pt.switch(positive, log_or_ninf(of_menu), 0.0), axis=-1)
    if method == "quadrature" and len(positions):
        parts = columns_in_doubt(value, positions, log_ratio, psi, in_doubt)
        res = res + log_mean_over_menus(pt.maximum(n, 1).astype("float64"), *parts)
    else:
        log_total = sum_of_group(n[..., None] * menu_totals(log_ratio, positions), codes)
        log_weight = menu_weights(of_menu, in_doubt, positions)
        res = res + pt.logsumexp(log_weight - log_total, axis=-1)
    if nonempty:
        res = res - log_nonempty(of_menu)

    # Nothing chosen of nothing is certain, whatever the menu.
    res = pt.switch(pt.any(positive, axis=-1), res, 0.0)
    impossible = any_of_group(pt.invert(adds_up(value, n)), codes)
    return check_parameters(
        pt.switch(impossible, -np.inf, res),
        pt.ge(n, 0),
        *psi_conditions(of_menu, nonempty),
        msg=_REQUIRED,
    )


def _of_certain(value, logits, psi, certain):
    """Log-probability with only the certain on the menu, and the log-weights relative to them."""
    logits = pt.switch(pt.gt(psi, 0), logits, -np.inf)
    certain = certain & pt.gt(logits, -np.inf)
    any_certain = pt.any(certain, axis=-1, keepdims=True)
    # Without any choices nothing need be certain, and the log-probability is 0.
    total = pt.logsumexp(
        pt.switch(any_certain, pt.switch(certain, logits, -np.inf), 0.0), axis=-1, keepdims=True
    )
    log_p = logits - total
    return sum_of_chosen(value, log_p) + log_coefficient(value), log_p


def _refuse_off_menu(name, counts, available, codes):
    wrong = (counts > 0) & (available == 0)
    if wrong.any():
        rows = np.unique(np.argwhere(wrong)[:, 0]) if wrong.ndim > 1 else [0]
        others = "" if codes is None else ", or another row of their group has,"
        raise ValueError(
            f"The observed counts of {name!r} hold choices of categories that `available` says "
            f"were not on the menu. Rows that have them{others} {list(map(int, rows[:10]))}."
        )
