"""Rows that share one unknown menu."""

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import Discrete, SymbolicRandomVariable

from helpers.distributions._menus import (
    _NEED,
    GROUP_LIMIT,
    _chosen,
    _log_some,
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
from helpers.distributions._parameters import _constant, _log, as_rv_inputs, as_total, on_support
from helpers.distributions.masked import MaskedMultinomial, MaskedMultinomialRV


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
