"""What draws of a regression say about preferences."""

from itertools import repeat

import numpy as np
import pymc as pm
import xarray as xr
from scipy.sparse import csr_array

from helpers.predict._rows import log_exposure, rows_to_predict
from helpers.predict._scatter import (
    Nests,
    average_shares,
    chosen,
    nests_of,
    points_by_draw,
    scatters,
)

__all__ = ["latent_preferences", "preferences_over_time"]


def latent_preferences(
    idata: xr.DataTree,
    model: pm.Model,
    at: str | None = None,
    *,
    random_seed: int | None = None,
) -> xr.DataArray:
    """
    Probabilities with everything on the menu, by cluster.

    Unlike the model's ``preference``, which has a value for each row, these have one for each
    cluster, and take less room.

    Parameters
    ----------
    idata : xarray.DataTree
        Draws from `model`.
    model : pymc.Model
        A model made by :func:`~helpers.masked_regression`.
    at : {"mean", "typical", "realised"}, optional
        What is meant:

        - "mean", the default: what is expected of a new row, averaged over the scatter of rows
          (256 quasi-random points in each draw, see :func:`~helpers.what_if` for their error);
        - "typical": a row without scatter, which is not an average of anything, and not to be
          added up;
        - "realised": the rows of the data as they were, what was off their menus drawn given the
          scatter that they showed, averaged over each cluster's rows, weighted by their totals.

        The first two are at the means of predictors and attributes, and with a drift for the mean
        of the logits over dates; without scatter of rows they are the same. The last is at the
        rows' own predictors, attributes and dates, and draws scatter that was not stored, which
        takes a while: thin many draws. All are equally exposed.
    random_seed : int, optional
        Seed of the points, and of scatter that is drawn.

    Returns
    -------
    xarray.DataArray
        Dims (chain, draw, cluster, category), without ``cluster`` if pooled. Its ``attrs["at"]``
        says what is meant. Realised preferences of a cluster without choices are missing.

    Raises
    ------
    ValueError
        For realised preferences where menus are unknown and the scatter is not in the posterior,
        and those of a Dirichlet-multinomial, which does not keep how its rows scattered.

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
    >>> dict(preferences.sizes), preferences.attrs["at"]
    ({'chain': 1, 'draw': 5, 'cluster': 3, 'category': 7}, 'mean')
    >>> preferences.sum("category").round(6).to_numpy()[0, 0]
    array([1., 1., 1.])
    """
    at = chosen(model, at, "mean")
    rng = np.random.default_rng(random_seed)
    posterior = idata["posterior"].to_dataset()
    if at == "realised":
        dim = "cluster" if "cluster" in _level_dims(model) else None
        return _realised(posterior, model, dim, rng)
    logits = _all_categories(_intercepts(posterior), model)
    same = _points(posterior, model, at, rng), _nests(posterior, model)
    values = [
        average_shares(now, np.array(True), points, nests)
        for now, points, nests in zip(_by_draw(logits), *same, strict=False)
    ]
    return _preferences(np.reshape(values, logits.shape), logits.dims, logits.coords, at)


