"""Does the model predict counts that were on the menu and that it has not seen?"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from helpers.data.counts import CategoryCounts
from helpers.data.messages import listing, require_choice, require_known
from helpers.diagnostics._pit import pit, share_inside
from helpers.diagnostics.intervals import interval

__all__ = ["hidden_cell_table", "hide_cells", "predict_hidden"]


def hide_cells(
    data: CategoryCounts,
    *,
    how: str = "random",
    share: float = 0.2,
    categories: Sequence[str] | None = None,
    random_seed: int | np.random.Generator | None = None,
) -> tuple[CategoryCounts, np.ndarray]:
    """
    Take cells that were on the menu off it, so that a model may be asked to predict them.

    Unlike leaving rows out, it hides one category and keeps the rest of the row: what a model does
    with a category that is missing from a menu is what this book is about, and here the answer is
    known. A hidden count is also taken out of its row's total.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    how : {"random", "weakest", "clusters"}
        ``random``: cells of each category, drawn at random. ``weakest``: in the clusters where a
        category is weakest, all its cells but one. ``clusters``: all its cells in these clusters.
        A category is weakest where the mean of its log share is lowest.
    share : float
        Share of a category's cells to hide, or of its clusters, in (0, 1). At least one is hidden.
    categories : sequence of str, optional
        Categories to hide cells of; all if left out.
    random_seed : int or numpy.random.Generator, optional
        Seed of the draw.

    Returns
    -------
    data : CategoryCounts
        The table without the hidden cells.
    hidden : numpy.ndarray of bool, shape (R, K)
        Which cells were hidden.

    Raises
    ------
    ValueError
        For an unknown option or category, for clusters that are asked for where there are none, or
        if not one cell of a category can be hidden.

    Notes
    -----
    A cell is left as it is if hiding it would leave its row fewer than two categories or nobody who
    chose, or its category on no menu; a cluster is left as it is if this is true of one of its
    cells. Another cell or cluster takes its place, as far as there are any.

    Cells on the menu that nobody chose are hidden like all others. To hide only what was chosen
    would select cells by their outcome, and even a true model would then predict too little.

    Examples
    --------
    >>> from helpers import CategoryCounts
    >>> from helpers.diagnostics import hide_cells
    >>> counts = [[5, 3, 2], [6, 0, 4], [1, 7, 2], [4, 4, 4]]
    >>> data = CategoryCounts(counts, [[True] * 3] * 4, ["soup", "stew", "salad"])
    >>> kept, hidden = hide_cells(data, share=0.5, categories=["stew"], random_seed=1)
    >>> print(hidden[:, 1], kept.available[:, 1], kept.n)
    [ True  True False False] [False False  True  True] [ 7 10 10 12]
    """
    require_choice("how", how, ("random", "weakest", "clusters"))
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1, not {share}.")
    if how != "random" and data.cluster is None:
        raise ValueError(f"how={how!r} needs clusters, and these counts have none.")
    categories = data.categories if categories is None else categories
    require_known("category", categories, data.categories)
    rng = np.random.default_rng(random_seed)

    left = data.available.copy()
    for name in categories:
        k = data.categories.index(name)
        blocks = _blocks(data, k, how, rng)
        wanted, done = max(round(share * len(blocks)), 1), 0
        for rows in blocks:
            others = np.where(left[rows], data.counts[rows], 0)
            others[:, k] = 0
            allowed = (left[rows].sum(axis=1) > 2) & (others.sum(axis=1) > 0)
            if allowed.all() and left[:, k].sum() > len(rows):
                left[rows, k] = False
                done += 1
            if done == wanted:
                break
        if not done:
            raise ValueError(
                f"No cell of {name} can be hidden: its rows would keep fewer than two categories "
                f"or no choices, or it would be on no menu. Leave it out of `categories`"
                + ("." if how == "random" else ", or hide cells with how='random'.")
            )
    counts = np.where(left, data.counts, 0)
    return replace(data, counts=counts, available=left), data.available & ~left


def _blocks(data: CategoryCounts, k: int, how: str, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows of a category that are hidden together, in the order in which they are to be hidden."""
    rows = np.flatnonzero(data.available[:, k])
    if how == "random":
        return list(rng.permutation(rows)[:, None])
    assert data.cluster is not None
    n = data.n[rows]
    log_share = np.log((data.counts[rows, k] + 0.5) / (n + 1))
    groups = pd.Series(rows).groupby(data.cluster.codes[rows])
    weakest = pd.Series(log_share).groupby(data.cluster.codes[rows]).mean().sort_values().index
    blocks = [groups.get_group(cluster).to_numpy() for cluster in weakest]
    if how == "weakest":
        blocks = [np.sort(rng.permutation(block)[1:]) for block in blocks if len(block) > 1]
    return blocks


