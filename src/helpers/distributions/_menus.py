"""Menus that nobody recorded: their parameters, draws and sums."""

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor import TensorLike, TensorVariable

from helpers.distributions._groups import any_of_group
from helpers.distributions._parameters import as_float, constant_of, refuse

# Menus that are enumerated: this many categories in doubt make 65,536 of them.
ENUMERATION_LIMIT = 16


def as_psi(
    psi: TensorLike, available: TensorLike | None, nonempty: bool
) -> tuple[TensorVariable, TensorVariable]:
    """Coerce what is known of menus, refusing constants that are out of range."""
    psi = as_float(psi)
    rule = "`psi` is the probability of being on the menu and must lie between 0 and 1"
    refuse(psi, lambda x: (x >= 0) & (x <= 1), rule)
    if available is None:
        available = np.full(psi.type.shape[-1] or 1, np.nan)
    available = as_float(available)
    rule = "`available` holds 1 (on the menu), 0 (not) and NaN (unknown)"
    refuse(available, lambda x: np.isnan(x) | np.isin(x, (0, 1)), rule)
    values, known = constant_of(psi), constant_of(available)
    if known is not None and values is not None:
        full = np.where(np.isnan(known), values, known)
        if not ((full > 0) if nonempty else (full == 1)).any(axis=-1).all():
            raise ValueError(
                "No category is certain to be on the menu, which may then be empty: give one of "
                "them psi = 1 or available = 1, or nonempty=True if psi is meant given that it is "
                "not."
            )
    return psi, available


PSI_REQUIRED = (
    "0 <= psi <= 1, and in every row a category that is certain to be on the menu (psi = 1, or "
    "available = 1; or nonempty=True, if psi is meant given that the menu is not empty)"
)


def psi_conditions(psi: TensorVariable, nonempty: bool) -> tuple[TensorVariable, TensorVariable]:
    """What `PSI_REQUIRED` says, row by row."""
    never_empty = pt.any(pt.gt(psi, 0) if nonempty else pt.ge(psi, 1), axis=-1)
    return pt.all(pt.ge(psi, 0) & pt.le(psi, 1), axis=-1), never_empty


def effective_psi(psi: TensorVariable, available: TensorVariable) -> TensorVariable:
    """Probabilities of being on the menu, with what is known put in."""
    return pt.switch(pt.isnan(available), psi, available)


def log_nonempty(psi: TensorVariable) -> TensorVariable:
    """Log-probability that the menu is not empty."""
    return pt.log1p(-pt.prod(1 - psi, axis=-1))


def draw_menus(rng, size, psi, nonempty):
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
    category = pt.arange(psi.shape[-1])
    return rng, pt.eq(category, first[..., None]) | (pt.gt(category, first[..., None]) & menu)


def number_of_categories(*tensors: TensorVariable) -> int:
    """Length of the last axis, on which the number of menus depends."""
    lengths = [x.type.shape[-1] for x in tensors]
    known = max((length for length in lengths if length is not None), default=1)
    if known == 1 and None in lengths:
        raise ValueError(
            "The number of categories must be known before anything is evaluated, as the sum over "
            "menus depends on it, and none of `logits`, `psi` and the counts has a last axis of "
            "known length: give one of them a shape, as in pt.vector(shape=(4,))."
        )
    return known


def positions_in_doubt(
    value: TensorVariable,
    n_categories: int,
    known: np.ndarray | None,
    codes: np.ndarray | None = None,
) -> np.ndarray:
    """Positions of the categories in doubt in one row or another, as far as constants tell."""
    doubt = np.ones(n_categories, bool) if known is None else np.isnan(known)
    counts = constant_of(value)
    if counts is not None:
        chosen = counts != 0
        if codes is not None:
            by_group = np.zeros((codes.max() + 1, n_categories), bool)
            np.logical_or.at(by_group, codes, chosen)
            chosen = by_group[codes]
        doubt = doubt & ~chosen
    doubt = np.broadcast_to(doubt, (*doubt.shape[:-1], n_categories))
    return np.flatnonzero(doubt.reshape(-1, n_categories).any(axis=0))


def refuse_too_many(positions: np.ndarray, unit: str = "", remedy: str = "") -> None:
    """Refuse more categories in doubt than can be enumerated."""
    if len(positions) > ENUMERATION_LIMIT:
        raise ValueError(
            f"{len(positions)} categories are in doubt, which makes 2 to the power of as many "
            f"menus{unit}; up to {ENUMERATION_LIMIT} are possible. Say in `available` which are "
            f"known{remedy}."
        )


def chosen_and_in_doubt(value, psi, codes=None):
    """Which categories of a menu were chosen, are certain to be on it, and are in doubt."""
    positive = any_of_group(pt.gt(value, 0), codes)
    certain = positive | pt.ge(psi, 1)
    return positive, certain, pt.invert(positive) & pt.lt(psi, 1) & pt.gt(psi, 0)


def columns_in_doubt(value, positions, *tensors):
    """Leave out, row by row if the counts are constant, the columns that cannot be in doubt."""
    counts = constant_of(value)
    if counts is None:
        return [x[..., positions] for x in tensors]
    zero = counts[..., positions] == 0
    most = max(1, int(zero.sum(axis=-1).max()))
    keep = np.argsort(~zero, axis=-1, kind="stable")[..., :most]
    return [pt.take_along_axis(x[..., positions], keep, axis=-1) for x in tensors]


def menu_weights(psi, in_doubt, positions):
    """Log-probabilities of all menus of the categories in doubt, on a new last axis."""
    weight = pt.zeros_like(psi[..., :1])
    for k in positions:
        doubt = in_doubt[..., k]
        p = pt.switch(doubt, psi[..., k], 0.5)
        off = pt.switch(doubt, pt.log1p(-p), 0.0)
        on = pt.switch(doubt, pt.log(p), -np.inf)
        weight = pt.concatenate([weight + off[..., None], weight + on[..., None]], axis=-1)
    return weight


def menu_totals(log_ratio, positions):
    """Log of 1 plus the weights on the menu, for the same menus in the same order."""
    total = pt.zeros_like(log_ratio[..., :1])
    for k in positions:
        total = pt.concatenate([total, pt.logaddexp(total, log_ratio[..., k, None])], axis=-1)
    return total
