"""Tables of what a fit says: preferences, shares from other menus, unknown menus."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from helpers.analysis.choose import Choice
from helpers.analysis.fit import thin
from helpers.data.counts import CategoryCounts
from helpers.diagnostics.intervals import interval_table
from helpers.predict.menus import menu_probabilities
from helpers.predict.preferences import latent_preferences, preferences_over_time
from helpers.predict.what_if import what_if

__all__ = [
    "cluster_means",
    "menu_tables",
    "preference_tables",
    "scenario_menus",
    "share_table",
    "widen_shares",
]

_OWN_MENUS = "menus as they were"


def preference_tables(
    choice: Choice, model: pm.Model, idata: xr.DataTree, *, random_seed: int | None = None
) -> dict[str, pd.DataFrame]:
    """
    Tabulate the latent preferences: what would be chosen if everything were on the menu.

    Where rows scatter, figures over all rows are *realised*: each row keeps the scatter that it
    showed, and rows count by their totals. Those of clusters, and all of them without scatter, are
    *means*, of new rows at the predictors' means. Clusters then count by their totals, by date if
    there is a drift; the preferences of a single cluster are for the mean of its logits over dates.

    Parameters
    ----------
    choice : Choice
        The choice, with its data.
    model : pymc.Model
        The model of `choice`.
    idata : xarray.DataTree
        Draws from `model`.
    random_seed : int, optional
        Seed of scatter that is drawn.

    Returns
    -------
    dict of str to pandas.DataFrame
        Probabilities as ``mean``, ``low`` and ``high``, and ``at``, "realised" or "mean":

        - "overall": by category, beside the ``plain share`` of the table;
        - "preferences": by ``cluster`` and ``category``, the cluster "(all)" first;
        - "preferences_over_time": by ``date`` and ``category``, if there is a drift.
    """
    data = choice.data
    thinned = thin(idata, data)
    # Averages over the scatter take their time.
    preference = latent_preferences(
        thinned if choice.scatter else idata, model, "mean", random_seed=random_seed
    )
    if choice.scatter:
        overall, over_time = _realised(choice, model, thinned, random_seed)
    else:
        overall, over_time = _expected(choice, model, thinned, preference)
    tables, at = {}, overall.attrs["at"]
    if over_time is not None:
        tables["preferences_over_time"] = interval_table(over_time).reset_index().assign(at=at)
    everywhere = interval_table(overall).assign(at=at)
    preferences = everywhere.reset_index()
    preferences.insert(0, "cluster", "(all)")
    if choice.effects != "pooled":
        of_clusters = interval_table(preference).assign(at="mean").reset_index()
        preferences = pd.concat([preferences, of_clusters], ignore_index=True)
    plain = pd.Series(data.counts.sum(axis=0) / data.n.sum(), data.categories)
    overall_table = everywhere.assign(**{"plain share": plain})
    return {"overall": overall_table, "preferences": preferences} | tables


def _expected(
    choice: Choice, model: pm.Model, thinned: xr.DataTree, preference: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Preferences over all clusters, and by date, of which the model has no scatter of rows."""
    pooled = choice.effects == "pooled"
    totals = _totals_by_date(choice, model)
    over_time = None
    with xr.set_options(keep_attrs=True):
        if choice.drift:
            weight = None if pooled else totals.sum(axis=0)
            over_time = preferences_over_time(thinned, model, weight, "mean")
            by_date = preferences_over_time(thinned, model, None if pooled else totals, "mean")
            overall = (by_date * (totals.sum(axis=1)[:, None] / totals.sum())).sum("date")
        elif pooled:
            overall = preference
        else:
            overall = (preference * (totals.T / totals.sum())).sum("cluster")
    return overall, over_time


