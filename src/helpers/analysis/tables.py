"""Tables of what a fit says: preferences, shares from other menus, unknown menus."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from helpers.analysis.attributes import attribute_table
from helpers.analysis.check import Predictions
from helpers.analysis.choose import Choice
from helpers.analysis.compare import comparison_table, ignored_table
from helpers.analysis.contrasts import contrast_table, diversion_table
from helpers.analysis.draws import Draws, fewer, take_draws
from helpers.analysis.effects import effect_table, predictor_steps, step_tables
from helpers.analysis.sensitivity import prior_sensitivity
from helpers.data.counts import CategoryCounts
from helpers.diagnostics.intervals import interval_table
from helpers.diagnostics.substitution import substitution
from helpers.predict.averages import row_averages
from helpers.predict.menus import menu_probabilities

__all__ = [
    "all_tables",
    "cluster_means",
    "menu_tables",
    "preference_tables",
    "scenario_menus",
    "share_table",
    "widen_shares",
]

# Categories of which pairs are compared.
_SUBSTITUTED = 40

_OWN_MENUS, _FULL, _WITHOUT = "menus as they were", "full menu", "without "


def all_tables(
    choice: Choice,
    model: pm.Model,
    idata: xr.DataTree,
    *,
    scenarios: Mapping[str, Any] | None = None,
    predictions: Predictions | None = None,
    random_seed: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, pd.DataFrame]:
    """
    Tabulate all that a fit says.

    It goes through the rows once, where the single tables of :func:`preference_tables` and
    :func:`share_table` go through them each for itself.

    Parameters
    ----------
    choice : Choice
        The choice, with its data.
    model : pymc.Model
        The model of `choice`.
    idata : xarray.DataTree
        Draws from `model`.
    scenarios : mapping of str to menu, optional
        Other menus to predict, as in :func:`~helpers.what_if`.
    predictions : Predictions, optional
        The checks, whose log-likelihood the prior's weight is compared with if rows scatter.
    random_seed : int, optional
        Seed of scatter that is drawn.
    progress : callable, optional
        Called with a few words before each part.

    Returns
    -------
    dict of str to pandas.DataFrame
        What :func:`preference_tables` returns, "shares" of :func:`share_table`, and

        - "comparison": plain share, share where on the menu, expected and latent share, in all and
          by cluster (:func:`comparison_table`);
        - "effects": what a step of each predictor changes, if there are any (:func:`effect_table`);
        - "attributes": slopes of attributes and elasticities, if there are any
          (:func:`attribute_table`);
        - "contrasts": differences between clusters, dates and scenarios (:func:`contrast_table`);
        - "substitution": whether the others gain in proportion where a category is off the menu,
          and "substitution_slopes", whether attributes weigh the same among all of them
          (:func:`~helpers.substitution`), where menus are known and vary;
        - "nests": the scale of each nest, if there are any;
        - "diversion": where the choices of each category would go (:func:`diversion_table`);
        - "ignored": what would be said without the menus (:func:`ignored_table`);
        - "sensitivity": how much hangs on the priors (:func:`prior_sensitivity`);
        - "menus" and "psi" of :func:`menu_tables`, if menus are unknown;
        - "checks": the table of `predictions`, if given.

    Raises
    ------
    ValueError
        For unknown categories, menus of the wrong shape, and empty menus.

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers import simulate_counts
    >>> from helpers.analysis import all_tables, build_model, choose
    >>> data, _ = simulate_counts(n_clusters=3, n_dates=2, n_categories=3,
    ...                           unavailable=(0.5, 0, 0), random_seed=1)
    >>> choice = choose(data)
    >>> model = build_model(choice)
    >>> with model:
    ...     prior = pm.sample_prior_predictive(40, random_seed=1)
    >>> prior["posterior"] = prior["prior"]
    >>> tables = all_tables(choice, model, prior, random_seed=1)
    >>> print(*tables, sep=", ")  # doctest: +NORMALIZE_WHITESPACE
    overall, preferences, comparison, effects, contrasts, diversion, substitution, shares, ignored,
    sensitivity
    """
    say = progress or (lambda words: None)
    data = choice.data
    menus = scenario_menus(data, scenarios)
    given = {name: menu for name, menu in menus.items() if name in (scenarios or {})}
    steps = []
    if len(data.predictors.columns):
        curved = choice.formula is not None
        steps = predictor_steps(
            data.predictors, _deviations(data), quartiles=curved, weights=data.row_weights
        )
    say("Averaging over the rows")
    draws = take_draws(
        choice, model, idata, given or None, step_tables(steps), random_seed=random_seed
    )
    say("Tabulating preferences, effects and contrasts")
    tables = _preferences(choice, draws)
    tables["comparison"] = comparison_table(choice, draws)
    if steps:
        tables["effects"] = effect_table(choice, draws, steps)
    if data.attributes:
        tables["attributes"] = attribute_table(model, idata, random_seed=random_seed)
    tables["contrasts"] = contrast_table(draws)
    tables["diversion"] = diversion_table(draws)
    if choice.availability == "known" and len(data.categories) <= _SUBSTITUTED:
        found = substitution(idata, model)
        parts = {"substitution": found.pairs, "substitution_slopes": found.slopes}
        tables |= {name: table for name, table in parts.items() if len(table)}
    if choice.nests:
        scale = idata["posterior"].to_dataset()["nest_scale"]
        tables["nests"] = interval_table(scale).reset_index()
    tables["shares"] = _shares(draws.rows, menus)
    tables["ignored"] = ignored_table(choice, draws, tables.get("effects"), steps)
    if choice.availability == "unknown":
        say("Asking the counts about the menus")
        tables |= menu_tables(model, idata)
    say("Asking how much hangs on the priors")
    log_likelihood = None if predictions is None else predictions.log_likelihood
    tables["sensitivity"] = prior_sensitivity(choice, model, idata, draws, log_likelihood)
    if predictions is not None:
        tables["checks"] = predictions.table.reset_index()
    return tables


def _deviations(data: CategoryCounts) -> np.ndarray:
    """Standard deviations of the predictors over the rows of the table; missing for labels."""
    numbers = data.predictors.select_dtypes("number")
    x = numbers.to_numpy(dtype=float)
    mean = np.average(x, axis=0, weights=data.row_weights)
    sd = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=data.row_weights))
    return pd.Series(sd, numbers.columns).reindex(data.predictors.columns).to_numpy()


def preference_tables(
    choice: Choice, model: pm.Model, idata: xr.DataTree, *, random_seed: int | None = None
) -> dict[str, pd.DataFrame]:
    """
    Tabulate the latent preferences: what would be chosen if everything were on the menu.

    Figures over all rows are of the rows as they were: at their own predictors and dates, counting
    by their totals. Where rows scatter, they are *realised*, each row keeping the scatter that it
    showed; otherwise they are *means*. Preferences of a single cluster are means of a new row, at
    the predictors' means and for the mean of its logits over dates.

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
    return _preferences(choice, take_draws(choice, model, idata, random_seed=random_seed))


