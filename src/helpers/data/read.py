"""Files of counts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.data.counts import CategoryCounts
from helpers.data.messages import listing

__all__ = ["read_counts"]


def read_counts(
    path: str | Path, categories: Sequence[str] | None = None, **options: Any
) -> CategoryCounts:
    """
    Read counts from a CSV or Parquet file with one row per observation.

    Unlike :func:`pandas.read_csv`, it makes every check of :class:`CategoryCounts`.

    Parameters
    ----------
    path : str or pathlib.Path
        A file whose name ends in ``.csv``, ``.csv.gz``, ``.parquet`` or ``.pq``.
    categories : list of str, optional
        Names of the count columns; by default every column named ``n_*``.
    **options
        `cluster`, `date`, `predictors` and `available`, as in :meth:`CategoryCounts.from_wide`.

    Returns
    -------
    CategoryCounts

    Raises
    ------
    ValueError
        For an unknown type of file and for any defect of the table.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> from helpers import read_counts
    >>> data = read_counts("data/spain_elections.csv", cluster="province", date="date")
    >>> data.counts.shape
    (676, 8)
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}: check the path.")
    if path.name.lower().endswith((".csv", ".csv.gz")):
        try:
            frame = pd.read_csv(path)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise ValueError(f"{path.name} cannot be read as CSV: {error}") from None
    elif path.suffix.lower() in (".parquet", ".pq"):
        try:
            frame = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path.name} cannot be read as Parquet: {error}") from None
    else:
        raise ValueError(
            f"The kind of {path.name!r} is not known: give a file that ends in .csv, .csv.gz, "
            ".parquet or .pq."
        )
    if categories is None:
        categories = [name for name in frame.columns if str(name).startswith("n_")]
        if not categories:
            raise ValueError(
                "No column is named n_*: name the count columns with `categories`. The columns "
                f"are {listing(frame.columns, 12)}."
            )
    return CategoryCounts.from_wide(frame, categories, **options)
