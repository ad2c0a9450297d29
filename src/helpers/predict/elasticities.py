"""What attributes do to choices: elasticities, and one slope in units of another."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import xarray as xr

from helpers.data.messages import require_known
from helpers.predict._rows import Draw, rows_to_predict
from helpers.predict._scatter import Points, average_shares, draw_points
from helpers.predict.draws import some_draws, value_by_draw

__all__ = ["elasticities", "slope_ratio"]

# Half the change of a logit over which a derivative is taken.
_STEP = 1e-4


def elasticities(
    idata: xr.DataTree,
    model: pm.Model,
    attribute: str,
    *,
    rows: Sequence | np.ndarray | None = None,
    draws: int | None = None,
    at: str | None = None,
    random_seed: int | None = None,
) -> xr.DataArray:
    r"""
    Own and cross elasticities of the choices with respect to an attribute.

    By how many per cent more a category is chosen, over all rows, if the attribute of a category
    is 1 % higher in each of them, by the derivative at the values that they have:

    .. math::

       E_{jk} = \frac{\sum_i n_i \, \partial p_{ij} / \partial \log z_{ik}}{\sum_i n_i p_{ij}},
       \qquad
       \frac{\partial p_{ij}}{\partial \log z_{ik}}
       = \gamma_{c(i)} z_{ik} \, p_{ij} (1[j = k] - p_{ik}).

    Unlike the slope, it does not depend on the attribute's unit. Where substitution is
    proportional, the cross elasticities :math:`E_{jk}` of a single row are the same for all j.

    Parameters
    ----------
    idata : xarray.DataTree
        Draws from `model`.
    model : pymc.Model
        A model made by :func:`~helpers.masked_regression` of data with attributes.
    attribute : str
        Name of the attribute.
    rows : sequence, optional
        Labels of the rows; all if not given.
    draws : int, optional
        About how many draws to use; all if not given.
    at : {"realised", "mean", "typical"}, optional
        What is meant, where rows scatter, as in :func:`~helpers.what_if`.
    random_seed : int, optional
        Seed of scatter that is drawn.

    Returns
    -------
    xarray.DataArray
        Dims (chain, draw, category, changed): the category that is chosen, and the one whose
        attribute changes. Own elasticities are those where both are the same. Missing for a
        category that is on no menu of these rows, and with respect to one without the attribute.

    Raises
    ------
    ValueError
        For an unknown attribute, and rows that are not in the model.

    References
    ----------
    Train, K. E. (2009). Discrete choice methods with simulation (2nd ed.). Cambridge University
    Press.

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers import elasticities, masked_regression, simulate_counts
    >>> data, _ = simulate_counts(
    ...     3, 2, 3, unavailable=(0, 0, 0.2), effects="pooled", attribute_slope={"price": -1.0},
    ...     random_seed=1,
    ... )
    >>> model = masked_regression(data, effects="pooled")
    >>> with model:
    ...     prior = pm.sample_prior_predictive(5, random_seed=1)
    >>> prior["posterior"] = prior["prior"]
    >>> dict(elasticities(prior, model, "price").sizes)
    {'chain': 1, 'draw': 5, 'category': 3, 'changed': 3}
    """
    names = _attributes(model, attribute)
    if isinstance(rows, pd.DataFrame):
        raise ValueError("Elasticities are of rows of the model: give their labels.")
    chosen = rows_to_predict(model, rows, at)
    posterior = some_draws(idata["posterior"].to_dataset(), draws)
    position = pd.Index(model.coords["row"]).get_indexer(chosen.labels)
    z = model["attributes"].eval()[position, :, names.index(attribute)]
    slopes = value_by_draw(posterior, model, _slope_of_rows(model, attribute, position))
    rng = np.random.default_rng(random_seed)
    values = []
    for draw, slope in zip(chosen.by_draw(posterior, rng), slopes, strict=True):
        points = None if draw.spread is None else draw_points(draw.spread, draw.df, rng=rng)
        effect = np.reshape(slope, (-1, 1)) * z
        values.append(_of_draw(draw, chosen.row_menus, chosen.n, effect, points))
    sizes = posterior.sizes["chain"], posterior.sizes["draw"]
    categories = [str(c) for c in model.coords["category"]]
    having = model["attribute_applies"].get_value()[:, names.index(attribute)].astype(bool)
    found = np.reshape(values, (*sizes, len(categories), len(categories)))
    return xr.DataArray(
        np.where(having, found, np.nan),
        {
            "chain": posterior["chain"].to_numpy(),
            "draw": posterior["draw"].to_numpy(),
            "category": categories,
            "changed": categories,
        },
        ("chain", "draw", "category", "changed"),
        name="elasticity",
        attrs={"at": chosen.at, "attribute": attribute},
    )


def _attributes(model: pm.Model, *asked: str) -> list[str]:
    """Names of the model's attributes, which those asked for must be among."""
    if "attribute" not in model.coords:
        raise ValueError("The model has no attributes: give `attributes` when reading the counts.")
    names = [str(name) for name in model.coords["attribute"]]
    require_known("attribute", asked, names)
    return names


