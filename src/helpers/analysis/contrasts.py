"""Differences of preferences: between clusters, dates and scenarios."""

import operator
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pandas as pd
import xarray as xr

from helpers.analysis._points import in_points
from helpers.analysis.draws import Draws
from helpers.diagnostics.intervals import interval_table

__all__ = ["contrast_table", "diversion_table"]

# Clusters that are compared in pairs; of more, each is compared with the mean over all.
_PAIRS = 6


def contrast_table(draws: Draws) -> pd.DataFrame:
    """
    Tabulate differences of preferences between clusters, dates and scenarios.

    Unlike intervals of the two sides, whose overlap says little, an interval of the difference says
    whether and by how much they differ.

    Parameters
    ----------
    draws : Draws
        Draws with the shares of the scenarios.

    Returns
    -------
    pandas.DataFrame
        Columns ``between`` ("clusters", "dates" or "scenarios"), ``one``, ``other``, ``category``,
        ``mean``, ``low`` and ``high`` of one less the other, ``unit``,
        ``probability_of_direction`` and ``at``:

        - clusters: preferences of a new row of each; up to six in pairs, more against
          "(mean of clusters)", all clusters counting alike;
        - dates: the last against the first, and each against the one before;
        - scenarios: shares of all rows, each against "menus as they were".
    """
    parts = []
    for between, one, other, change in _differences(draws):
        part = in_points(change)
        if one is not None:
            part["one"] = one
        part = part.rename(columns={"cluster": "one"})
        at = "mean" if between == "clusters" else draws.at
        parts.append(part.assign(between=between, other=other, at=at))
    first = ["between", "one", "other", "category"]
    if not parts:
        return pd.DataFrame(columns=first)
    table = pd.concat(parts, ignore_index=True)
    return table[[*first, *table.columns.difference(first, sort=False)]]


def _differences(draws: Draws) -> Iterator[tuple[str, Any, Any, xr.DataArray]]:
    clusters, dates, rows = draws.clusters, draws.dates, draws.rows
    if clusters is not None:
        names = clusters["cluster"].to_numpy()
        if len(names) > _PAIRS:
            change = clusters - clusters.mean("cluster")
            yield "clusters", None, "(mean of clusters)", change
        else:
            for one, other in combinations(range(len(names)), 2):
                sides = (clusters.isel(cluster=d, drop=True) for d in (one, other))
                yield "clusters", names[one], names[other], operator.sub(*sides)
    if dates is not None:
        labels = pd.Index(dates["date"].to_numpy())
        if isinstance(labels, pd.DatetimeIndex) and (labels == labels.normalize()).all():
            labels = labels.strftime("%Y-%m-%d")
        pairs = [(len(labels) - 1, 0)] * (len(labels) > 2)
        for one, other in [*pairs, *((d, d - 1) for d in range(1, len(labels)))]:
            sides = (dates.isel(date=d, drop=True) for d in (one, other))
            yield "dates", labels[one], labels[other], operator.sub(*sides)
    full = rows["latent"] - rows["expected"]
    yield "scenarios", "full menu", "menus as they were", full
    if "share" in rows:
        for s, name in enumerate(rows["scenario"].to_numpy()):
            change = rows["share"].isel(scenario=s, drop=True) - rows["expected"]
            yield "scenarios", name, "menus as they were", change


def diversion_table(draws: Draws) -> pd.DataFrame:
    """
    Tabulate where the choices of a category go when it is taken off all menus.

    Parameters
    ----------
    draws : Draws
        Draws of averages over rows.

    Returns
    -------
    pandas.DataFrame
        Columns ``removed``, ``category``, ``mean``, ``low``, ``high`` and ``at``: of the choices of
        the removed category, the part that goes to each other one. It sums to 1. Choices in rows
        that offered nothing else are left out.
    """
    moved = draws.rows["moved"]
    table = interval_table(moved / moved.sum("category")).reset_index()
    table = table[table["removed"] != table["category"]].dropna(subset="mean")
    return table.reset_index(drop=True).assign(at=draws.at)