def _realised(
    choice: Choice, model: pm.Model, thinned: xr.DataTree, random_seed: int | None
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Preferences of all rows, and of those of each date, with the scatter that they showed."""
    totals = _totals_by_date(choice, model)
    with xr.set_options(keep_attrs=True):
        if choice.drift:
            over_time = preferences_over_time(
                thinned, model, at="realised", random_seed=random_seed
            )
            weight = totals.sum(axis=1)[:, None] / totals.sum()
            return (over_time.fillna(0) * weight).sum("date"), over_time
        overall = latent_preferences(thinned, model, "realised", random_seed=random_seed)
        if choice.effects != "pooled":
            overall = (overall.fillna(0) * (totals.T / totals.sum())).sum("cluster")
    return overall, None


def cluster_means(preferences: pd.DataFrame) -> pd.DataFrame:
    """
    Arrange the mean preferences of the clusters in a grid.

    Parameters
    ----------
    preferences : pandas.DataFrame
        The table "preferences" of :func:`preference_tables`.

    Returns
    -------
    pandas.DataFrame
        One line per cluster, one column per category.

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.analysis import cluster_means
    >>> preferences = pd.DataFrame(
    ...     {"cluster": ["(all)", "(all)", "north", "north"], "category": ["tea", "milk"] * 2,
    ...      "mean": [0.4, 0.6, 0.3, 0.7]}
    ... )
    >>> print(cluster_means(preferences).to_string())
           tea  milk
    north  0.3   0.7
    """
    of_clusters = preferences.iloc[preferences["category"].nunique() :]
    return _grid(of_clusters, "cluster").rename_axis(index=None, columns=None)


def scenario_menus(
    data: CategoryCounts, scenarios: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """
    Name the menus to predict: the full one, each category taken off, and the given ones.

    A category that is the only one on a row's menu is not taken off.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    scenarios : mapping of str to menu, optional
        More menus, as in :func:`~helpers.what_if`.

    Returns
    -------
    dict
        Name -> menu.

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers import CategoryCounts
    >>> from helpers.analysis import scenario_menus
    >>> table = pd.DataFrame({"tea": [1, 2], "milk": [1, None], "water": [0, 4]})
    >>> data = CategoryCounts.from_wide(table, ["tea", "milk", "water"])
    >>> list(scenario_menus(data, {"hot": ["tea"]}))
    ['full menu', 'without tea', 'without milk', 'without water', 'hot']
    """
    menus: dict[str, Any] = {"full menu": list(data.categories)}
    single = data.available.sum(axis=1) == 1
    for category, on_menu in zip(data.categories, data.available.T, strict=True):
        if not (single & on_menu).any():
            menus[f"without {category}"] = {category: False}
    return menus | dict(scenarios or {})


def share_table(
    data: CategoryCounts,
    model: pm.Model,
    idata: xr.DataTree,
    scenarios: Mapping[str, Any] | None = None,
    *,
    random_seed: int | None = None,
) -> pd.DataFrame:
    """
    Tabulate the shares to expect from other menus, over all rows weighted by their totals.

    Where rows scatter, each row keeps the scatter that it showed.

    Parameters
    ----------
    data : CategoryCounts
        The counts that were fitted.
    model : pymc.Model
        A model made by :func:`~helpers.masked_regression`.
    idata : xarray.DataTree
        Draws from `model`, with all its free variables.
    scenarios : mapping of str to menu, optional
        Menus besides those of :func:`scenario_menus`.
    random_seed : int, optional
        Seed of scatter that is drawn.

    Returns
    -------
    pandas.DataFrame
        Columns ``scenario``, ``category``, ``mean``, ``low``, ``high`` and ``at``, "realised" or
        "mean"; the rows' own menus first.

    Raises
    ------
    ValueError
        For unknown categories, menus of the wrong shape, and empty menus.
    """
    menus = scenario_menus(data, scenarios)
    answer = what_if(
        thin(idata, data), model, menus, total=True, diversion=False, random_seed=random_seed
    )
    own = interval_table(answer["baseline"]).assign(scenario=_OWN_MENUS).reset_index()
    shares = pd.concat([own, interval_table(answer["share"]).reset_index()], ignore_index=True)
    shares = shares[["scenario", "category", "mean", "low", "high"]]
    return shares.assign(at=answer.attrs["at"])


def widen_shares(shares: pd.DataFrame) -> pd.DataFrame:
    """
    Arrange mean shares in a grid, in per cent.

    Parameters
    ----------
    shares : pandas.DataFrame
        What :func:`share_table` returned.

    Returns
    -------
    pandas.DataFrame
        One line per scenario, one column per category.

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.analysis import widen_shares
    >>> shares = pd.DataFrame(
    ...     {"scenario": ["now"] * 2, "category": ["tea", "milk"], "mean": [0.25, 0.75]}
    ... )
    >>> widen_shares(shares).to_dict("index")
    {'now': {'tea': 25.0, 'milk': 75.0}}
    """
    return 100 * _grid(shares, "scenario")


def menu_tables(model: pm.Model, idata: xr.DataTree) -> dict[str, pd.DataFrame]:
    """
    Tabulate what the counts say about menus that nobody recorded.

    Parameters
    ----------
    model : pymc.Model
        A model made by :func:`~helpers.masked_regression` with ``availability="unknown"``.
    idata : xarray.DataTree
        Draws from `model`, with all its free variables.

    Returns
    -------
    dict of str to pandas.DataFrame
        "menus": the ``probability`` that each category was on the menu of each row; "psi": the
        probability that a doubtful category is on a menu, as ``mean``, ``low`` and ``high``.
    """
    menus = menu_probabilities(idata, model).to_series().rename("probability").reset_index()
    return {"menus": menus, "psi": interval_table(idata["posterior"].to_dataset()["psi"])}


def _grid(table: pd.DataFrame, index: str) -> pd.DataFrame:
    """Means by a column and category, both in order of appearance."""
    wide = table.pivot(index=index, columns="category", values="mean")
    return wide.loc[table[index].unique(), table["category"].unique()]


def _totals_by_date(choice: Choice, model: pm.Model) -> np.ndarray:
    """Totals by date and cluster, shape (D, C); one date without drift, one cluster if pooled."""
    data = choice.data
    dates, n_dates = np.zeros(len(data), dtype=int), 1
    if choice.drift:
        n_dates = len(model.coords["date"])
        dates = pd.Index(model.coords["date"]).get_indexer(data.date)
    clusters, n_clusters = np.zeros(len(data), dtype=int), 1
    if choice.effects != "pooled" and data.cluster is not None:
        clusters, n_clusters = data.cluster.codes, len(data.cluster.categories)
    totals = np.zeros((n_dates, n_clusters))
    np.add.at(totals, (dates, clusters), data.n)
    return totals
