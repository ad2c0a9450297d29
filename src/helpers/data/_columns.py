"""Columns of a table, checked: names, numbers, booleans, dates."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from helpers.data.messages import listing, require_known

# What a caller may give for a column.
type Column = Sequence[Any] | np.ndarray | pd.Series | pd.Index | pd.Categorical[Any]


def cells(bad: np.ndarray, rows: pd.Index, columns: Sequence[str]) -> str:
    """Say in which rows and columns a boolean table is true."""
    i, k = np.nonzero(bad)
    names = [columns[j] for j in np.unique(k)]
    return f"row(s) {listing(rows[np.unique(i)])}, column(s) {listing(names)}"


def require_columns(frame: pd.DataFrame, names: Iterable, role: str) -> None:
    """Refuse names that are not columns of the frame, and columns that occur twice."""
    for name in names:
        if not isinstance(name, Hashable):
            raise ValueError(
                f"The name of a column is needed as {role}, not a {type(name).__name__}: put it "
                "into the table and give its name."
            )
        _refuse_typed_name(frame, name, role)
        require_known("column", [name], frame.columns, f" (given as {role})")
        if (frame.columns == name).sum() > 1:
            raise ValueError(
                f"The column {name!r} (given as {role}) occurs more than once: "
                "rename or drop all but one."
            )


def _refuse_typed_name(frame: pd.DataFrame, name: Any, role: str) -> None:
    """Name the trap where YAML has made a boolean or a number of a name."""
    if isinstance(name, str) or (frame.columns == name).any():
        return
    if isinstance(name, bool | np.bool_):
        words = ("yes", "on", "true", "y") if name else ("no", "off", "false", "n")
        meant = [column for column in frame.columns if str(column).lower() in words]
        hint = f"did you mean {meant[0]!r}? " if meant else ""
        raise ValueError(
            f"There is no column {name!r} (given as {role}): {hint}YAML and some other files turn "
            f"Yes, No, On and Off into True and False. Put the name in quotes: "
            f'"{meant[0] if meant else "Yes"}".'
        )
    if str(name) in frame.columns:
        raise ValueError(
            f"There is no column {name!r} (given as {role}): the names of columns are text, and "
            f'this is a number. Put it in quotes: "{name}".'
        )


def require_frame(frame: object) -> None:
    """Refuse what is not a DataFrame with rows and columns."""
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(
            f"The data must be a pandas DataFrame, not {type(frame).__name__}: "
            "wrap them in pandas.DataFrame(...), or read a file with read_counts(path)."
        )
    if frame.empty:
        raise ValueError("The table has no rows or no columns: there is nothing to count.")


def require_roles(frame: pd.DataFrame, roles: Iterable[tuple[str, Any]]) -> None:
    """Refuse names that are not columns, and a column that plays two roles."""
    roles = list(roles)
    for role, name in roles:
        require_columns(frame, [name], role)
    seen: dict[Any, str] = {}
    for role, name in roles:
        if name in seen:
            raise ValueError(
                f"The column {name!r} is given twice, as {seen[name]} and as {role}: "
                "each column can play one role only."
            )
        seen[name] = role


def as_list(names: object, role: str) -> list:
    """Return a list of names; a single string is refused."""
    if isinstance(names, str) or not isinstance(names, Sequence | np.ndarray | pd.Index):
        raise ValueError(f"{role} must be a list of column names, not {names!r}.")
    return list(names)


def numbers(frame: pd.DataFrame, rows: pd.Index, role: str) -> np.ndarray:
    """Return the columns of a frame as floats; text that is no number is refused by row."""
    out = np.empty(frame.shape)
    for k, name in enumerate(frame.columns):
        column = frame[name]
        if column.dtype.kind in "mMc":
            raise ValueError(
                f"The {role} column {name!r} contains {column.dtype} values, not numbers: "
                "convert it to a number in the unit you mean."
            )
        parsed = pd.to_numeric(column, errors="coerce")
        no_number = (parsed.isna() & column.notna()).to_numpy()
        if no_number.any() or not pd.api.types.is_numeric_dtype(parsed):
            raise ValueError(
                f"The {role} column {name!r} has entries that are not numbers in row(s) "
                f"{listing(rows[no_number])} (such as {column[no_number].iloc[0]!r}): "
                "correct the entries, or encode the column as numbers."
            )
        out[:, k] = parsed.to_numpy(dtype=float, na_value=np.nan)
    return out


def booleans(values: Any, rows: pd.Index, what: str) -> np.ndarray:
    """Return True/False or 1/0 as booleans, shape (R, ...); anything else is refused by row."""
    values = pd.DataFrame(values)
    known = values.isin([True, False, 1, 0]).to_numpy() & values.notna().to_numpy()
    if not known.all():
        raise ValueError(
            f"{what} must be True or False (or 1 or 0) everywhere, and is not in row(s) "
            f"{listing(rows[~known.all(axis=1)])}: fill the gaps, or correct the entries."
        )
    return values.astype(float).to_numpy().astype(bool)


def row_labels(index: pd.Index) -> pd.Index:
    """Return the labels of the rows: the index where it is unique, else positions."""
    if isinstance(index, pd.MultiIndex) or not index.is_unique or index.hasnans:
        return pd.RangeIndex(len(index), name="row")
    return index.rename("row")
