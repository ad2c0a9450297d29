"""Wide and long tables, taken apart into the arguments of CategoryCounts."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from helpers.data._attributes import (
    Attributes,
    Exposure,
    attribute_frame,
    wide_attributes,
    wide_exposure,
)
from helpers.data._columns import (
    as_list,
    booleans,
    numbers,
    require_columns,
    require_frame,
    require_roles,
    row_labels,
)
from helpers.data._numbers import refuse_thousands
from helpers.data.messages import listing, require_known
from helpers.data.suspicion import refuse_choices

# What a caller may give for availability.
type Menus = Mapping[str, str] | pd.DataFrame | np.ndarray | Sequence[Sequence[bool]]


def wide_parts(
    frame: pd.DataFrame,
    categories: Sequence[str],
    cluster: str | None,
    date: str | None,
    predictors: Sequence[str],
    available: Menus | None,
    attributes: Attributes,
    exposure: Exposure | None,
    accept: Collection[str],
) -> dict[str, Any]:
    """Take apart a table with one row per observation and one column per category."""
    require_frame(frame)
    categories = as_list(categories, "`categories`")
    predictors = as_list(predictors, "`predictors`")
    roles = [("a category", name) for name in categories]
    require_roles(frame, roles + _row_roles(cluster, date, predictors))
    rows = row_labels(frame.index)
    refuse_choices(frame[categories])
    _refuse_marks(frame[categories], accept)
    counts = numbers(frame[categories], rows, "count")
    menus = ~np.isnan(counts)
    if available is not None:
        menus = _given_menus(available, menus, categories, rows, frame)
    exposed = None
    if exposure is not None:
        exposed = wide_exposure(frame, exposure, categories, rows, menus)
        if available is None:
            menus = menus & ~(exposed == 0)
    return {
        "attributes": wide_attributes(frame, attributes, categories, rows),
        "exposure": exposed,
        "counts": counts,
        "available": menus,
        "categories": tuple(categories),
        "rows": rows,
        **_row_parts(frame, cluster, date, predictors),
    }


def long_parts(
    frame: pd.DataFrame,
    row: str,
    category: str,
    count: str,
    cluster: str | None,
    date: str | None,
    predictors: Sequence[str],
    available: str | Menus | None,
    attributes: Sequence[str],
    exposure: str | None,
    accept: Collection[str],
) -> dict[str, Any]:
    """Take apart a table with one line per row and category."""
    require_frame(frame)
    predictors = as_list(predictors, "`predictors`")
    attributes = as_list(attributes, "`attributes`")
    roles = [("the row", row), ("the category", category), ("the count", count)]
    roles += [("an attribute", name) for name in attributes]
    roles += [] if exposure is None else [("the exposure", exposure)]
    require_roles(frame, roles + _row_roles(cluster, date, predictors))
    lines = pd.RangeIndex(len(frame))
    _check_pairs(frame, row, category, lines)
    constant = [name for name in (cluster, date, *predictors) if name is not None]
    if isinstance(available, Mapping):
        require_columns(frame, available.values(), "availability")
        constant += [name for name in available.values() if name not in constant]
    _check_constant(frame, row, constant)

    labels = pd.Index(frame[row].unique(), name=row)
    if isinstance(frame[category].dtype, pd.CategoricalDtype):
        columns = frame[category].cat.categories
    else:
        columns = pd.Index(frame[category].unique())

    def spread(values: np.ndarray) -> pd.DataFrame:
        pairs = {"row": frame[row].array, "category": frame[category].array}
        table = pd.DataFrame(pairs | {"value": values})
        table = table.pivot(index="row", columns="category", values="value")
        return table.reindex(index=labels, columns=columns)

    _refuse_marks(frame[[count]], accept)
    counts = spread(numbers(frame[[count]], lines, "count")[:, 0])
    by_row = frame.drop_duplicates(row).set_index(row)
    menus = counts.notna().to_numpy()
    if isinstance(available, str):
        require_columns(frame, [available], "availability")
        flags = booleans(frame[available], lines, f"The column {available!r}")
        menus = spread(flags[:, 0].astype(float)).fillna(0).to_numpy(bool)
    elif available is not None:
        menus = _given_menus(available, menus, list(columns), labels, by_row)
        present = pd.MultiIndex.from_frame(frame[[row, category]])
        pairs = pd.MultiIndex.from_product([labels, columns])
        counts = counts.mask(menus & ~pairs.isin(present).reshape(menus.shape), 0)
    tables = {
        name: spread(numbers(frame[[name]], lines, "attribute")[:, 0]).to_numpy(float)
        for name in attributes
    }
    exposed = None
    if exposure is not None:
        exposed = spread(numbers(frame[[exposure]], lines, "exposure")[:, 0]).to_numpy(float)
        if available is None:
            menus = menus & ~(exposed == 0)
    return {
        "attributes": tables,
        "exposure": exposed,
        "counts": counts.to_numpy(float),
        "available": menus,
        "categories": tuple(columns),
        "rows": labels,
        **_row_parts(by_row, cluster, date, predictors),
    }


def wide_frame(data: Any) -> pd.DataFrame:
    """Return the wide table of a `CategoryCounts`."""
    frame = pd.DataFrame(index=data.rows)
    if data.cluster is not None:
        frame[data.cluster_name] = data.cluster
    if data.date is not None:
        frame[data.date_name] = data.date.array
    frame[list(data.predictors.columns)] = data.predictors
    counts = pd.DataFrame(data.counts, data.rows, list(data.categories)).astype("Int64")
    frame = frame.join(counts.mask(~data.available))
    if not data.attributes and data.exposure is None:
        return frame
    return frame.join(attribute_frame(data.attributes, data.exposure, data.categories, data.rows))


def _refuse_marks(frame: pd.DataFrame, accept: Collection[str]) -> None:
    """Refuse text such as 33.000 where counts are wanted."""
    text = [column for _, column in frame.items() if not is_numeric_dtype(column)]
    refuse_thousands(
        [column for column in text if column.dtype.kind not in "mM"], "thousands" in accept
    )


def _row_roles(
    cluster: str | None, date: str | None, predictors: Sequence[str]
) -> list[tuple[str, str]]:
    """Pair each column that describes a row with the role it was given."""
    given = [("the cluster", cluster), ("the date", date)]
    roles = [(role, name) for role, name in given if name is not None]
    return roles + [("a predictor", name) for name in predictors]


def _row_parts(
    frame: pd.DataFrame, cluster: str | None, date: str | None, predictors: Sequence[str]
) -> dict[str, Any]:
    """Take the columns that describe a row."""
    return {
        "cluster": None if cluster is None else frame[cluster].array,
        "date": None if date is None else frame[date].array,
        "predictors": frame[list(predictors)],
        "cluster_name": cluster,
        "date_name": date,
    }


def _check_pairs(frame: pd.DataFrame, row: str, category: str, lines: pd.Index) -> None:
    """Refuse lines without a row or a category, and two lines for one pair."""
    for name in (row, category):
        missing = frame[name].isna().to_numpy()
        if missing.any():
            raise ValueError(
                f"The column {name!r} is missing in line(s) {listing(lines[missing])}: "
                "fill the gaps, or leave these lines out."
            )
    twice = frame.duplicated([row, category], keep=False)
    if twice.any():
        pairs = frame.loc[twice, [row, category]].drop_duplicates().itertuples(index=False)
        raise ValueError(
            f"More than one line for {listing(tuple(map(str, pair)) for pair in pairs)} "
            f"(columns {row!r}, {category!r}): add them up, or drop the duplicates."
        )


def _check_constant(frame: pd.DataFrame, row: str, names: Sequence[str]) -> None:
    """Refuse columns that differ between the lines of a row."""
    for name in names:
        varies = frame.groupby(row, sort=False, observed=True)[name].nunique(dropna=False) > 1
        if varies.any():
            raise ValueError(
                f"The column {name!r} must be the same in all lines of a row, and is not in "
                f"row(s) {listing(varies.index[varies])}."
            )


def _given_menus(
    available: Menus,
    menus: np.ndarray,
    categories: Sequence[str],
    rows: pd.Index,
    frame: pd.DataFrame,
) -> np.ndarray:
    """Override menus by availability from a mapping, a frame or an array."""
    if not isinstance(available, Mapping | pd.DataFrame):
        table = np.asarray(available)
        if table.shape != menus.shape:
            raise ValueError(
                f"`available` must be a mapping, a frame, or an array of shape {menus.shape}, not "
                f"of shape {table.shape}."
            )
        return booleans(table, rows, "Availability")
    if isinstance(available, pd.DataFrame):
        available = _aligned(available, frame)
    menus = menus.copy()
    names: list[Any] = list(available)
    for name in names:
        require_known("category", [name], categories, " (given in `available`)")
        if isinstance(available, Mapping):
            require_columns(frame, [available[name]], f"availability of {name!r}")
            column = frame[available[name]]
            what = f"The column {available[name]!r} (availability of {name!r})"
        else:
            column, what = available[name], f"Availability of {name!r}"
        menus[:, categories.index(name)] = booleans(column.to_numpy(), rows, what)[:, 0]
    return menus


def _aligned(available: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Put a frame of availability into the order of the data's rows."""
    if not available.columns.is_unique:
        raise ValueError("The availability frame names a category more than once.")
    if available.index.is_unique and set(available.index) == set(frame.index):
        return available.loc[frame.index]
    if not available.index.equals(frame.index):
        raise ValueError(
            f"The availability frame must have the same row labels as the data ({len(frame)} "
            f"rows); it has {len(available)} rows, with labels such as "
            f"{listing(available.index, 3)}."
        )
    return available
