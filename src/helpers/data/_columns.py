"""Columns of a table, checked: names, numbers, booleans, dates, menus."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd

from helpers.data.messages import listing, require_known


def _cells(bad, rows, categories):
    """Say where a boolean table is true: which rows, which columns."""
    at_row, at_column = np.nonzero(bad)
    rows_hit = rows[np.unique(at_row)]
    columns_hit = [categories[k] for k in np.unique(at_column)]
    return f"row(s) {listing(rows_hit)}, column(s) {listing(columns_hit)}"


def _require_columns(frame, names, role):
    """Refuse names that are not columns of the frame, with the nearest that are."""
    for name in names:
        if not isinstance(name, Hashable):
            raise ValueError(
                f"The name of a column is needed as {role}, not a {type(name).__name__}: put it "
                "into the table and give its name."
            )
        require_known("column", [name], frame.columns, f" (given as {role})")
        if (frame.columns == name).sum() > 1:
            raise ValueError(
                f"The column {name!r} (given as {role}) occurs more than once: "
                "rename or drop all but one."
            )


def _require_frame(frame):
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(
            f"The data must be a pandas DataFrame, not {type(frame).__name__}: "
            "wrap them in pandas.DataFrame(...), or read a file with read_counts(path)."
        )
    if frame.empty:
        raise ValueError("The table has no rows or no columns: there is nothing to count.")


def _require_distinct_roles(roles):
    """Refuse a column that plays two roles."""
    seen = {}
    for role, name in roles:
        if name in seen:
            raise ValueError(
                f"The column {name!r} is given twice, as {seen[name]} and as {role}: "
                "each column can play one role only."
            )
        seen[name] = role


def _as_list(names, role):
    if isinstance(names, str) or not isinstance(names, Sequence | np.ndarray | pd.Index):
        raise ValueError(f"{role} must be a list of column names, not {names!r}.")
    return list(names)


def _numbers(frame, rows, role):
    """Floats of a frame of columns; text that is no number is refused by row and column."""
    out = np.empty(frame.shape)
    for k, name in enumerate(frame.columns):
        column = frame[name]
        if column.dtype.kind in "mMc":
            raise ValueError(
                f"The {role} column {name!r} holds {column.dtype}, not numbers: convert it to a "
                "number in the unit you mean."
            )
        numbers = pd.to_numeric(column, errors="coerce")
        no_number = (numbers.isna() & column.notna()).to_numpy()
        if no_number.any() or not pd.api.types.is_numeric_dtype(numbers):
            raise ValueError(
                f"The {role} column {name!r} holds what is no number in row(s) "
                f"{listing(rows[no_number])} (such as {column[no_number].iloc[0]!r}): "
                "correct the entries, or encode the column as numbers."
            )
        out[:, k] = numbers.to_numpy(dtype=float, na_value=np.nan)
    return out


def _booleans(values, rows, what):
    """Booleans of a column or table of True/False or 1/0; anything else is refused by row."""
    values = pd.DataFrame(values)
    known = values.isin([True, False, 1, 0]).to_numpy() & values.notna().to_numpy()
    if not known.all():
        raise ValueError(
            f"{what} must be True or False (or 1 or 0) everywhere, and is not in row(s) "
            f"{listing(rows[~known.all(axis=1)])}: fill the gaps, or correct the entries."
        )
    return values.astype(float).to_numpy().astype(bool)


def _row_labels(index):
    """Labels of the rows: the frame's own where they are unique, positions otherwise."""
    if isinstance(index, pd.MultiIndex) or not index.is_unique or index.hasnans:
        return pd.RangeIndex(len(index), name="row")
    return index.rename("row")


def _as_date(values, rows, name):
    """Dates or numbers as they are; text is parsed if all of it is ISO 8601, else kept."""
    values = pd.Series(values)
    missing = values.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"The date column {name!r} is missing in row(s) {listing(rows[missing])}: "
            "fill the gaps, or leave these rows out."
        )
    if pd.api.types.is_string_dtype(values.dtype) or values.dtype == object:
        parsed = pd.to_datetime(values, format="ISO8601", errors="coerce")
        if parsed.notna().all():
            values = parsed
    return pd.Index(values, name=name)


def _given_menus(available, menus, categories, rows, frame):
    """Availability from a mapping, a frame or an array, over the rule of missing counts."""
    menus = menus.copy()
    if isinstance(available, Mapping):
        names = list(available)
    elif isinstance(available, pd.DataFrame):
        names = list(available.columns)
        if len(set(names)) < len(names):
            raise ValueError("The availability frame names a category more than once.")
        if available.index.is_unique and set(available.index) == set(frame.index):
            available = available.loc[frame.index]
        elif not available.index.equals(frame.index):
            raise ValueError(
                f"The availability frame must have the same row labels as the data ({len(frame)} "
                f"rows); it has {len(available)} rows, with labels such as "
                f"{listing(available.index, 3)}."
            )
    else:
        available = np.asarray(available)
        if available.shape != menus.shape:
            raise ValueError(
                f"`available` must be a mapping, a frame, or an array of shape {menus.shape}, not "
                f"of shape {available.shape}."
            )
        return _booleans(available, rows, "Availability")
    for name in names:
        require_known("category", [name], categories, " (given in `available`)")
        if isinstance(available, Mapping):
            _require_columns(frame, [available[name]], f"availability of {name!r}")
            column = frame[available[name]]
            what = f"The column {available[name]!r} (availability of {name!r})"
        else:
            column, what = available[name], f"Availability of {name!r}"
        menus[:, categories.index(name)] = _booleans(column.to_numpy(), rows, what)[:, 0]
    return menus
