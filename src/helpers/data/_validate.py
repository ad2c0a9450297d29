"""What a CategoryCounts refuses, and what it keeps with a warning."""

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from natsort import natsorted
from numpy.typing import ArrayLike
from pandas.api.types import is_numeric_dtype
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from helpers.data._attributes import checked_attributes, checked_exposure
from helpers.data._columns import booleans, cells, numbers, row_labels
from helpers.data.dates import parse_dates
from helpers.data.messages import listing
from helpers.data.suspicion import Suspicion, fractional

# From here on, double precision no longer tells a whole number from the next.
TOO_LARGE = 2**53

# A warning points at the first caller outside this package.
PACKAGE = os.path.join(Path(__file__).parents[1], "")


def checked_table(
    counts: ArrayLike,
    available: ArrayLike,
    categories: Iterable,
    cluster: Any,
    date: Any,
    predictors: pd.DataFrame | None,
    rows: Any,
    cluster_name: str | None,
    date_name: str | None,
    row_weights: ArrayLike | None,
    accept: Any,
    noted: Iterable[Suspicion],
    attributes: Mapping[str, ArrayLike] | None,
    exposure: ArrayLike | None,
) -> dict[str, Any]:
    """Check all parts of a table, and return them as `CategoryCounts` keeps them."""
    counts, available, noted = np.asarray(counts), np.asarray(available), tuple(noted)
    labels = [cluster_name, date_name, *map(str, () if predictors is None else predictors)]
    categories = checked_categories(categories, labels)
    check_shapes(counts, available, len(categories))
    rows = pd.RangeIndex(len(counts), name="row") if rows is None else pd.Index(rows)
    check_length("row labels", rows, len(counts))
    rows = row_labels(rows)
    available = booleans(available, rows, "Availability")
    counts = checked_counts(counts, available, categories, rows)
    check_menus(available, categories, rows)
    if cluster is not None:
        cluster, cluster_name = checked_clusters(cluster, rows), cluster_name or "cluster"
    if date is not None:
        date_name = date_name or "date"
        check_length("date", date, len(rows))
        date, guess = parse_dates(date, date_name, rows)
        if guess and all(note.kind != "date_order" for note in noted):
            noted = (*noted, Suspicion("date_order", guess))
    predictors = checked_predictors(predictors, rows)
    row_weights = checked_weights(row_weights, len(rows))
    for array in (counts, available, row_weights):
        array.flags.writeable = False
    warn_of_no_information(counts, available, categories, cluster, rows)
    taken = {str(name) for name in (*categories, *labels) if name is not None}
    return {
        "counts": counts,
        "available": available,
        "categories": categories,
        "cluster": cluster,
        "date": date,
        "predictors": predictors,
        "rows": rows,
        "cluster_name": cluster_name,
        "date_name": date_name,
        "row_weights": row_weights,
        "noted": noted,
        "attributes": checked_attributes(attributes, available, categories, rows, taken),
        "exposure": checked_exposure(exposure, available, categories, rows),
    }


def checked_categories(names: Iterable, labels: Iterable) -> tuple[str, ...]:
    """Return the names of the categories: two or more, distinct, and none of the other labels."""
    categories = tuple(str(name) for name in names)
    if len(categories) < 2:
        raise ValueError(
            f"At least two categories are needed, and {len(categories)} was given: "
            "with one category there is no choice."
        )
    repeated = sorted({c for c in categories if categories.count(c) > 1})
    if repeated:
        raise ValueError(f"Each category must be given once: {listing(repeated)} is repeated.")
    labels = list(labels)
    clash = [c for c in categories if c in labels]
    if clash:
        raise ValueError(
            f"{listing(clash)} names both a category and the cluster, date or a predictor: "
            "rename one of them."
        )
    return categories


def check_shapes(counts: np.ndarray, available: np.ndarray, n_categories: int) -> None:
    """Refuse counts and availability that are not tables of one column per category."""
    if counts.ndim != 2 or counts.shape[1] != n_categories or len(counts) == 0:
        raise ValueError(
            f"The counts must have one row per observation and {n_categories} columns, "
            f"one per category: their shape is {counts.shape}."
        )
    if available.shape != counts.shape:
        raise ValueError(
            f"Availability must have the counts' shape {counts.shape}, not {available.shape}."
        )