def predict_hidden(
    data: CategoryCounts,
    hidden: ArrayLike,
    shares: ArrayLike,
    *,
    random_seed: int | np.random.Generator | None = None,
) -> np.ndarray:
    r"""
    Draw hidden counts, given the shares of their rows and the counts beside them.

    Unlike ``n * share``, it does not use the row's total, which would give the hidden count away,
    and it has the sampling noise that a count has on top of its share.

    Parameters
    ----------
    data : CategoryCounts
        The whole table, before :func:`hide_cells`.
    hidden : array_like of bool, shape (R, K)
        Which cells were hidden.
    shares : array_like, shape (S, R, K)
        Draws of the realised shares of each row, with its own scatter, under the menu that it
        really had, from a model that was fitted to the rest. Each row sums to 1.
    random_seed : int or numpy.random.Generator, optional
        Seed of the draws.

    Returns
    -------
    numpy.ndarray of int, shape (S, hidden cells)
        Drawn counts, cells in the order of ``data.counts[hidden]``.

    Raises
    ------
    ValueError
        If shapes do not agree, if shares are not shares, or if a hidden cell was not on the menu.

    Notes
    -----
    In a row with shares :math:`p`, of which the categories beside the hidden ones have
    :math:`p_0` in all and were counted :math:`m` times, a Poisson number of choices with the rate
    :math:`\lambda` is seen as :math:`m \sim \mathrm{Poisson}(\lambda p_0)` and hides
    :math:`y_k \sim \mathrm{Poisson}(\lambda p_k)`. With the prior :math:`1/\lambda`,
    :math:`\lambda p_0 \mid m \sim \mathrm{Gamma}(m, 1)`. So hidden counts of one row share their
    gamma variable (a negative multinomial), and each is negative binomial:

    .. math::

       P(y_k \mid m, p) = \binom{m + y_k - 1}{y_k} (1 - q)^m q^{y_k},
       \qquad q = \frac{p_k}{p_k + p_0} .

    It is the same to say that the total n is fixed, with the prior 1/n. Under this prior, and no
    other power of n, m by itself says nothing of :math:`p_0`: so it is right to fit the counts
    that were kept as multinomial, given their total.

    Examples
    --------
    Half of the choices are hidden, so about as many are expected as were seen:

    >>> import numpy as np
    >>> from helpers import CategoryCounts
    >>> from helpers.diagnostics import predict_hidden
    >>> data = CategoryCounts([[30, 70, 96]], [[True] * 3], ["soup", "stew", "salad"])
    >>> shares = np.broadcast_to([0.15, 0.35, 0.5], (10_000, 1, 3))
    >>> drawn = predict_hidden(data, [[False, False, True]], shares, random_seed=1)
    >>> print(round(drawn.mean()), round(drawn.var()))  # near 100 and 200, by the formula
    100 201
    """
    hidden, shares = np.asarray(hidden, dtype=bool), np.asarray(shares, dtype=float)
    if hidden.shape != data.counts.shape or shares.shape[1:] != hidden.shape:
        raise ValueError(
            f"Hidden cells (R, K) and shares (S, R, K) must fit the counts {data.counts.shape}: "
            f"their shapes are {hidden.shape} and {shares.shape}."
        )
    rows = np.flatnonzero(hidden.any(axis=1))
    off = (hidden & ~data.available).any(axis=1)
    if off.any():
        raise ValueError(
            f"A hidden cell was not on the menu in row(s) {listing(data.rows[off])}: give the "
            "table as it was before cells were hidden."
        )
    p, hide = shares[:, rows], hidden[rows]
    wrong = ~(np.isclose(p.sum(axis=2), 1, atol=1e-6) & (p >= 0).all(axis=2)).all(axis=0)
    wrong |= (p * ~data.available[rows] > 0).any(axis=(0, 2))
    if wrong.any():
        raise ValueError(
            f"Shares must be positive, 0 off the menu and 1 in all, and they are not in row(s) "
            f"{listing(data.rows[rows[wrong]])}: give shares under the whole menu."
        )
    rng = np.random.default_rng(random_seed)
    seen = np.where(hide, 0, data.counts[rows]).sum(axis=1)
    if (seen == 0).any():
        raise ValueError(
            f"Nothing was counted beside the hidden cells in row(s) "
            f"{listing(data.rows[rows[seen == 0]])}, so their size is unknown: hide other cells."
        )
    p_seen = np.where(hide, 0, p).sum(axis=2)
    rate = rng.standard_gamma(np.broadcast_to(seen, p_seen.shape)) / p_seen
    row, category = np.nonzero(hide)
    return rng.poisson(rate[:, row] * p[:, row, category])


