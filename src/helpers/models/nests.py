"""Nests of categories that are close substitutes."""

from collections.abc import Mapping, Sequence

import numpy as np

from helpers.data.counts import CategoryCounts
from helpers.data.messages import listing, require_known

__all__ = ["nest_of_categories"]


def nest_of_categories(
    data: CategoryCounts, nests: Mapping[str, Sequence[str]] | None
) -> np.ndarray | None:
    """
    Give each category the number of its nest, or -1.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    nests : mapping of str to sequence of str or None
        Categories by the name of their nest.

    Returns
    -------
    numpy.ndarray of int, shape (K,), or None

    Raises
    ------
    ValueError
        For unknown categories, a nest of one, a category in two nests, and a nest whose scale the
        data say nothing about: no menu holds two of its categories, or all menus hold the same of
        them and there are no attributes.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.models import nest_of_categories
    >>> data, _ = simulate_counts(n_categories=3, unavailable=(0.3, 0, 0), random_seed=1)
    >>> nest_of_categories(data, {"buses": ["category 1", "category 2"]})
    array([ 0,  0, -1])
    """
    if not nests:
        return None
    found = np.full(len(data.categories), -1)
    for m, (name, members) in enumerate(nests.items()):
        if isinstance(members, str) or not isinstance(members, Sequence):
            raise ValueError(f"The nest {name!r} must be a list of categories, not {members!r}.")
        require_known("category", members, data.categories, f" (given in the nest {name!r})")
        positions = [data.categories.index(member) for member in dict.fromkeys(members)]
        if len(positions) < 2:
            raise ValueError(
                f"The nest {name!r} has one category, which has no close substitute in it: name "
                "another, or leave the nest out."
            )
        twice = [data.categories[k] for k in positions if found[k] >= 0]
        if twice:
            raise ValueError(f"{listing(twice)} is in two nests: a category can be in one.")
        found[positions] = m
        _refuse_unseen(data, name, data.available[:, positions])
    return found


def _refuse_unseen(data: CategoryCounts, name: str, on: np.ndarray) -> None:
    """Refuse a nest whose scale leaves no trace in the counts."""
    if (on.sum(axis=1) < 2).all():
        raise ValueError(
            f"No menu holds two categories of the nest {name!r}, so that nothing is known of how "
            "they substitute: leave the nest out."
        )
    if len(np.unique(on, axis=0)) == 1 and not data.attributes:
        raise ValueError(
            f"All menus hold the same categories of the nest {name!r}, and there are no "
            "attributes: its scale cannot be told from the intercepts. Leave the nest out."
        )
