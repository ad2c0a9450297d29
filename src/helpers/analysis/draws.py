"""Draws that the tables are made of, taken once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from helpers.analysis.choose import Choice
from helpers.data.counts import CategoryCounts
from helpers.predict.averages import row_averages
from helpers.predict.preferences import latent_preferences, preferences_over_time

__all__ = ["Draws", "fewer", "take_draws"]

# Draws that are used at most, if rows scatter and if not, and at least: scatter that is not stored
# is drawn again for each of them, which takes seconds where rows are many.
_MOST_OF_SCATTER, _MOST, _LEAST_OF_SCATTER, _LEAST = 400, 2_000, 50, 200
# Cells of counts that are looked at in all draws together, and numbers that are kept of them, by
# choice and at most.
_SEEN, _KEPT, _MOST_KEPT = 4e7, 3e7, 1.2e8


@dataclass(frozen=True, eq=False)
class Draws:
    """
    Preferences by draw.

    Attributes
    ----------
    rows : xarray.Dataset
        Averages over the rows, as :func:`~helpers.predict.row_averages` returns them.
    clusters : xarray.DataArray or None
        Preferences of a new row of each cluster, (chain, draw, cluster, category).
    dates : xarray.DataArray or None
        Preferences at each date, (chain, draw, date, category).
    """

    rows: xr.Dataset
    clusters: xr.DataArray | None
    dates: xr.DataArray | None

    @property
    def at(self) -> str:
        """Which preferences those of the rows are, "realised" or "mean"."""
        return str(self.rows.attrs["at"])


def fewer(idata: xr.DataTree, n_wanted: float) -> xr.DataTree:
    """
    Thin draws to about as many as wanted.

    Parameters
    ----------
    idata : xarray.DataTree
        Draws.
    n_wanted : float
        Draws to keep of all chains together.

    Returns
    -------
    xarray.DataTree
        Evenly spaced draws of each chain.
    """
    sizes = idata["posterior"].sizes
    step = max(1, int(sizes["chain"] * sizes["draw"] / n_wanted))
    return idata.isel(draw=slice(None, None, step))


def take_draws(
    choice: Choice,
    model: pm.Model,
    idata: xr.DataTree,
    menus: Mapping[str, Any] | None = None,
    predictors: Mapping[str, pd.DataFrame] | None = None,
    *,
    random_seed: int | None = None,
) -> Draws:
    """
    Take the draws that all tables are made of, no more than memory has room for.

    Parameters
    ----------
    choice : Choice
        The choice, with its data.
    model : pymc.Model
        The model of `choice`.
    idata : xarray.DataTree
        Draws from `model`.
    menus : mapping of str to menu, optional
        Scenarios, as in :func:`~helpers.what_if`.
    predictors : mapping of str to pandas.DataFrame, optional
        Other predictors of the rows, as in :func:`~helpers.predict.row_averages`.
    random_seed : int, optional
        Seed of scatter that is drawn.

    Returns
    -------
    Draws
        Of up to 2,000 draws, 400 if rows scatter; fewer for large tables.
    """
    data = choice.data
    by = {} if data.cluster is None else {"cluster": data.cluster}
    if choice.drift and choice.scatter and data.date is not None:
        by["date"] = pd.Categorical(data.date.to_numpy(), categories=list(model.coords["date"]))
    n_groups = 1 + sum(len(group.categories) for group in by.values())
    n_tables, n_categories = 2 + len(predictors or {}), len(data.categories)
    kept = n_categories * (n_groups * n_tables + n_categories + len(menus or {}))
    most = _MOST_OF_SCATTER if choice.scatter else _MOST
    least = _LEAST_OF_SCATTER if choice.scatter else min(_LEAST, _MOST_KEPT / kept)
    n_wanted = np.clip(
        min(_SEEN / data.counts.size, _KEPT / kept), max(least, _LEAST_OF_SCATTER), most
    )
    thinned = fewer(idata, n_wanted)
    rows = row_averages(
        thinned, model, menus, predictors=predictors, by=by, random_seed=random_seed
    )
    clusters = None
    if choice.effects != "pooled":
        clusters = latent_preferences(thinned, model, "mean", random_seed=random_seed)
    dates = None
    if choice.drift and choice.scatter:
        dates = rows["latent_by_date"].assign_attrs(at=rows.attrs["at"])
    elif choice.drift:
        weight = None if choice.effects == "pooled" else _totals(data)
        dates = preferences_over_time(thinned, model, weight, "mean")
    return Draws(rows, clusters, dates)


def _totals(data: CategoryCounts) -> np.ndarray:
    """Total of each cluster."""
    assert data.cluster is not None
    return np.bincount(data.cluster.codes, data.n, len(data.cluster.categories))
