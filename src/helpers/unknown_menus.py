"""PyMC distributions of counts whose menus nobody recorded: the menu is summed out."""

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import Discrete, SymbolicRandomVariable
from pytensor.graph.basic import Variable
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
from helpers.quadrature import log_mean_over_menus

__all__ = ["PatternMixtureMultinomial", "ZeroInflatedMultinomial"]

# Up to this many categories in doubt, going through all menus costs less than the integral.
ENUMERATE_UP_TO = 6
# A group's menus can only be gone through one by one; this many categories make 65,536 of them.
GROUP_LIMIT = 16

METHODS = ("auto", "enumerate", "quadrature")


def _constant(tensor):
    """The values of a constant, or None."""
    return np.asarray(tensor.data) if isinstance(tensor, TensorConstant) else None


def _as_float(x):
    """Coerce to a float tensor; what is constant stays so."""
    x = pt.as_tensor(x)
    values = _constant(x)
    return x.astype("float64") if values is None else pt.constant(values.astype("float64"))


def _log(x):
    """Logarithm with log(0) = -inf, whose gradient is not NaN."""
    positive = pt.gt(x, 0)
    return pt.switch(positive, pt.log(pt.switch(positive, x, 1.0)), -np.inf)


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


def effective_psi(psi, available):
    """Probabilities of being on the menu, with what is known put in."""
    return pt.switch(pt.isnan(available), psi, available)


def draw_menus(psi, nonempty, size, rng):
    """Draw which categories are on the menu, perhaps given that one of them is."""
    shape = pt.concatenate([size, [psi.shape[-1]]])
    rng, u = pt.random.uniform(size=shape, rng=rng, return_next_rng=True)
    menu = pt.lt(u, psi)
    if not nonempty:
        return rng, menu
    # The first category on the menu, from what is left of the probability; those after it are
    # as free as ever, those before it are off.
    off_before = pt.concatenate(
        [pt.ones_like(psi[..., :1]), pt.cumprod(1 - psi, axis=-1)[..., :-1]], axis=-1
    )
    first_p = psi * off_before
    first_p = first_p / pt.sum(first_p, axis=-1, keepdims=True)
    rng, first = pt.random.categorical(first_p, size=size, rng=rng, return_next_rng=True)
    place = pt.arange(psi.shape[-1])
    return rng, pt.eq(place, first[..., None]) | (pt.gt(place, first[..., None]) & menu)


_NEED = (
    "n >= 0, 0 <= psi <= 1, and in every row a category that is sure to be on the menu (psi = 1, "
    "or available = 1; or nonempty=True, if psi is meant given that the menu is not empty)"
)


def psi_is_right(psi, nonempty):
    some = pt.any(pt.gt(psi, 0) if nonempty else pt.ge(psi, 1), axis=-1)
    return pt.all(pt.ge(psi, 0) & pt.le(psi, 1), axis=-1), some


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


class GroupedZeroInflatedMultinomialRV(SymbolicRandomVariable):
    name = "grouped_zero_inflated_multinomial"
    extended_signature = "[rng],[size],(r),(r,k),(r,k),(r,k),(r),(g),()->[rng],(r,k)"
    _print_name = ("ZeroInflatedMultinomial", "\\operatorname{ZeroInflatedMultinomial}")

    @classmethod
    def rv_op(cls, n, logits, psi, available, group, first, nonempty, *, size=None, rng=None):
        parameters, size, rng = as_rv_inputs(
            cls, (n, logits, psi, available, group, first, nonempty), size, rng
        )
        n, logits, psi, available, group, first, nonempty = parameters
        conditional = bool(_constant(nonempty))
        full = effective_psi(psi, available)[..., first, :]
        full = check_parameters(
            full, *psi_is_right(full, conditional), msg=_NEED, can_be_replaced_by_ninf=False
        )
        groups = pt.concatenate([size, full.shape[-2:-1]])
        next_rng, menu = draw_menus(full, conditional, groups, rng)
        rows = pt.concatenate([size, n.shape[-1:]])
        menu = menu[..., group, :]
        draws = MaskedMultinomialRV.rv_op(n, logits, menu, size=rows, rng=next_rng)
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


