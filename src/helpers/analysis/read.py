"""The table of an analysis, as it was read."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from helpers.data.counts import CategoryCounts
from helpers.data.read import read_counts

__all__ = ["Source", "read_source"]


@dataclass(frozen=True, eq=False)
class Source:
    """
    What was read from a file.

    Attributes
    ----------
    name : str
        Name of the file, without its folder.
    data : CategoryCounts
        The counts.
    notes : tuple of str
        Warnings about the table.
    """

    name: str
    data: CategoryCounts
    notes: tuple[str, ...] = ()


def read_source(
    path: str | Path,
    *,
    categories: str | Iterable[str] = (),
    cluster: str | None = None,
    date: str | None = None,
    predictors: str | Iterable[str] = (),
    available: Mapping[str, str] | None = None,
) -> Source:
    """
    Read a file of counts for an analysis.

    Unlike :func:`~helpers.read_counts`, it accepts names as a command line passes them (several in
    one comma-separated string, an empty string for none), and keeps warnings as notes for the
    report.

    Parameters
    ----------
    path : str or pathlib.Path
        A CSV or Parquet file with one row per observation.
    categories : str or iterable of str
        Names of columns, also as one text with commas between them. If not given, every column
        named ``n_*`` is one.
    cluster, date : str, optional
        Names of columns.
    predictors : str or iterable of str
        Names of columns, in the same form as `categories`.
    available : mapping of str to str, optional
        Category -> column of True and False; if not given, empty cells are off the menu.

    Returns
    -------
    Source

    Raises
    ------
    ValueError
        For an unknown kind of file and for any defect of the table.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> from helpers.analysis import read_source
    >>> read_source("data/spain_elections.csv", categories="n_left, n_right").data
    CategoryCounts: 676 rows, 2 categories, 2 menus, 2 of 1,352 cells not on the menu
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = read_counts(
            path,
            categories=_names(categories) or None,
            cluster=cluster or None,
            date=date or None,
            predictors=_names(predictors),
            available=available or None,
        )
    return Source(Path(path).name, data, tuple(str(note.message) for note in caught))


def _names(names: str | Iterable[str]) -> list[str]:
    if isinstance(names, str):
        return [name.strip() for name in names.split(",") if name.strip()]
    return list(names)