def hidden_cell_table(
    data: CategoryCounts,
    hidden: ArrayLike,
    shares: ArrayLike,
    *,
    random_seed: int | np.random.Generator | None = None,
) -> pd.DataFrame:
    """
    Compare hidden counts with what is predicted for them.

    Unlike :func:`~helpers.diagnostics.category_checks`, it judges cells that the model has not
    seen in rows that it has, as a category that was missing from a menu is.

    Parameters
    ----------
    data : CategoryCounts
        The whole table, before :func:`hide_cells`.
    hidden : array_like of bool, shape (R, K)
        Which cells were hidden.
    shares : array_like, shape (S, R, K)
        Draws of the realised shares, as in :func:`predict_hidden`.
    random_seed : int or numpy.random.Generator, optional
        Seed of the predicted counts and of ties.

    Returns
    -------
    pandas.DataFrame
        One line per category with hidden cells: ``cells``, their number; ``inside_50`` and
        ``inside_89``, the share of them whose count lies in the central 50 % and 89 % of the
        predicted ones; ``predicted_over_true``, the median of the predicted total over the true
        total of the hidden cells, with the 89 % interval ``low`` to ``high``.

    Raises
    ------
    ValueError
        If no cell is hidden, and whatever :func:`predict_hidden` refuses.

    Examples
    --------
    >>> import numpy as np
    >>> from helpers import CategoryCounts
    >>> from helpers.diagnostics import hidden_cell_table, hide_cells
    >>> rng = np.random.default_rng(1)
    >>> counts = rng.multinomial(200, [0.1, 0.4, 0.5], size=300)
    >>> data = CategoryCounts(counts, np.ones((300, 3), bool), ["soup", "stew", "salad"])
    >>> _, hidden = hide_cells(data, categories=["soup"], random_seed=2)
    >>> shares = np.broadcast_to([0.1, 0.4, 0.5], (500, 300, 3))
    >>> table = hidden_cell_table(data, hidden, shares, random_seed=3)
    >>> table.round(2)  # doctest: +NORMALIZE_WHITESPACE
              cells  inside_50  inside_89  predicted_over_true   low  high
    category
    soup         60       0.58       0.95                 0.99  0.94  1.04
    """
    hidden = np.asarray(hidden, dtype=bool)
    rng = np.random.default_rng(random_seed)
    predicted = predict_hidden(data, hidden, shares, random_seed=rng)
    if not hidden.any():
        raise ValueError("No cell is hidden: hide some with hide_cells.")
    category, lines = np.nonzero(hidden)[1], {}
    for k in np.unique(category):
        draws, true = predicted[:, category == k], data.counts[hidden[:, k], k]
        ranks = pit(true, draws, rng)
        with np.errstate(divide="ignore", invalid="ignore"):
            total = draws.sum(axis=1) / true.sum()
        low, high = interval(total)
        lines[data.categories[k]] = {
            "cells": len(true),
            "inside_50": share_inside(ranks, 0.5),
            "inside_89": share_inside(ranks, 0.89),
            "predicted_over_true": float(np.median(total)),
            "low": float(low),
            "high": float(high),
        }
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("category")
