"""Whether people substitute in proportion, for a report."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from helpers.diagnostics.substitution import Substitution, substitution_words

__all__ = ["substitution_section"]


_HEADS = {
    "rows_off": "rows without",
    "rows_on": "rows with",
    "observed_over_expected": "observed / expected",
}


def substitution_section(tables: Mapping[str, pd.DataFrame], most: int = 60) -> list[Any]:
    """
    Arrange what menus and attributes say about substitution for a report.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        The tables of an analysis, "substitution" and "substitution_slopes" among them if menus
        are known and vary, and "nests" if there are any.
    most : int
        Largest number of lines that are shown.

    Returns
    -------
    list of str and pandas.DataFrame
        Empty if nothing is known.

    Examples
    --------
    >>> from helpers.analysis import substitution_section
    >>> substitution_section({})
    []
    """
    names = "substitution", "substitution_slopes"
    pairs, slopes = (tables.get(name, pd.DataFrame()) for name in names)
    parts: list[Any] = [
        f"The nest {line.nest} has a scale of {line.mean:.2f} (89 % interval {line.low:.2f} to "
        f"{line.high:.2f}); at 1 it changes nothing, and near 0 its categories are one and the "
        "same."
        for line in tables.get("nests", pd.DataFrame()).itertuples()
    ]
    if pairs.empty and slopes.empty:
        return parts
    parts += substitution_words(Substitution(pairs, slopes))
    if len(pairs):
        told = pairs[pairs["category"] != pairs["relative_to"]]
        shown = told.loc[told["p"].sort_values(kind="stable").index[:most]]
        more = f" {len(told) - most:,} more are in substitution.csv." if len(told) > most else ""
        parts += [
            "By how much more than its share a category gains where another is off the menu: the "
            "shift of its logit, with 89 % intervals, and the power to see a nest of both with a "
            f"scale of 0.5.{more}",
            shown.drop(columns=["relative_to", "p"])
            .set_index(["removed", "category"])
            .round(2)
            .rename(columns=_HEADS),
        ]
    return parts
