"""What differs by category and row: attributes such as a price, and exposure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from helpers.data._columns import as_list, cells, numbers, require_columns
from helpers.data.messages import listing, require_known

# What a caller may give: names, or name -> columns, for a wide table; arrays for CategoryCounts.
type Attributes = Sequence[str] | Mapping[str, Mapping[str, str]]
type Exposure = Mapping[str, str]


def attribute_columns(
    frame: pd.DataFrame, attributes: Attributes, categories: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Find the column of each attribute and category; a category may be without one."""
    if isinstance(attributes, Mapping):
        for name, columns in attributes.items():
            if not isinstance(columns, Mapping):
                raise ValueError(
                    f"The attribute {name!r} must be a mapping category -> column, not "
                    f"{columns!r}: such as {{{name!r}: {{{categories[0]!r}: "
                    f"'{name}_{categories[0]}'}}}}."
                )
            require_known("category", columns, categories, f" (given in the attribute {name!r})")
            require_columns(frame, columns.values(), f"the attribute {name!r}")
        return {str(name): dict(columns) for name, columns in attributes.items()}
    return {
        name: _by_prefix(frame, name, categories) for name in as_list(attributes, "`attributes`")
    }


def _by_prefix(frame: pd.DataFrame, name: str, categories: Sequence[str]) -> dict[str, str]:
    """Columns called price_oats; one that belongs to no category is refused if one is missing."""
    columns = {c: f"{name}_{c}" for c in categories if f"{name}_{c}" in frame.columns}
    without = [c for c in categories if c not in columns]
    others = [
        column
        for column in frame.columns
        if str(column).startswith(f"{name}_") and column not in columns.values()
    ]
    if not columns or (without and others):
        found = f" There are {listing(others)}." if others else ""
        raise ValueError(
            f"The attribute {name!r} needs columns such as '{name}_{without[0]}', and there is "
            f"none for {listing(without)}.{found} Rename the columns, or give a mapping: "
            f"attributes={{{name!r}: {{category: column}}}}, without the categories to which it "
            "does not apply."
        )
    return columns


def wide_attributes(
    frame: pd.DataFrame, attributes: Attributes, categories: Sequence[str], rows: pd.Index
) -> dict[str, np.ndarray]:
    """Take the attributes out of a wide table, missing where there is no column."""
    found = {}
    for name, columns in attribute_columns(frame, attributes, categories).items():
        values = np.full((len(frame), len(categories)), np.nan)
        where = [list(categories).index(category) for category in columns]
        given = numbers(frame[list(columns.values())], rows, f"{name!r} attribute")
        values[:, where] = given
        _refuse_blank_columns(name, given, list(columns.values()))
        found[name] = values
    return found


def _refuse_blank_columns(name: str, values: np.ndarray, columns: Sequence[str]) -> None:
    blank = np.isnan(values).all(axis=0)
    if blank.any():
        raise ValueError(
            f"The column(s) {listing(np.array(columns)[blank])} of the attribute {name!r} are "
            "empty: fill them, or leave their categories out of the attribute's mapping, if it "
            "does not apply to them."
        )


def wide_exposure(
    frame: pd.DataFrame,
    exposure: Exposure,
    categories: Sequence[str],
    rows: pd.Index,
    menus: np.ndarray,
) -> np.ndarray:
    """Take the exposure out of a wide table: 1 where there is no column, 0 for missing counts."""
    if not isinstance(exposure, Mapping):
        raise ValueError(
            f"`exposure` must be a mapping category -> column, not {exposure!r}: such as "
            f"{{{categories[0]!r}: 'exposure_{categories[0]}'}}."
        )
    require_known("category", exposure, categories, " (given in `exposure`)")
    require_columns(frame, exposure.values(), "exposure")
    values = np.ones((len(frame), len(categories)))
    where = [list(categories).index(category) for category in exposure]
    values[:, where] = numbers(frame[list(exposure.values())], rows, "exposure")
    return np.where(np.isnan(values) & ~menus, 0.0, values)


def checked_attributes(
    attributes: Mapping[str, ArrayLike] | None,
    available: np.ndarray,
    categories: Sequence[str],
    rows: pd.Index,
    taken: Iterable[str],
) -> dict[str, np.ndarray]:
    """Return attributes by name, known wherever their category was on the menu, or nowhere."""
    found: dict[str, np.ndarray] = {}
    for given, table in (attributes or {}).items():
        name, values = str(given), np.array(table, dtype=float)
        if name in taken:
            raise ValueError(f"{name!r} names both an attribute and another column: rename one.")
        if values.shape != available.shape:
            raise ValueError(
                f"The attribute {name!r} must have the counts' shape {available.shape}, not "
                f"{values.shape}."
            )
        applies = ~np.isnan(values).all(axis=0)
        if not applies.any():
            raise ValueError(f"The attribute {name!r} is missing everywhere: leave it out.")
        for bad, what in (
            (np.isnan(values) & available & applies, "missing"),
            (np.isinf(values), "infinite"),
        ):
            if bad.any():
                raise ValueError(
                    f"The attribute {name!r} is {what} in {cells(bad, rows, categories)}, where "
                    "the category was on the menu: fill these cells, or mark the category as "
                    "unavailable there."
                    if what == "missing"
                    else f"The attribute {name!r} is infinite in {cells(bad, rows, categories)}: "
                    "correct these cells."
                )
        values.flags.writeable = False
        found[name] = values
    return found


def checked_exposure(
    exposure: ArrayLike | None,
    available: np.ndarray,
    categories: Sequence[str],
    rows: pd.Index,
) -> np.ndarray | None:
    """Return the exposure, 0 off the menu and positive on it, or None."""
    if exposure is None:
        return None
    values = np.array(exposure, dtype=float)
    if values.shape != available.shape:
        raise ValueError(
            f"The exposure must have the counts' shape {available.shape}, not {values.shape}."
        )
    for bad, what, remedy in (
        (np.isnan(values) & available, "missing", "fill these cells, with 0 for off the menu"),
        (np.isinf(values), "infinite", "correct these cells"),
        (values < 0, "below 0", "it is a time, an area or a share: correct these cells"),
        (
            (values == 0) & available,
            "0, which is off the menu, for categories that are said to be on it",
            "correct the exposure, or the availability",
        ),
    ):
        if bad.any():
            raise ValueError(
                f"The exposure is {what}, in {cells(bad, rows, categories)}: {remedy}."
            )
    values = np.where(available, values, 0.0)
    values.flags.writeable = False
    return values


def attribute_frame(
    attributes: Mapping[str, np.ndarray],
    exposure: np.ndarray | None,
    categories: Sequence[str],
    rows: pd.Index,
) -> pd.DataFrame:
    """Return columns such as price_oats and exposure_oats."""
    tables: dict[str, Any] = dict(attributes)
    if exposure is not None:
        tables["exposure"] = exposure
    columns = {
        f"{name}_{category}": values[:, k]
        for name, values in tables.items()
        for k, category in enumerate(categories)
        if not np.isnan(values[:, k]).all()
    }
    return pd.DataFrame(columns, index=rows)
