"""Rows of a table of counts that are alike: by menu, or in everything but their counts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def distinct_menus(available: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct menus, most frequent first, and the position of each row's menu."""
    menus, index, rows = np.unique(available, axis=0, return_inverse=True, return_counts=True)
    # Ties by size, then in favour of the first categories.
    order = np.lexsort((-np.arange(len(menus)), -menus.sum(axis=1), -rows))
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    return menus[order], position[index.ravel()]


def equal_rows(
    menu: np.ndarray,
    cluster: pd.Categorical | None,
    date: pd.Index | None,
    predictors: pd.DataFrame,
    by_category: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """Return the group of each row that shares all of these, in order of first appearance."""
    key = pd.DataFrame({"menu": menu})
    if cluster is not None:
        key["cluster"] = cluster.codes
    if date is not None:
        key["date"] = date.to_numpy()
    for p, name in enumerate(predictors.columns):
        key[f"predictor {p}"] = predictors[name].to_numpy()
    for table in by_category:
        known = np.nan_to_num(table, nan=np.inf)  # missing in the same cells
        key[f"table {len(key.columns)}"] = np.unique(known, axis=0, return_inverse=True)[1].ravel()
    return key.groupby(list(key.columns), sort=False, dropna=False).ngroup().to_numpy()


def added_up(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Add up whole numbers by group."""
    sums = np.zeros((group.max() + 1, *values.shape[1:]), dtype=np.int64)
    np.add.at(sums, group, values)
    return sums


def summary(counts: np.ndarray, available: np.ndarray, categories: Sequence[str]) -> pd.DataFrame:
    """Summarise each category."""
    on_menu = available.sum(axis=0)
    totals_where = (counts.sum(axis=1)[:, None] * available).sum(axis=0)
    count = counts.sum(axis=0)
    with np.errstate(invalid="ignore"):
        share = count / totals_where
    return pd.DataFrame(
        {
            "rows_on_menu": on_menu,
            "share_of_rows": on_menu / len(counts),
            "count": count,
            "share_where_on_menu": share,
            "zeros_on_menu": ((counts == 0) & available).sum(axis=0),
        },
        index=pd.Index(categories, name="category"),
    )
