"""Attributes on a common scale."""

from dataclasses import dataclass

import numpy as np

from helpers.data.counts import CategoryCounts

__all__ = ["StandardisedAttributes"]


@dataclass(frozen=True, eq=False)
class StandardisedAttributes:
    """
    Attributes of categories and rows, and their scales.

    Attributes
    ----------
    values : numpy.ndarray, shape (R, K, Q)
        In their own units, without gaps. A blank cell has the mean of its category; a category
        without the attribute has the mean of all.
    mean, sd : numpy.ndarray, shape (Q,)
        Means and standard deviations over the cells that were on the menu, of the rows of the
        table as it was read.
    """

    values: np.ndarray
    mean: np.ndarray
    sd: np.ndarray

    @classmethod
    def of(cls, data: CategoryCounts, menus: np.ndarray) -> "StandardisedAttributes":
        """
        Standardise attributes, which must differ between categories of a row.

        Parameters
        ----------
        data : CategoryCounts
            The counts, with attributes.
        menus : numpy.ndarray of bool, shape (R, K)
            What the likelihood takes as available.

        Returns
        -------
        StandardisedAttributes

        Raises
        ------
        ValueError
            For an attribute that is the same for all categories of each row, that does not differ
            between rows, or that repeats others.

        Examples
        --------
        >>> from helpers import simulate_counts
        >>> from helpers.models import StandardisedAttributes
        >>> data, _ = simulate_counts(attribute_slope={"price": -1.0}, random_seed=1)
        >>> StandardisedAttributes.of(data, data.available).values.shape
        (80, 7, 1)
        """
        parts = [_filled(values, data, menus) for values in data.attributes.values()]
        values, mean, sd = (np.stack(x, axis=-1) for x in zip(*parts, strict=True))
        standardised = cls(values, mean, np.where(sd > 0, sd, 1.0))
        _refuse_unidentified(data, menus, standardised.scaled)
        return standardised

    @property
    def scaled(self) -> np.ndarray:
        """Standardised attributes, shape (R, K, Q)."""
        return (self.values - self.mean) / self.sd


def _filled(
    values: np.ndarray, data: CategoryCounts, menus: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values without gaps, their mean and their standard deviation."""
    known = ~np.isnan(values)
    weight = data.row_weights[:, None] * (known & menus)
    numbers = np.where(known, values, 0.0)
    mean = (weight * numbers).sum() / weight.sum()
    sd = np.sqrt((weight * (numbers - mean) ** 2).sum() / weight.sum())
    each = data.row_weights[:, None] * known
    total = each.sum(axis=0)
    by_category = np.full(len(total), mean)
    np.divide((each * numbers).sum(axis=0), total, out=by_category, where=total > 0)
    return np.where(known, values, by_category), mean, sd


def _refuse_unidentified(data: CategoryCounts, menus: np.ndarray, scaled: np.ndarray) -> None:
    """Refuse slopes that no choice between two categories says anything about."""
    names = np.array(list(data.attributes))
    size = np.maximum(menus.sum(axis=1), 1)[:, None, None]
    away = scaled - (scaled * menus[..., None]).sum(axis=1, keepdims=True) / size
    away = np.where(menus[..., None], away, 0.0)
    flat = np.abs(away).max(axis=(0, 1)) <= 1e-10
    if flat.any():
        raise ValueError(
            f"The attribute {', '.join(names[flat])} is the same for all categories of each row, "
            "so that it cannot sway a choice: give it as a predictor, whose slope differs by "
            "category, or leave it out."
        )
    rest = _without_intercepts(away, menus)
    # Relative to what there was before intercepts were taken out.
    gone = np.abs(rest).max(axis=(0, 1)) <= 1e-8 * np.abs(away).max(axis=(0, 1))
    if gone.any():
        raise ValueError(
            f"The attribute {', '.join(names[gone])} is the same in all rows, category by "
            "category, so that its slope cannot be told from the categories' intercepts: leave it "
            "out, or add rows in which it differs."
        )
    matrix = rest.reshape(-1, len(names))
    if np.linalg.matrix_rank(matrix / np.linalg.norm(matrix, axis=0), tol=1e-8) < len(names):
        raise ValueError(
            f"The attributes {', '.join(names)} repeat each other: one of them is a combination "
            "of the others. Leave it out."
        )


def _without_intercepts(away: np.ndarray, menus: np.ndarray) -> np.ndarray:
    """What is left of attributes, centred by row, after an intercept for each category."""
    centred = menus[..., None] * (
        np.eye(menus.shape[1]) - (menus / menus.sum(1, keepdims=True))[:, None]
    )
    gram = np.einsum("rkj,rkl->jl", centred, centred)
    moment = np.einsum("rkj,rkq->jq", centred, away)
    fitted = np.linalg.lstsq(gram, moment, rcond=1e-10)[0]
    return away - centred @ fitted
