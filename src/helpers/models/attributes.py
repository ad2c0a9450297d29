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
    mean : numpy.ndarray, shape (K, Q)
        Means over the rows that had a category on the menu, of the table as it was read: of each
        category, or one for all.
    sd : numpy.ndarray, shape (Q,)
        Standard deviations over all cells that were on the menu.
    applies : numpy.ndarray of bool, shape (K, Q)
        Which categories have which attributes.
    """

    values: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    applies: np.ndarray

    @classmethod
    def of(
        cls, data: CategoryCounts, menus: np.ndarray, *, by_category: bool = True
    ) -> "StandardisedAttributes":
        """
        Standardise attributes, which must differ between categories of a row.

        Parameters
        ----------
        data : CategoryCounts
            The counts, with attributes.
        menus : numpy.ndarray of bool, shape (R, K)
            What the likelihood takes as available.
        by_category : bool
            Whether each category has a mean of its own. Intercepts are then those of a category
            with its usual price. With one mean for all they are the constants of a conditional
            logit, but the slope hangs on each of them, and many mix badly with it.

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
        parts = [_filled(table, data, menus, by_category) for table in data.attributes.values()]
        values, mean, sd = (np.stack(x, axis=-1) for x in zip(*parts, strict=True))
        known = [~np.isnan(table).all(axis=0) for table in data.attributes.values()]
        sd = np.where(sd > 0, sd, 1.0)
        _refuse_unidentified(data, menus, values / sd)
        standardised = cls(values, mean, sd, np.stack(known, axis=-1))
        return standardised

    @property
    def scaled(self) -> np.ndarray:
        """Standardised attributes, shape (R, K, Q)."""
        return (self.values - self.mean) / self.sd


def _filled(
    values: np.ndarray, data: CategoryCounts, menus: np.ndarray, by_category: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values without gaps, their mean and their standard deviation."""
    known = ~np.isnan(values)
    weight = data.row_weights[:, None] * (known & menus)
    numbers = np.where(known, values, 0.0)
    of_all = (weight * numbers).sum() / weight.sum()
    sd = np.sqrt((weight * (numbers - of_all) ** 2).sum() / weight.sum())
    total = weight.sum(axis=0)
    mean = np.full(len(total), of_all)
    np.divide((weight * numbers).sum(axis=0), total, out=mean, where=total > 0)
    return np.where(known, values, mean), mean if by_category else np.full_like(mean, of_all), sd


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