def preferences_over_time(
    idata: xr.DataTree,
    model: pm.Model,
    weight: np.ndarray | None = None,
    at: str | None = None,
    *,
    random_seed: int | None = None,
) -> xr.DataArray:
    """
    Probabilities with everything on the menu, by date.

    Unlike the model's ``preference``, at the mean they are for the same clusters at each date,
    whichever had rows then, and at the predictors' means.

    Parameters
    ----------
    idata : xarray.DataTree
        Draws from `model`.
    model : pymc.Model
        A model made by :func:`~helpers.masked_regression` with a drift.
    weight : numpy.ndarray, optional
        How much each cluster counts, shape (cluster,) or (date, cluster); all alike if not given.
        Not for realised preferences, whose rows count by their totals.
    at : {"realised", "mean", "typical"}, optional
        What is meant, as in :func:`~helpers.latent_preferences`. "realised": the rows of each date
        as they were, at their own predictors, weighted by their totals, which is what a national
        figure means. "mean" and "typical": a new row, or one without scatter, of each cluster at
        each date. By default "realised" if rows scatter (``likelihood="logistic-normal"``) and no
        `weight` is given, otherwise "mean".
    random_seed : int, optional
        Seed of the points over which the mean is taken, and of scatter that is drawn.

    Returns
    -------
    xarray.DataArray
        Dims (chain, draw, date, category). Its ``attrs["at"]`` says what is meant.

    Raises
    ------
    ValueError
        If the model has no drift, for weights of realised preferences, and as
        :func:`~helpers.latent_preferences`.

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
    at = chosen(model, at, "realised" if weight is None else "mean")
    rng = np.random.default_rng(random_seed)
    posterior = idata["posterior"].to_dataset()
    if at == "realised":
        if weight is not None:
            raise ValueError(
                "Weights are of clusters, and realised preferences are those of rows, which count "
                'by their totals: leave out `weight`, or use at="mean".'
            )
        return _realised(posterior, model, "date", rng)
    intercept = _all_categories(_intercepts(posterior), model)
    drift = _all_categories(posterior["drift"], model).transpose(..., "date", "category")
    n_dates, n_clusters = drift.sizes["date"], intercept.sizes.get("cluster", 1)
    weight = np.broadcast_to(
        np.ones(n_clusters) if weight is None else weight, (n_dates, n_clusters)
    )
    weight = weight / weight.sum(axis=1, keepdims=True)
    values = np.empty((len(_by_draw(drift)), *drift.shape[2:]))
    by_draw = zip(
        _by_draw(intercept),
        _by_draw(drift),
        _points(posterior, model, at, rng),
        _nests(posterior, model),
        strict=False,
    )
    for i, (level, walk, points, nests) in enumerate(by_draw):
        for d in range(n_dates):  # one at a time, as there may be many clusters; of the same points
            values[i, d] = weight[d] @ average_shares(
                level + walk[d], np.array(True), points, nests
            )
    return _preferences(values.reshape(drift.shape), drift.dims, drift.coords, at)


def _points(posterior, model, at, rng):
    """Points of the scatter in each draw, None where there is nothing to average."""
    return (
        points_by_draw(posterior, model, rng) if at == "mean" and scatters(model) else repeat(None)
    )


def _nests(posterior, model):
    """Nests in each draw, None where there are none."""
    if "nest_scale" not in model.named_vars:
        return repeat(None)
    scale = posterior["nest_scale"].transpose("chain", "draw", "nest").to_numpy()
    nest = nests_of(model)
    return (Nests(nest, of_draw) for of_draw in scale.reshape(-1, scale.shape[-1]))


def _realised(posterior, model, dim, rng):
    """Preferences that rows showed, averaged over those of each cluster or date."""
    rows = rows_to_predict(model, None, "realised")
    index = np.zeros(len(rows.n), int) if dim is None else model[f"{dim}_index"].eval()
    size = 1 if dim is None else len(model.coords[dim])
    weight = csr_array((rows.n, (index, np.arange(len(index)))), shape=(size, len(index)))
    exposure = log_exposure(model)
    with np.errstate(invalid="ignore"):
        values = [
            weight
            @ average_shares(draw.logits - exposure, np.array(True), None, draw.nests)
            / weight.sum(axis=1)[:, None]
            for draw in rows.by_draw(posterior, rng)
        ]
    dims = ("chain", "draw", *([dim] if dim else []), "category")
    coords = {d: list(model.coords[d]) for d in dims[2:]} | {
        d: posterior[d].to_numpy() for d in dims[:2]
    }
    shape = tuple(len(coords[d]) for d in dims)
    return _preferences(np.reshape(values, shape), dims, coords, "realised")


def _preferences(values, dims, coords, at):
    return xr.DataArray(values, coords, dims, name="preference", attrs={"at": at})


def _level_dims(model):
    name = "effects" if "effects" in model.named_vars else "intercept"
    return model.named_vars_to_dims[name]


def _intercepts(posterior):
    if "effects" in posterior:
        return posterior["effects"].sel(effect="intercept", drop=True)
    return posterior["intercept"]


def _all_categories(contrasts, model):
    """Put the reference category's zeros in."""
    full = contrasts.reindex(contrast=list(model.coords["category"]), fill_value=0.0)
    return full.rename(contrast="category").transpose("chain", "draw", ..., "category")


def _by_draw(logits):
    """Logits of each draw, (clusters or dates, K), with one line if there is neither."""
    values = logits.to_numpy()
    return values.reshape(values.shape[0] * values.shape[1], -1, values.shape[-1])
