"""What draws of a regression say about preferences."""

import numpy as np
import pymc as pm
import xarray as xr

__all__ = ["latent_preferences", "parameter_names", "preferences_over_time"]


def parameter_names(model: pm.Model) -> list[str]:
    """
    Name the variables that do not grow with the rows.

    Unlike the default of :func:`pymc.sample`, which stores every deterministic, these are all
    that is needed to compute the row-level ones again: give them as ``var_names`` when there are
    many rows.

    Parameters
    ----------
    model : pymc.Model
        A model with a dim called ``row``.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from helpers import masked_regression, parameter_names, simulate_counts
    >>> data, _ = simulate_counts(n_clusters=3, n_dates=2, random_seed=1)
    >>> model = masked_regression(data, effects="intercepts")
    >>> parameter_names(model)
    ['intercept_mean', 'intercept_sd', 'intercept', 'slope']
    """
    named = model.free_RVs + model.deterministics
    return [v.name for v in named if "row" not in (model.named_vars_to_dims.get(v.name) or ())]


def latent_preferences(idata: xr.DataTree, model: pm.Model) -> xr.DataArray:
    """
    Probabilities with everything on the menu, by cluster, at the predictors' means.

    With a drift they are for the mean of the logits over dates.

    Unlike the model's ``preference``, which has a value for each row, these have one for each
    cluster, and take less room.

    Parameters
    ----------
    idata : xarray.DataTree
        Draws from `model`.
    model : pymc.Model
        A model made by :func:`~helpers.masked_regression`.

    Returns
    -------
    xarray.DataArray
        Dims (chain, draw, cluster, category), without ``cluster`` if pooled.

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers import latent_preferences, masked_regression, simulate_counts
    >>> data, _ = simulate_counts(n_clusters=3, n_dates=2, random_seed=1)
    >>> model = masked_regression(data, effects="intercepts")
    >>> with model:
    ...     prior = pm.sample_prior_predictive(5, random_seed=1)
    >>> prior["posterior"] = prior["prior"]
    >>> preferences = latent_preferences(prior, model)
    >>> dict(preferences.sizes)
    {'chain': 1, 'draw': 5, 'cluster': 3, 'category': 7}
    >>> preferences.sum("category").round(6).to_numpy()[0, 0]
    array([1., 1., 1.])
    """
    return _softmax(_all_categories(_intercepts(idata), model)).rename("preference")


def preferences_over_time(
    idata: xr.DataTree, model: pm.Model, weight: np.ndarray | None = None
) -> xr.DataArray:
    """
    Probabilities with everything on the menu, by date, over all clusters.

    Unlike the model's ``preference``, they are for the same clusters at each date, whichever had
    rows then, and at the predictors' means.

    Parameters
    ----------
    idata : xarray.DataTree
        Draws from `model`.
    model : pymc.Model
        A model made by :func:`~helpers.masked_regression` with a drift.
    weight : numpy.ndarray, optional
        How much each cluster counts, shape (cluster,) or (date, cluster); all alike if not given.

    Returns
    -------
    xarray.DataArray
        Dims (chain, draw, date, category).

    Raises
    ------
    ValueError
        If the model has no drift.

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers import masked_regression, preferences_over_time, simulate_counts
    >>> data, _ = simulate_counts(n_clusters=3, n_dates=2, random_seed=1)
    >>> model = masked_regression(data, effects="pooled", drift="walk")
    >>> with model:
    ...     prior = pm.sample_prior_predictive(5, random_seed=1)
    >>> prior["posterior"] = prior["prior"]
    >>> dict(preferences_over_time(prior, model).sizes)
    {'chain': 1, 'draw': 5, 'date': 2, 'category': 7}
    """
    if "drift" not in model.named_vars:
        raise ValueError('The model has no drift: make it with drift="walk".')
    intercept = _all_categories(_intercepts(idata), model)
    drift = _all_categories(idata["posterior"]["drift"], model)
    if "cluster" in intercept.dims:
        sizes = drift.sizes["date"], intercept.sizes["cluster"]
        weight = np.broadcast_to(np.ones(sizes[1]) if weight is None else weight, sizes)
        share = xr.DataArray(weight, dims=("date", "cluster"))
        share = share / share.sum("cluster")
    by_date = []
    for d in range(drift.sizes["date"]):  # one at a time, as there may be many clusters
        preference = _softmax(intercept + drift.isel(date=d))
        if "cluster" in preference.dims:
            preference = (preference * share.isel(date=d)).sum("cluster")
        by_date.append(preference)
    out = xr.concat(by_date, drift["date"])
    return out.transpose("chain", "draw", "date", "category").rename("preference")


def _intercepts(idata):
    posterior = idata["posterior"]
    if "effects" in posterior:
        return posterior["effects"].sel(effect="intercept", drop=True)
    return posterior["intercept"]


def _all_categories(contrasts, model):
    """Put the reference category's zeros in."""
    full = contrasts.reindex(contrast=list(model.coords["category"]), fill_value=0.0)
    return full.rename(contrast="category")


def _softmax(logits):
    weights = np.exp(logits - logits.max("category"))
    return weights / weights.sum("category")