class _GroupedZeroInflatedMultinomial(Discrete):
    """Rows of a group share one menu."""

    rv_type = GroupedZeroInflatedMultinomialRV
    rv_op = GroupedZeroInflatedMultinomialRV.rv_op

    def __new__(cls, name, *args, observed=None, **kwargs):
        variable = super().__new__(cls, name, *args, observed=observed, **kwargs)
        available, group = (_constant(variable.owner.inputs[i]) for i in (5, 6))
        counts = _observed(observed)
        if counts is not None and available is not None:
            _refuse_off_menu(name, counts, available, group)
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
        group,
        method="auto",
        nonempty=False,
        **kwargs,
    ):
        if method not in ("auto", "enumerate"):
            raise ValueError(
                "Rows that share a menu do not factor into one integral each: leave `method` at "
                '"auto", or give no `group`.'
            )
        group = np.asarray(group)
        if group.ndim != 1 or group.dtype.kind not in "iu":
            raise ValueError(
                "`group` must be one whole number for each row, such as the codes of a "
                f"categorical; it has {group.ndim} axes of {group.dtype}."
            )
        _, first, codes = np.unique(group, return_index=True, return_inverse=True)
        logits, psi, available = as_menu_parameters(logits, p, psi, available, nonempty)
        values = _constant(psi)
        if values is not None and values.ndim > 1:
            differs = (values != values[first][codes]).any(axis=-1)
            if differs.any():
                raise ValueError(
                    "`psi` must be the same in all rows of a group; it is not in rows "
                    f"{np.flatnonzero(differs)[:10].tolist()}."
                )
        known = _constant(available)
        if known is None:
            raise ValueError("With `group`, `available` must be constant.")
        known = _known_of_groups(np.broadcast_to(known, (len(codes), known.shape[-1])), codes)
        shape = len(codes), known.shape[-1]
        return super().dist(
            [
                pt.broadcast_to(as_total(n), shape[:1]),
                pt.broadcast_to(logits, shape),
                pt.broadcast_to(psi, shape),
                known[codes],
                codes,
                first,
                np.bool_(nonempty),
            ],
            **kwargs,
        )

    def support_point(rv, size, n, logits, psi, available, group, first, nonempty):
        menu = pt.gt(effective_psi(psi, available), 0)
        return MaskedMultinomial.support_point(rv, (), n, logits, menu)

    def logp(value, *parameters):
        return grouped_logp(value, *parameters)


def grouped_logp(value, n, logits, psi, available, group, first, nonempty):
    """Log-probability of the counts of each group, with one menu for all its rows."""
    codes, start = _constant(group), _constant(first)
    conditional = bool(_constant(nonempty))
    n_groups = len(start)
    places = in_doubt_somewhere(value, available, codes)
    if len(places) > GROUP_LIMIT:
        raise ValueError(
            f"{len(places)} categories are in doubt, which makes 2 to the power of as many "
            f"menus for each group; up to {GROUP_LIMIT} are possible. Say in `available` which "
            "are known, or give no `group`."
        )
    psi = effective_psi(psi, available)
    of_group = psi[start]
    positive = _add_by_group(pt.gt(value, 0).astype("int64"), codes, n_groups) > 0
    in_doubt = pt.invert(positive) & pt.lt(of_group, 1) & pt.gt(of_group, 0)
    sure = positive | pt.ge(of_group, 1)
    by_row, log_ratio = _chosen(value, logits, psi, sure[codes])
    by_row = on_support(by_row, value, n)
    log_weight = menu_weights(of_group, in_doubt, places)
    log_total = menu_totals(log_ratio, places)
    log_mean = log_weight - _add_by_group(n[:, None] * log_total, codes, n_groups)
    res = pt.logsumexp(log_mean, axis=-1) + _add_by_group(by_row, codes, n_groups)
    res = res + pt.sum(pt.switch(positive, _log(of_group), 0.0), axis=-1)
    if conditional:
        some = pt.any(positive, axis=-1)
        res = res - pt.switch(some, _log_some(of_group), 0.0)
    return check_parameters(
        res,
        pt.all(pt.ge(n, 0)),
        *(pt.all(condition) for condition in psi_is_right(of_group, conditional)),
        msg=_NEED,
    )


def as_menu_parameters(logits, p, psi, available, nonempty):
    """Coerce, and refuse constants that are out of range."""
    logits = as_logits(logits, p)
    psi = _as_float(psi)
    values = _constant(psi)
    if values is not None and not ((values >= 0) & (values <= 1)).all():
        wrong = values[~((values >= 0) & (values <= 1))]
        raise ValueError(
            "`psi` is the probability of being on the menu and must lie between 0 and 1: found "
            f"{wrong[:3].tolist()}."
        )
    if available is None:
        available = np.full(psi.type.shape[-1] or 1, np.nan)
    available = _as_float(available)
    known = _constant(available)
    if known is not None and not (np.isnan(known) | np.isin(known, (0, 1))).all():
        wrong = known[~(np.isnan(known) | np.isin(known, (0, 1)))]
        raise ValueError(
            "`available` holds 1 (on the menu), 0 (not) and NaN (unknown): found "
            f"{wrong[:3].tolist()}."
        )
    if known is not None and values is not None:
        full = np.where(np.isnan(known), values, known)
        some = (full > 0).any(axis=-1) if nonempty else (full == 1).any(axis=-1)
        if not np.all(some):
            raise ValueError(
                "No category is sure to be on the menu, so that it may be empty: give one of them "
                "psi = 1 or available = 1, or nonempty=True if psi is meant given that it is not."
            )
    return logits, psi, available


