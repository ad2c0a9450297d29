"""Menus that nobody recorded: their parameters, draws and sums."""

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pytensor.graph.basic import Variable

from helpers.distributions._parameters import (
    _as_float,
    _constant,
    as_logits,
    log_coefficient,
    on_support,
)

# A group's menus can only be gone through one by one; this many categories make 65,536 of them.
GROUP_LIMIT = 16


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