def check_length(what: str, values: Sized, n_rows: int) -> None:
    """Refuse what does not have one entry per row."""
    if len(values) != n_rows:
        raise ValueError(f"The {what} must have one entry per row ({n_rows}), not {len(values)}.")


def checked_counts(
    counts: np.ndarray, available: np.ndarray, categories: Sequence[str], rows: pd.Index
) -> np.ndarray:
    """Return whole counts, 0 off the menu."""
    values = np.asarray(counts, dtype=float)
    missing = np.isnan(values) & available
    if missing.any():
        raise ValueError(
            f"Missing counts of categories that were on the menu in "
            f"{cells(missing, rows, categories)}: write 0 if nobody chose them, or mark them "
            "as unavailable."
        )
    values = np.where(np.isnan(values), 0, values)
    for bad, what, remedy in (
        (np.isinf(values), "Infinite", "correct or leave out"),
        (values < 0, "Negative", "correct or leave out"),
        (values >= TOO_LARGE, "Too large (2**53 or more)", "rescale the units of"),
    ):
        if bad.any():
            raise ValueError(
                f"{what} counts in {cells(bad, rows, categories)}: {remedy} these cells."
            )
    fractions = values != np.floor(values)
    if fractions.any():
        raise ValueError(fractional(values, cells(fractions, rows, categories)))
    impossible = (values > 0) & ~available
    if impossible.any():
        raise ValueError(
            f"Positive counts of categories that were not on the menu in "
            f"{cells(impossible, rows, categories)}: correct the counts, or the availability."
        )
    large = values.sum(axis=1) >= TOO_LARGE
    if large.any():
        raise ValueError(
            f"The total is too large (2**53 or more) in row(s) {listing(rows[large])}: "
            "rescale the units of the counts."
        )
    return values.astype(np.int64)


def check_menus(available: np.ndarray, categories: Sequence[str], rows: pd.Index) -> None:
    """Refuse empty menus, categories on no menu, and groups that share none."""
    names = np.array(categories)
    empty = ~available.any(axis=1)
    if empty.any():
        raise ValueError(
            f"Nothing was on the menu in row(s) {listing(rows[empty])}: leave these rows "
            "out, or correct their availability."
        )
    never = ~available.any(axis=0)
    if never.any():
        raise ValueError(
            f"Never on the menu: {listing(names[never])}. Leave these categories out: "
            "the data cannot tell how they would have been chosen."
        )
    menus = csr_array(np.unique(available, axis=0).astype(np.int64))
    n_parts, part = connected_components(menus.T @ menus, directed=False)
    if n_parts > 1:
        groups = "; ".join(", ".join(names[part == i]) for i in range(n_parts))
        raise ValueError(
            f"No chain of shared menus connects these groups of categories: {groups}. Their "
            "preferences cannot be compared: analyse each group by itself."
        )


def in_natural_order(values: Any) -> "pd.Categorical[Any]":
    """Return a categorical; text with digits is put into natural order, a given order is kept."""
    labels = pd.Categorical(values)
    names = list(labels.categories)
    given = isinstance(getattr(values, "dtype", None), pd.CategoricalDtype)
    if not given and all(isinstance(name, str) for name in names):
        if any(character.isdigit() for name in names for character in name):
            # 2 before 10; "1" before "01", which are as high.
            labels = labels.reorder_categories(natsorted(sorted(names, key=len)))
    return labels


def checked_clusters(values: Any, rows: pd.Index) -> pd.Categorical:
    """Return a cluster for each row, none of them missing; a categorical keeps its categories."""
    clusters = in_natural_order(values)
    check_length("cluster", clusters, len(rows))
    missing = clusters.codes < 0
    if missing.any():
        raise ValueError(
            f"The cluster is missing in row(s) {listing(rows[missing])}: fill the "
            "gaps, or leave these rows out."
        )
    return clusters


def checked_predictors(predictors: pd.DataFrame | None, rows: pd.Index) -> pd.DataFrame:
    """Return finite numbers or categoricals under the rows' labels; no columns for None."""
    frame = pd.DataFrame(index=rows) if predictors is None else predictors
    check_length("predictors", frame, len(rows))
    frame = frame.reset_index(drop=True).rename(columns=str)
    labels = [name for name in frame.columns if _are_labels(frame[name])]
    measured = frame.drop(columns=labels)
    values = numbers(measured, rows, "predictor")
    for bad, what in ((np.isnan(values), "missing"), (np.isinf(values), "infinite")):
        if bad.any():
            raise ValueError(
                f"Predictors are {what} in {cells(bad, rows, list(measured.columns))}: "
                "correct them, or leave these rows out."
            )
    found = pd.DataFrame(values, rows, measured.columns)
    for name in labels:
        found[name] = _checked_levels(frame[name], rows)
    return found[list(frame.columns)]