def _observed(counts):
    """Observed counts as an array, 0 where missing; None if there are none or they are symbolic."""
    if counts is None or isinstance(counts, Variable):
        return None
    return np.ma.filled(np.ma.masked_invalid(np.asarray(counts, float)), 0)


def _refuse_off_menu(name, counts, available, group=None):
    wrong = (counts > 0) & (available == 0)
    if wrong.any():
        rows = np.unique(np.argwhere(wrong)[:, 0]) if wrong.ndim > 1 else [0]
        of = "" if group is None else ", or another row of their group has,"
        raise ValueError(
            f"The observed counts of {name!r} hold choices of categories that `available` says "
            f"were not on the menu. Rows that have them{of} {list(map(int, rows[:10]))}."
        )


def _known_of_groups(available, codes):
    """What is known of each group's menu from any of its rows."""
    n_groups = codes.max() + 1
    on, off = (np.zeros((n_groups, available.shape[1]), bool) for _ in range(2))
    np.logical_or.at(on, codes, available == 1)
    np.logical_or.at(off, codes, available == 0)
    wrong = (on & off).any(axis=1)
    if wrong.any():
        raise ValueError(
            "Rows of one group share one menu, but `available` has the same category both on and "
            f"off it in groups {np.flatnonzero(wrong)[:10].tolist()}."
        )
    return np.where(on, 1.0, np.where(off, 0.0, np.nan))


def _add_by_group(values, codes, n_groups):
    return pt.zeros((n_groups, *values.shape[1:]), dtype=values.dtype)[codes].inc(values)


def in_doubt_somewhere(value, available, codes=None):
    """Categories that are in doubt in some row, as far as constants tell."""
    known = _constant(available)
    counts = _constant(value)
    n_categories = value.type.shape[-1] or available.type.shape[-1]
    doubt = np.ones(n_categories, bool) if known is None else np.isnan(known)
    if counts is not None:
        zero = counts == 0
        if codes is not None:
            chosen = np.zeros((codes.max() + 1, n_categories), bool)
            np.logical_or.at(chosen, codes, ~zero)
            zero = ~chosen[codes]
        doubt = doubt & zero
    doubt = np.broadcast_to(doubt, (*doubt.shape[:-1], n_categories))
    return np.flatnonzero(doubt.reshape(-1, n_categories).any(axis=0))


def _columns_in_doubt(value, places, *tensors):
    """Leave out, row by row if the counts are constant, the columns that cannot be in doubt."""
    counts = _constant(value)
    if counts is None:
        return [x[..., places] for x in tensors]
    zero = counts[..., places] == 0
    most = max(1, int(zero.sum(axis=-1).max()))
    keep = np.argsort(~zero, axis=-1, kind="stable")[..., :most]
    return [pt.take_along_axis(x[..., places], keep, axis=-1) for x in tensors]


def _chosen(value, logits, psi, sure):
    """Log-probability if only the sure were on the menu, and the others' weights against them."""
    on = pt.gt(psi, 0)
    masked = pt.switch(on & pt.gt(logits, -np.inf), logits, -np.inf)
    some = pt.any(sure & pt.gt(masked, -np.inf), axis=-1, keepdims=True)
    # Without any choices nothing need be sure, and the log-probability is 0.
    total = pt.logsumexp(
        pt.switch(some, pt.switch(sure, masked, -np.inf), 0.0), axis=-1, keepdims=True
    )
    log_p = masked - total
    res = pt.sum(pt.switch(pt.gt(value, 0), value * log_p, 0.0), axis=-1)
    return res + log_coefficient(value), log_p


def menu_weights(psi, in_doubt, places):
    """Log-probabilities of all menus of the categories in doubt, on a new last axis."""
    weight = pt.zeros_like(psi[..., :1])
    for k in places:
        doubt = in_doubt[..., k]
        p = pt.switch(doubt, psi[..., k], 0.5)
        off = pt.switch(doubt, pt.log1p(-p), 0.0)
        on = pt.switch(doubt, pt.log(p), -np.inf)
        weight = pt.concatenate([weight + off[..., None], weight + on[..., None]], axis=-1)
    return weight


def menu_totals(log_ratio, places):
    """Log of 1 plus the weights on the menu, for the same menus in the same order."""
    total = pt.zeros_like(log_ratio[..., :1])
    for k in places:
        total = pt.concatenate([total, pt.logaddexp(total, log_ratio[..., k, None])], axis=-1)
    return total


def _log_some(psi):
    """Log-probability that the menu is not empty."""
    return pt.log1p(-pt.prod(1 - psi, axis=-1))


def _checked(res, value, n, psi, conditional):
    """What holds for every row: nothing chosen is certain, and parameters must be right."""
    if conditional:
        res = res - _log_some(psi)
    res = pt.switch(pt.eq(pt.sum(value, axis=-1), 0) & pt.eq(n, 0), 0.0, res)
    return check_parameters(
        on_support(res, value, n), pt.ge(n, 0), *psi_is_right(psi, conditional), msg=_NEED
    )
