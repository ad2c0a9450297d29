"""Files of counts."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.data._attributes import Attributes, Exposure, attribute_columns
from helpers.data._columns import as_list, require_columns
from helpers.data._files import Cells, read_cells
from helpers.data._numbers import parse_numbers, refuse_thousands
from helpers.data.counts import CategoryCounts
from helpers.data.messages import listing, require_choice
from helpers.data.suspicion import checked_accept

__all__ = ["read_counts"]

_TRUE_FALSE = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


def read_counts(
    path: str | Path,
    categories: Sequence[str] | None = None,
    *,
    accept: str | Iterable[str] = (),
    cluster: str | None = None,
    date: str | None = None,
    predictors: Sequence[str] = (),
    available: str | Mapping[str, str] | None = None,
    attributes: Attributes = (),
    exposure: str | Exposure | None = None,
    row: str | None = None,
    category: str | None = None,
    count: str | None = None,
    thousands: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    sheet: str | int = 0,
) -> CategoryCounts:
    """
    Read counts from a file: text with separators, a spreadsheet, or Parquet.

    Unlike :func:`pandas.read_csv`, it reads each column by its role. Clusters, categories and dates
    are labels, so that ``01`` and ``1`` are two places and ``NA`` is Namibia; in a column of
    counts, ``NA`` and an empty cell are *not on the menu*. And it makes every check of
    :class:`CategoryCounts`.

    Parameters
    ----------
    path : str or pathlib.Path
        A file whose name ends in ``.csv``, ``.tsv`` or ``.txt`` (also with ``.gz``), ``.xlsx``,
        ``.xls`` or ``.ods``, ``.parquet`` or ``.pq``. A Parquet file keeps its types.
    categories : list of str, optional
        Names of the count columns; by default every column named ``n_*``.
    accept : str or iterable of str, optional
        Kinds of :attr:`CategoryCounts.suspicions` to overrule, such as ``"subtotal"``.
    cluster, date : str, optional
        Names of the columns with the cluster and the date of each row.
    predictors : list of str, optional
        Names of columns with numbers, in their own units, or labels, such as a region.
    available : mapping or str, optional
        A mapping category -> column of true and false (or 1 and 0); for a long file also the name
        of one such column. As in :meth:`CategoryCounts.from_wide`.
    attributes : list of str or mapping, optional
        What differs by category and row, such as a price: ``["price"]`` for columns called
        ``price_<category>``, or a mapping; for a long file names of columns. As in
        :meth:`CategoryCounts.from_wide`.
    exposure : mapping or str, optional
        A mapping category -> column of how much it was on the menu; for a long file the name of a
        column.
    row, category, count : str, optional
        For a long file, with one line per row and category: names of its columns, in place of
        `categories`. As in :meth:`CategoryCounts.from_long`.
    thousands, decimal : {".", ",", " ", "'"}, optional
        Marks between thousands, and before decimals (a point or a comma). Decimal commas are seen
        without; marks between thousands are refused without.
    encoding : str, optional
        Encoding of a text file; by default UTF-8, UTF-16 with a byte-order mark, or Latin-1.
    sheet : str or int
        Name or number of a spreadsheet's sheet, from 0.

    Returns
    -------
    CategoryCounts

    Raises
    ------
    ValueError
        For an unknown type of file, for any defect of the table, and for what cannot be counts of
        choices.
    FileNotFoundError
        If there is no such file.

    Warns
    -----
    UserWarning
        Once, for all that may be wrong: see :attr:`CategoryCounts.suspicions`.

    Examples
    --------
    >>> from helpers import read_counts
    >>> data = read_counts("data/spain_elections.csv", cluster="province", date="date")
    >>> data.counts.shape
    (676, 8)
    """
    accept = checked_accept(accept)
    for name, mark, marks in (("thousands", thousands, ".,' "), ("decimal", decimal, ".,")):
        if mark is not None:
            require_choice(name, mark, tuple(marks))
    if thousands is not None and thousands == decimal:
        raise ValueError(f"thousands and decimal cannot both be {thousands!r}.")
    cells = read_cells(Path(path), sheet, encoding)
    frame = cells.text
    long = [name for name in (row, category, count) if name is not None]
    if long and (len(long) < 3 or categories is not None):
        raise ValueError(
            "A long file needs all of `row`, `category` and `count`, and no `categories`: give "
            "these three, or `categories` alone."
        )
    if not long:
        categories = _count_columns(frame) if categories is None else categories
    counts = [count] if count is not None else as_list(categories, "`categories`")
    predictors = as_list(predictors, "`predictors`")
    columns = available.values() if isinstance(available, Mapping) else [available]
    flags = [name for name in columns if name is not None]
    of_cells = _columns_of_cells(frame, attributes, exposure, () if long else categories)
    for names, role in ((counts, "a count"), (predictors, "a predictor"), (flags, "availability")):
        require_columns(frame, names, role)
    if thousands is decimal is None:
        texts = [frame[name] for name in dict.fromkeys(counts) if name not in cells.typed]
        decimal = refuse_thousands(texts, "thousands" in accept)
    frame = _by_role(cells, counts, [*predictors, *of_cells], flags, decimal, thousands)
    given: dict[str, Any] = {
        "cluster": cluster,
        "date": date,
        "predictors": predictors,
        "accept": accept,
    }
    if row is not None and category is not None and count is not None:
        if isinstance(exposure, Mapping) or isinstance(attributes, Mapping):
            raise ValueError(
                "A long file has one column for each attribute, and one for the exposure: give "
                "their names, without a mapping."
            )
        given |= {"attributes": attributes, "exposure": exposure}
        return CategoryCounts.from_long(
            frame, row=row, category=category, count=count, available=available, **given
        )
    if isinstance(available, str):
        raise ValueError(
            f"`available` must be a mapping category -> column, not {available!r}: one column for "
            "all is for long files."
        )
    if isinstance(exposure, str):
        raise ValueError(
            f"`exposure` must be a mapping category -> column, not {exposure!r}: one column for "
            "all is for long files."
        )
    given |= {"attributes": attributes, "exposure": exposure}
    return CategoryCounts.from_wide(frame, counts, available=available, **given)


def _columns_of_cells(
    frame: pd.DataFrame,
    attributes: Attributes,
    exposure: str | Exposure | None,
    categories: Sequence[str] | None,
) -> list[str]:
    """Name the columns of attributes and exposure: numbers, too."""
    names = [exposure] if isinstance(exposure, str) else list((exposure or {}).values())
    if not categories:
        names += as_list(attributes, "`attributes`")
        require_columns(frame, names, "an attribute or the exposure")
    else:
        found = attribute_columns(frame, attributes, as_list(categories, "`categories`"))
        names += [column for columns in found.values() for column in columns.values()]
        require_columns(frame, names, "exposure")
    return names


def _count_columns(frame: pd.DataFrame) -> list[str]:
    categories = [name for name in frame.columns if str(name).startswith("n_")]
    if categories:
        return categories
    raise ValueError(
        "No column is named n_*: name the count columns with `categories`. The columns are "
        f"{listing(frame.columns, 12)}. If one of them has the names of what was chosen, give one "
        "column for each name in its place: 1 where it was chosen, 0 where it was not, and an "
        "empty cell where it was not offered."
    )


def _by_role(
    cells: Cells,
    counts: Sequence[str],
    predictors: Sequence[str],
    flags: Sequence[str],
    decimal: str | None,
    thousands: str | None,
) -> pd.DataFrame:
    """Turn text into numbers and booleans where the role of its column wants them."""
    frame = cells.text.copy()
    for name in dict.fromkeys((*counts, *predictors, *flags)):
        if name in cells.typed:
            frame[name] = cells.typed[name].array
        elif name in flags:
            known = frame[name].astype("string").str.strip().str.lower().map(_TRUE_FALSE)
            frame[name] = known.astype(object).where(known.notna(), frame[name])
        else:
            frame[name] = parse_numbers(frame[name], decimal, thousands)
    return frame
