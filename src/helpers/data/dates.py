"""Dates as people write them, in their true order."""

import calendar
import re
from typing import Any

import numpy as np
import pandas as pd
from natsort import natsorted

from helpers.data._columns import Column
from helpers.data.messages import listing

__all__ = ["dates_in_order", "parse_dates"]

# Formats that can be read in one way only, tried in this order.
_FORMATS = (
    "%d.%m.%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y/%m", "%Y.%m", "%m/%Y", "%m.%Y", "%m-%Y",
    "%B %Y", "%b %Y", "%Y %B", "%Y %b", "%b-%Y", "%d %B %Y", "%d %b %Y", "%d-%b-%Y",
    "%B %d, %Y", "%b %d, %Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S",
)  # fmt: skip
# Dates that could pass for numbers.
_JOINED = (
    (r"(19|20)\d{4}", "%Y%m"),
    (r"(19|20)\d{6}", "%Y%m%d"),
    (r"\d{1,2}\.(19|20)\d\d", "%m.%Y"),
    (r"(19|20)\d\d\.\d\d", "%Y.%m"),
)
# Parts of a year: how often the part comes in a year, and how it is written.
_PARTS = (
    (4, r"(?P<year>\d{4})[ \-/.]*[QqTt](?P<part>[1-4])"),
    (4, r"[QqTt](?P<part>[1-4])[ \-/.]*(?P<year>\d{4})"),
    (4, r"(?P<part>[1-4])[ \-/.]*[QqTt][ \-/.]*(?P<year>\d{4})"),
    (4, r"(?P<part>[1-4])\.? ?(?:Quartal|quarter|trimestre|trim\.?) ?(?P<year>\d{4})"),
    (2, r"(?P<year>\d{4})[ \-/.]*[HhSs](?P<part>[12])"),
    (2, r"[HhSs](?P<part>[12])[ \-/.]*(?P<year>\d{4})"),
)
_CALENDARS = (calendar.month_name, calendar.month_abbr, calendar.day_name, calendar.day_abbr)


def parse_dates(
    values: Column, name: str = "date", rows: pd.Index | None = None
) -> tuple[pd.Index, str]:
    """
    Read dates as people write them.

    Unlike :func:`pandas.to_datetime`, it says where it guesses, and leaves years, and numbers of
    weeks or waves, numbers. It reads ISO 8601 (also ``2020-W05``), ``13.03.2016``, ``13/03/2016``,
    ``202003``, quarters and halves of years (``2020Q1``, ``Q1 2020``, ``2020H2``; as their first
    day), and months by their English names.

    Parameters
    ----------
    values : array-like, length R
        Dates, numbers or text.
    name : str
        Name of the column.
    rows : pandas.Index, optional
        Labels of the rows, for messages.

    Returns
    -------
    dates : pandas.Index
        Timestamps, numbers, or the values as they are.
    guess : str
        How the dates were read or put in order, if that is a guess; else empty.

    Raises
    ------
    ValueError
        If a date is missing, or if days and months come in both orders.

    Examples
    --------
    >>> from helpers.data import parse_dates
    >>> parse_dates(["13.03.2016", "14.03.2021"])[0].strftime("%Y-%m-%d").tolist()
    ['2016-03-13', '2021-03-14']
    >>> parse_dates(["2020Q4", "2021Q1"])[0].strftime("%Y-%m-%d").tolist()
    ['2020-10-01', '2021-01-01']
    >>> parse_dates(["2014", "2017"])[0].tolist()
    [2014, 2017]
    """
    column = pd.Series(values)
    if isinstance(column.dtype, pd.CategoricalDtype) and not column.dtype.ordered:
        column = column.astype(column.dtype.categories.dtype)
    missing = column.isna().to_numpy()
    if missing.any():
        where = (pd.RangeIndex(len(column)) if rows is None else rows)[missing]
        raise ValueError(
            f"The date column {name!r} is missing in row(s) {listing(where)}: "
            "fill the gaps, or leave these rows out."
        )
    if pd.api.types.is_integer_dtype(column.dtype):
        read = _joined(column.astype("string"))
        return pd.Index(column if read is None else read, name=name), ""
    if not (pd.api.types.is_string_dtype(column.dtype) or column.dtype == object):
        return pd.Index(column, name=name), ""
    # Labels come as often as there are rows, and are few.
    codes, labels = pd.factorize(column)
    if not all(isinstance(label, str) for label in labels):
        parsed = pd.to_datetime(column, format="ISO8601", errors="coerce")
        return pd.Index(parsed if parsed.notna().all() else column, name=name), ""
    read, guess = _read(pd.Series(labels, dtype="string").str.strip(), name)
    if read is None:
        return pd.Index(column, name=name), _of_order(pd.Index(labels), name)
    return pd.Index(read.to_numpy()[codes], name=name), guess


