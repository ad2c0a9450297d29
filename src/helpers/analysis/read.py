"""The table of an analysis, as it was read."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.analysis.options import AnalysisOptions
from helpers.data.counts import CategoryCounts
from helpers.data.messages import listing
from helpers.data.read import read_counts

__all__ = ["Source", "read_source"]


@dataclass(frozen=True, eq=False)
class Source:
    """
    A table that was read.

    Attributes
    ----------
    name : str
        Name of the file, without its folder; "table" for a table that was in memory.
    data : CategoryCounts
        The counts.
    notes : tuple of str
        What may be wrong with the table, and warnings about it.
    """

    name: str
    data: CategoryCounts
    notes: tuple[str, ...] = ()

    @property
    def doubts(self) -> tuple[str, ...]:
        """What may be wrong with the table, each with the way to overrule it."""
        suspicions = self.data.suspicions
        return tuple(f"{doubt} (If all is well: accept {doubt.kind}.)" for doubt in suspicions)


def read_source(
    source: str | Path | pd.DataFrame | CategoryCounts | Source | Mapping | Iterable,
    **options: Any,
) -> Source:
    """
    Read a table of counts for an analysis, wherever it is.

    Unlike :func:`~helpers.read_counts`, it takes tables in memory as well as files, accepts names
    as a command line passes them (several in one comma-separated string, an empty string for none),
    and keeps warnings as notes for the report.

    Parameters
    ----------
    source : path, pandas.DataFrame, CategoryCounts or Source
        The table. Columns as a mapping and lines as a list of mappings, as JSON has them, are
        taken as a frame.
    **options
        Those of :class:`AnalysisOptions` that are about the table: `categories`, `cluster`,
        `date`, `predictors`, `available`, `attributes`, `exposure`, `row`, `category`, `count`,
        `accept`, and for files
        `thousands`, `decimal`, `encoding` and `sheet`.

    Returns
    -------
    Source

    Raises
    ------
    ValueError
        For an unknown kind of file, for any defect of the table, and for options that say how to
        read a table which has been read already.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> from helpers.analysis import read_source
    >>> read_source("data/spain_elections.csv", categories="n_left, n_right").data
    CategoryCounts: 676 rows, 2 categories, 2 menus, 2 of 1,352 cells not on the menu
    """
    given = {
        k: v for k, v in AnalysisOptions(**options).of_table().items() if v not in (None, (), {})
    }
    if isinstance(source, Source | CategoryCounts):
        if given:
            raise ValueError(
                f"The counts have been read already, and cannot be read again by {listing(given)}: "
                "give these options where they are read, or leave them out."
            )
        if isinstance(source, Source):
            return source
        return _with_doubts(Source("table", source))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if isinstance(source, str | Path):
            name, data = Path(source).name, read_counts(source, **given)
        else:
            name, data = "table", _from_frame(pd.DataFrame(source), **given)
    noted = [str(warning.message) for warning in caught]
    said = str(data.suspicions[0]) if data.suspicions else ""
    others = [note for note in noted if not (said and said in note)]
    return _with_doubts(Source(name, data, tuple(others)))


def _with_doubts(source: Source) -> Source:
    return replace(source, notes=(*source.doubts, *source.notes))


def _from_frame(frame: pd.DataFrame, **given: Any) -> CategoryCounts:
    for_files = [name for name in ("thousands", "decimal", "encoding", "sheet") if name in given]
    if for_files:
        raise ValueError(f"{listing(for_files)} is about files, and this is a table in memory.")
    if "row" in given:
        return CategoryCounts.from_long(frame, **given)
    categories = given.pop("categories", ()) or [n for n in frame if str(n).startswith("n_")]
    if not categories:
        raise ValueError(
            "No column is named n_*: name the count columns with `categories`. The columns are "
            f"{listing(frame.columns, 12)}."
        )
    return CategoryCounts.from_wide(frame, list(categories), **given)