def _are_labels(column: pd.Series) -> bool:
    """Whether a column is categorical, or text of which no cell is a number."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return True
    if is_numeric_dtype(column) or column.dtype.kind in "mMc":
        return False
    known = column[column.notna()]
    is_text = len(known) > 0 and known.map(lambda cell: isinstance(cell, str)).all()
    return bool(is_text and pd.to_numeric(known, errors="coerce").isna().all())


def _checked_levels(column: pd.Series, rows: pd.Index) -> "pd.Categorical[Any]":
    """Return a predictor of labels, none of them missing, and fewer of them than rows."""
    missing = column.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"The predictor {column.name!r} is missing in row(s) {listing(rows[missing])}: "
            "correct them, or leave these rows out."
        )
    given = isinstance(column.dtype, pd.CategoricalDtype)
    levels = in_natural_order(column).remove_unused_categories()
    if not given and len(levels.categories) == len(rows) > 1:
        raise ValueError(
            f"The predictor {column.name!r} is text, and different in every row (such as "
            f"{column.iloc[0]!r}): correct the entries if they are meant to be numbers, or leave "
            "it out."
        )
    return levels


def checked_weights(weights: ArrayLike | None, n_rows: int) -> np.ndarray:
    """Return how many rows each row stands for: positive whole numbers, 1 if not given."""
    if weights is None:
        return np.ones(n_rows, dtype=np.int64)
    values = np.array(weights)
    if values.ndim == 1 and (values == 1).all():
        return np.ones(n_rows, dtype=np.int64)  # of other rows, by `dataclasses.replace`
    check_length("row weights", values, n_rows)
    if values.ndim != 1 or (values < 1).any() or (values != np.floor(values)).any():
        raise ValueError("Row weights must be positive whole numbers: the rows that were added up.")
    return values.astype(np.int64)


def warn_of_no_information(
    counts: np.ndarray,
    available: np.ndarray,
    categories: Sequence[str],
    cluster: pd.Categorical | None,
    rows: pd.Index,
) -> None:
    """Name rows, categories and clusters about which the counts say nothing."""
    names = np.array(categories)
    notes = []
    no_total = counts.sum(axis=1) == 0
    if no_total.any():
        notes.append(f"row(s) {listing(rows[no_total])} have a total of 0 and carry no information")
    no_choice = available.sum(axis=1) == 1
    if no_choice.any():
        notes.append(
            f"row(s) {listing(rows[no_choice])} had one category on the menu, so their "
            "counts carry no information"
        )
    never = counts.sum(axis=0) == 0
    if never.any():
        notes.append(
            f"{listing(names[never])} was on the menu but never chosen, so that its "
            "estimates rest on the prior"
        )
    if cluster is not None:
        levels = cluster.categories
        unused = np.setdiff1d(np.arange(len(levels)), cluster.codes)
        if len(unused):
            notes.append(
                f"cluster(s) {listing(levels[unused])} have no rows, so that their estimates "
                "rest on the other clusters"
            )
    if notes:
        warnings.warn(
            "Kept, but take note: " + "; ".join(notes) + ".", skip_file_prefixes=(PACKAGE,)
        )


def judge(suspicions: Iterable[Suspicion]) -> None:
    """Refuse a table that cannot be right, and warn of what may be wrong."""
    suspicions = list(suspicions)
    sure = [suspicion for suspicion in suspicions if suspicion.sure]
    if sure:
        kinds = ", ".join(repr(kind) for kind in dict.fromkeys(s.kind for s in sure))
        raise ValueError(f"{' '.join(map(str, sure))} If that is not so, pass accept=({kinds},).")
    if suspicions:
        kinds = ", ".join(repr(kind) for kind in dict.fromkeys(s.kind for s in suspicions))
        warnings.warn(
            f"Is this table what it looks like? {' '.join(map(str, suspicions))} "
            f"(accept=({kinds},) says that all is well.)",
            skip_file_prefixes=(PACKAGE,),
        )