def _preferences(choice: Choice, draws: Draws) -> dict[str, pd.DataFrame]:
    data, at = choice.data, draws.at
    everywhere = interval_table(draws.rows["latent"]).assign(at=at)
    preferences = everywhere.reset_index()
    preferences.insert(0, "cluster", "(all)")
    if draws.clusters is not None:
        of_clusters = interval_table(draws.clusters).assign(at="mean").reset_index()
        preferences = pd.concat([preferences, of_clusters], ignore_index=True)
    plain = pd.Series(data.counts.sum(axis=0) / data.n.sum(), data.categories)
    tables = {
        "overall": everywhere.assign(**{"plain share": plain}),
        "preferences": preferences,
    }
    if draws.dates is not None:
        tables["preferences_over_time"] = interval_table(draws.dates).reset_index().assign(at=at)
    return tables


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
    menus: dict[str, Any] = {_FULL: list(data.categories)}
    single = data.available.sum(axis=1) == 1
    for category, on_menu in zip(data.categories, data.available.T, strict=True):
        if not (single & on_menu).any():
            menus[f"{_WITHOUT}{category}"] = {category: False}
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
    given = {name: menu for name, menu in menus.items() if name in (scenarios or {})}
    thinned = fewer(idata, 400 if len(data) * len(menus) < 1e5 else 100)
    rows = row_averages(thinned, model, given or None, random_seed=random_seed)
    return _shares(rows, menus)


def _shares(rows: xr.Dataset, menus: Mapping[str, Any]) -> pd.DataFrame:
    """Shares under the rows' own menus, and of the named scenarios."""
    own, given = rows["expected"], rows.get("scenario", xr.DataArray([])).to_numpy()
    without = own + rows["moved"].where(rows["removed"] != rows["category"], -own)
    of_scenario = [own]
    for name in menus:
        if name in given:
            of_scenario.append(rows["share"].sel(scenario=name, drop=True))
        elif name == _FULL:
            of_scenario.append(rows["latent"])
        else:
            of_scenario.append(without.sel(removed=name.removeprefix(_WITHOUT), drop=True))
    names = pd.Index([_OWN_MENUS, *menus], name="scenario")
    shares = interval_table(xr.concat(of_scenario, names).transpose(..., "scenario", "category"))
    return shares.reset_index().assign(at=rows.attrs["at"])


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