def dates_in_order(dates: pd.Index) -> pd.Index:
    """
    Return the distinct dates in their order.

    Unlike :meth:`pandas.Index.unique`, it does not depend on the order of rows, except for labels
    without a number in them, whose order is that of first appearance.

    Parameters
    ----------
    dates : pandas.Index, length R
        A date for each row, as :func:`parse_dates` returns them.

    Returns
    -------
    pandas.Index, length D

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.data import dates_in_order
    >>> dates_in_order(pd.Index(["wave 2", "wave 10", "wave 1", "wave 2"])).tolist()
    ['wave 1', 'wave 2', 'wave 10']
    """
    distinct = dates.unique()
    if isinstance(distinct, pd.DatetimeIndex) or pd.api.types.is_numeric_dtype(distinct):
        return distinct.sort_values()
    if isinstance(distinct, pd.CategoricalIndex):
        return distinct[np.argsort(distinct.codes)]
    if not all(isinstance(label, str) for label in distinct):
        return distinct
    known = _calendar(distinct)
    if known is not None:
        return distinct[np.argsort([known.index(label.casefold()) for label in distinct])]
    if all(re.search(r"\d", label) for label in distinct):
        return pd.Index(natsorted(distinct), name=dates.name)
    return distinct


def _read(labels: pd.Series, name: str) -> tuple[pd.Series | None, str]:
    """Read text that follows one rule throughout."""
    joined = _joined(labels)
    if joined is not None:
        return joined, ""
    numbers = pd.to_numeric(labels, errors="coerce")
    if numbers.notna().all():
        return numbers.astype(int if (numbers == numbers.round()).all() else float), ""
    for fmt in ("ISO8601", *_FORMATS):
        parsed = pd.to_datetime(labels, format=fmt, errors="coerce")
        if parsed.notna().all():
            return parsed, ""
    for times, pattern in _PARTS:
        found = labels.str.extract(f"^{pattern}$", flags=re.IGNORECASE)
        if found.notna().all(axis=None):
            month = (found["part"].astype(int) - 1) * (12 // times) + 1
            return pd.to_datetime(found["year"] + month.astype(str), format="%Y%m"), ""
    weeks = labels.str.extract(r"^(\d{4})-?[Ww](\d{1,2})$")
    if weeks.notna().all(axis=None):
        text = weeks[0] + "-" + weeks[1] + "-1"
        parsed = pd.to_datetime(text, format="%G-%V-%u", errors="coerce")
        return (parsed, "") if parsed.notna().all() else (None, "")
    return _days_and_months(labels, name)


def _joined(labels: pd.Series) -> pd.Series | None:
    """Read dates that could pass for numbers, such as 202003."""
    for pattern, fmt in _JOINED:
        if labels.str.fullmatch(pattern).all():
            parsed = pd.to_datetime(labels, format=fmt, errors="coerce")
            if parsed.notna().all():
                return parsed
    return None


def _days_and_months(labels: pd.Series, name: str) -> tuple[pd.Series | None, str]:
    """Read 13/03/2016; where no day is above 12, which number is the day is a guess."""
    found = labels.str.extract(r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})$")
    if not found.notna().all(axis=None):
        return None, ""
    years = found[2].str.len()
    if years.nunique() > 1:
        return None, ""
    day, month = found[0].astype(int), found[1].astype(int)
    if (day > 12).any() and (month > 12).any():
        raise ValueError(
            f"The dates in {name!r} come in two orders, such as {labels[day > 12].iloc[0]} and "
            f"{labels[month > 12].iloc[0]}: write all of them as year-month-day (2016-03-13)."
        )
    month_first = (month > 12).any()
    if month_first:
        day, month = month, day
    text = found[2] + "-" + month.astype(str) + "-" + day.astype(str)
    fmt = "%Y-%m-%d" if years.iloc[0] == 4 else "%y-%m-%d"
    parsed = pd.to_datetime(text, format=fmt, errors="coerce")
    if not parsed.notna().all():
        return None, ""
    unsure = not month_first and not (day > 12).any() and (day != month).any()
    if not unsure or labels.str.contains(".", regex=False).all():
        return parsed, ""
    return parsed, (
        f"The dates in {name!r} were read with the day first ({labels.iloc[0]} as "
        f"{parsed.iloc[0]:%d %B %Y}), which is a guess: no day is above 12, so the month may "
        "come first. Write them as year-month-day (2016-03-13)."
    )


def _calendar(labels: pd.Index) -> list[str] | None:
    """Return names of months or days, in order, if all labels are such names."""
    for names in _CALENDARS:
        known = [entry.casefold() for entry in names]
        if all(label.casefold() in known for label in labels if label):
            return known
    return None


def _of_order(labels: pd.Index, name: str) -> str:
    ordered: list[Any] = dates_in_order(labels).tolist()
    if len(ordered) < 2:
        return ""
    how = "that of their first appearance in the table"
    if _calendar(labels) is not None:
        how = "that of the calendar, within one year"
    elif ordered != labels.tolist() or all(re.search(r"\d", label) for label in ordered):
        how = "that of the numbers in them"
    return (
        f"The order of the dates in {name!r} is a guess: they are labels ({listing(ordered)}), and "
        f"their order is taken to be {how}, with equal gaps. If that is wrong, write them as "
        "dates (2016-03-13), years or numbers."
    )