def _slope_of_rows(model: pm.Model, attribute: str, position: np.ndarray) -> pt.TensorVariable:
    """Slope per unit of each row (R,), or of all."""
    own = [str(name) for name in model.coords.get("varying_attribute", ())]
    if attribute in own:
        return model["attribute_slopes"][:, own.index(attribute)][model["cluster_index"][position]]
    return model["attribute_slope"][_attributes(model).index(attribute)]


def _of_draw(
    draw: Draw, menus: np.ndarray, n: np.ndarray, effect: np.ndarray, points: Points | None
) -> np.ndarray:
    """Elasticities (K, K) in one draw: chosen, changed."""
    logits, nests = draw.logits, draw.nests
    share = average_shares(logits, menus, points, nests)
    change = np.empty((share.shape[1],) * 2)
    for k in range(share.shape[1]):
        if points is None and nests is None:
            own = np.arange(share.shape[1]) == k
            by_row = share * (own - share[:, [k]])
        else:
            step = np.zeros_like(logits)
            step[:, k] = _STEP
            higher, lower = (
                average_shares(logits + change_of, menus, points, nests)
                for change_of in (step, -step)
            )
            by_row = (higher - lower) / (2 * _STEP)
        change[:, k] = n @ (by_row * effect[:, [k]])
    with np.errstate(invalid="ignore"):
        change /= (n @ share)[:, None]
    on_menu = menus.any(axis=0)
    return np.where(on_menu[:, None] & on_menu, change, np.nan)


def slope_ratio(
    idata: xr.DataTree,
    model: pm.Model,
    one: str,
    other: str,
    *,
    prob: float = 0.89,
) -> pd.Series:
    """
    Ratio of two attributes' slopes, such as the value of an hour: time in units of cost.

    Quantiles, because a mean need not exist: where the denominator can be near zero, the ratio has
    tails too heavy for one.

    Parameters
    ----------
    idata : xarray.DataTree
        Draws from `model`.
    model : pymc.Model
        A model made by :func:`~helpers.masked_regression` of data with attributes.
    one, other : str
        Names of the attributes: numerator and denominator. Of slopes that vary, the common ones.
    prob : float
        Probability of the interval (0 < prob < 1).

    Returns
    -------
    pandas.Series
        ``low``, ``median`` and ``high``, in units of `other` per unit of `one`.

    Raises
    ------
    ValueError
        For unknown attributes, and a ratio of an attribute to itself.

    Warns
    -----
    UserWarning
        Where the slope of `other` can be on either side of zero.

    References
    ----------
    Daly, A., Hess, S., & Train, K. (2012). Assuring finite moments for willingness to pay in random
    coefficient models. Transportation, 39(1), 19-31.

    Examples
    --------
    >>> import arviz as az
    >>> import numpy as np
    >>> from helpers import masked_regression, simulate_counts, slope_ratio
    >>> data, _ = simulate_counts(attribute_slope={"time": -2.0, "cost": -1.0}, random_seed=1)
    >>> model = masked_regression(data, effects="intercepts")
    >>> slopes = np.random.default_rng(1).normal([-2.0, -1.0], 0.05, (4, 500, 2))
    >>> idata = az.from_dict({"posterior": {"attribute_slope": slopes}})
    >>> slope_ratio(idata, model, "time", "cost").round(1).to_dict()
    {'low': 1.8, 'median': 2.0, 'high': 2.2}
    """
    names = _attributes(model, one, other)
    if one == other:
        raise ValueError(f"The ratio of {one!r} to itself is 1: name two attributes.")
    if not 0 < prob < 1:
        raise ValueError(f"`prob` must be between 0 and 1, not {prob}.")
    slopes = np.asarray(idata["posterior"]["attribute_slope"])
    numerator, below = (slopes[..., names.index(name)].ravel() for name in (one, other))
    wrong = min((below > 0).mean(), (below < 0).mean())
    # Nobody draws the last per mille: a normal of the draws' mean and deviation has its tails.
    distance = np.abs(below.mean()) / below.std()
    if wrong > 0 or distance < 3:
        warnings.warn(
            f"The slope of {other} may be on either side of zero (its mean is {distance:.1f} "
            f"standard deviations away, {100 * wrong:.1f} % of draws are on the other side), so "
            "that the ratio can be anything: report the slopes themselves, or add data.",
            stacklevel=2,
        )
    low, median, high = np.quantile(numerator / below, [(1 - prob) / 2, 0.5, (1 + prob) / 2])
    return pd.Series({"low": low, "median": median, "high": high}, name=f"{one} / {other}")
