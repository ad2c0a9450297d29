"""Data with a known truth."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import softmax

from helpers.data._simulated import SimulatedAttributes, SimulatedPredictors, given_spreads
from helpers.data.counts import CategoryCounts
from helpers.data.messages import require_choice
from helpers.data.shares import shares_on_menu

__all__ = ["draw_counts", "simulate_counts"]


def simulate_counts(
    n_clusters: int = 20,
    n_dates: int = 4,
    n_categories: int = 7,
    unavailable: ArrayLike = (0.05, 0, 0.25, 0.25, 0, 0, 0),
    n_range: tuple[int, int] = (6_000, 119_000),
    *,
    categories: Sequence[str] | None = None,
    effects: Literal["slopes", "intercepts", "pooled"] = "slopes",
    intercept_mean: ArrayLike | None = None,
    slope_mean: ArrayLike | None = None,
    intercept_sd: ArrayLike = 0.5,
    slope_sd: ArrayLike = 0.2,
    correlation: ArrayLike = -0.4,
    intercept_spread: ArrayLike | None = None,
    slope_spread: ArrayLike | None = None,
    drift_spread: ArrayLike | None = None,
    scatter_sd: ArrayLike | None = None,
    scatter_df: float | None = None,
    attribute_slope: Mapping[str, float] | None = None,
    attribute_sd: Mapping[str, float] | None = None,
    exposure: tuple[float, float] | None = None,
    predictors: pd.DataFrame | None = None,
    formula: str | None = None,
    slope: ArrayLike | None = None,
    random_seed: int | None = None,
) -> tuple[CategoryCounts, xr.Dataset]:
    r"""
    Simulate counts by cluster and date, where not every category is on every menu.

    The defaults match the question that this book answers: 20 city districts, 4 dates and 7
    categories, two of which are off the menu in a quarter of the rows. The last category is the
    reference. Menus are drawn independently of preferences, and a category keeps its logit
    whatever else is on the menu (IIA holds).

    Parameters
    ----------
    n_clusters, n_dates, n_categories : int
        Numbers of clusters C, dates D and categories K; there are R = C D rows.
    unavailable : sequence of float, length K
        Probability that a category is off the menu of a row.
    n_range : tuple of int
        Smallest and largest total of a row; totals are log-uniform in between.
    categories : sequence of str, length K, optional
        Names of the categories; if not given, "category 1" and so on.
    effects : {"slopes", "intercepts", "pooled"}
        What varies by cluster: intercepts and slopes of one predictor, intercepts only (no
        predictor), or nothing (all clusters share the population's preferences).
    intercept_mean, slope_mean : array_like, length K - 1, optional
        Population means; if not given, drawn from N(0, 0.8²) and N(0, 0.3²).
    intercept_sd, slope_sd : float or array_like, length K - 1
        Standard deviations between clusters.
    correlation : float or array_like, length K - 1
        Correlation between a cluster's intercept and slope, in (-1, 1); of length K, of the
        categories, where their spreads are given.
    intercept_spread, slope_spread : float or array_like, length K, optional
        Standard deviations of all categories, the reference included, in place of those of the
        contrasts: every category has an effect, and contrasts are differences.
    drift_spread : float or array_like, length K, optional
        Standard deviations of all categories' steps from one date to the next; no drift if not
        given.
    scatter_sd : float or array_like, length K, optional
        Spreads of all categories in the scatter of rows; no scatter if not given.
    scatter_df : float, optional
        Degrees of freedom of the scatter (> 0); normal if not given.
    attribute_slope : mapping of str to float, optional
        Slopes of attributes by name, such as ``{"price": -1.0}``: standard normal values, drawn
        for each row and category.
    attribute_sd : mapping of str to float, optional
        Standard deviations of their slopes between clusters, by name; 0 for those not named.
    exposure : tuple of float, optional
        Smallest and largest exposure; they are uniform in between. 1 if not given.
    predictors : pandas.DataFrame, shape (R, V), optional
        Numbers and labels of the rows, with the dates of a cluster together. Their slopes are the
        same in all clusters, so that they go with intercepts and pooled effects only.
    formula : str, optional
        What becomes of the predictors, as in :func:`~helpers.masked_regression`; if not given,
        they are added up.
    slope : array_like, shape (P, K - 1), optional
        Slopes by column (:class:`~helpers.data.Terms`) and contrast, in the columns' units. If
        not given, they are drawn from N(0, 0.3²) for columns of standard deviation 1.
    random_seed : int, optional
        Seed.

    Returns
    -------
    data : CategoryCounts
        With clusters, dates and, for slopes, one standard normal predictor, ``x``.
    truth : xarray.Dataset
        ``intercept_mean``, ``intercept_sd`` (contrast), ``intercept`` (cluster, contrast); for
        slopes also ``slope_mean``, ``slope_sd``, ``correlation`` (contrast) and ``slope``
        (cluster, contrast); ``logits``, ``preference``, ``share`` (row, category). Where they are
        given, ``intercept_spread``, ``slope_spread``, ``drift_spread``, ``scatter_sd`` (category),
        ``scatter_df``, ``drift`` (date, contrast), 0 at the first date, and ``scatter``
        (row, contrast), ``attribute_slope``, ``attribute_sd`` (attribute) and
        ``attribute_slopes`` (cluster, attribute); of `predictors`, ``slope`` (predictor,
        contrast). ``logits`` and ``share`` include the scatter and the exposure, ``preference``
        does not.

    Raises
    ------
    ValueError
        For lengths that do not fit, probabilities outside [0, 1), an impossible range of
        totals, or a formula that cannot be used.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> data, truth = simulate_counts(random_seed=1)
    >>> data.counts.shape, dict(truth.sizes)
    ((80, 7), {'contrast': 6, 'cluster': 20, 'row': 80, 'category': 7})

    Labels, and an interaction of them with a number:

    >>> import pandas as pd
    >>> days = pd.DataFrame({"diet": ["meat", "none"] * 6, "heat": range(12)})
    >>> data, truth = simulate_counts(
    ...     4, 3, 2, (0, 0), effects="pooled", predictors=days, formula="diet * heat",
    ...     slope=[[1.0], [0.0], [-0.1]],
    ... )
    >>> truth["slope"].sel(contrast="category 1").to_series().to_dict()
    {'diet[none]': 1.0, 'heat': 0.0, 'diet[none]:heat': -0.1}
    """
    unavailable = np.asarray(unavailable, dtype=float)
    _check_sizes(n_clusters, n_dates, n_categories, unavailable, n_range)
    require_choice("effects", effects, ("slopes", "intercepts", "pooled"))
    n_rows = n_clusters * n_dates

    rng = np.random.default_rng(random_seed)
    spread = given_spreads(
        n_categories,
        intercept_spread=intercept_spread,
        slope_spread=slope_spread,
        drift_spread=drift_spread,
        scatter_sd=scatter_sd,
    )
    means, sds = (intercept_mean, slope_mean), (intercept_sd, slope_sd)
    (mean, sd, rho), (intercept, own_slope) = _draw_effects(
        rng, (n_clusters, n_categories), effects, spread, means, sds, correlation
    )
    cluster = np.repeat(np.arange(n_clusters), n_dates)
    x = rng.normal(size=n_rows)
    logits = np.zeros((n_rows, n_categories))
    logits[:, :-1] = intercept[cluster] + own_slope[cluster] * x[:, None]
    available = _draw_menus(rng, n_rows, unavailable)
    n = _draw_totals(rng, n_range, n_rows)
    drift, scatter = _drift_and_scatter(rng, n_clusters, n_dates, spread, scatter_df)
    logits[:, :-1] += np.tile(drift, (n_clusters, 1))
    of_attributes = SimulatedAttributes(rng, attribute_slope, attribute_sd, exposure, n_clusters)
    logits += of_attributes.by_row(cluster, n_categories)
    of_predictors = SimulatedPredictors(rng, predictors, formula, slope, effects, logits.shape)
    logits[:, :-1] += of_predictors.by_row()
    preference = softmax(logits, axis=1)
    logits[:, :-1] += scatter
    logits += of_attributes.log_exposure
    share = shares_on_menu(logits, available)

    dates = pd.date_range("2014-06-01", periods=n_dates, freq="365D")
    data = CategoryCounts(
        counts=draw_counts(rng, n, share),
        available=available,
        categories=_names(categories, n_categories),
        cluster=pd.Categorical.from_codes(cluster, _districts(n_clusters)),
        date=np.tile(dates.to_numpy(), n_clusters),
        predictors=pd.DataFrame({"x": x}) if effects == "slopes" else of_predictors.frame,
        cluster_name="district",
        attributes=of_attributes.values,
        exposure=of_attributes.exposure(available),
    )
    of_rows = {"logits": logits, "preference": preference, "share": share}
    truth = _of_effects(effects, mean, sd, rho, intercept, own_slope)
    truth |= {name: (("row", "category"), values) for name, values in of_rows.items()}
    truth |= _asked_for(spread, drift, scatter, scatter_df)
    truth |= of_attributes.truth | of_predictors.truth
    coords = data.coords | {"contrast": list(data.categories[:-1])}
    coords.pop("predictor", None)
    coords |= {"date": dates} if "drift" in truth else {}
    return data, xr.Dataset(truth, coords=coords)


def _of_effects(
    effects: str,
    mean: np.ndarray,
    sd: np.ndarray,
    rho: np.ndarray,
    intercept: np.ndarray,
    slope: np.ndarray,
) -> dict[str, Any]:
    """Truth about intercepts, and slopes where there are any."""
    truth = _of_effect("intercept", mean[0], sd[0], intercept)
    if effects == "slopes":
        truth |= _of_effect("slope", mean[1], sd[1], slope) | {"correlation": ("contrast", rho)}
    return truth


def _of_effect(
    name: str, mean: np.ndarray, sd: np.ndarray, of_clusters: np.ndarray
) -> dict[str, Any]:
    return {
        f"{name}_mean": ("contrast", mean),
        f"{name}_sd": ("contrast", sd),
        name: (("cluster", "contrast"), of_clusters),
    }


def _asked_for(
    spread: dict[str, np.ndarray], drift: np.ndarray, scatter: np.ndarray, df: float | None
) -> dict[str, Any]:
    """Truth about spreads, drift and scatter, where they are given."""
    truth: dict[str, Any] = {name: ("category", values) for name, values in spread.items()}
    if "drift_spread" in spread:
        truth["drift"] = (("date", "contrast"), drift)
    if "scatter_sd" in spread:
        truth["scatter"] = (("row", "contrast"), scatter)
        truth |= {} if df is None else {"scatter_df": df}
    return truth


def _draw_totals(rng: np.random.Generator, n_range: tuple[int, int], n_rows: int) -> np.ndarray:
    """Totals of rows, log-uniform."""
    low, high = n_range
    n = np.exp(rng.uniform(np.log(low), np.log(high + 1), n_rows)).astype(np.int64)
    return np.clip(n, low, high)


def _districts(n_clusters: int) -> pd.Index:
    """Names of clusters, of one length."""
    width = len(str(n_clusters))
    return pd.Index([f"district {c:0{width}d}" for c in range(1, n_clusters + 1)])


def _contrasts(u: np.ndarray) -> np.ndarray:
    """Differences from the last category."""
    return u[..., :-1] - u[..., -1:]


def _draw_effects(
    rng: np.random.Generator,
    sizes: tuple[int, int],
    effects: str,
    spread: dict[str, np.ndarray],
    means: tuple[ArrayLike | None, ArrayLike | None],
    sds: tuple[ArrayLike, ArrayLike],
    correlation: ArrayLike,
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """The contrasts' population, and the clusters' intercepts and slopes, shape (2, C, K - 1)."""
    n_clusters, n_categories = sizes
    by_category = _spreads_of_effects(spread, effects)
    of_contrasts = correlation
    if by_category is not None:
        sds, of_contrasts = _contrasts_of(by_category[0], by_category[1], correlation)
    mean, sd, rho = _population(rng, n_categories - 1, means, sds, of_contrasts)
    if effects != "slopes":
        mean[1] = sd[1] = 0
    if effects == "pooled":
        sd[0] = 0

    # The order of the draws is part of what a seed means.
    if by_category is None:
        z = rng.normal(size=(2, n_clusters, n_categories - 1))
        return (mean, sd, rho), mean[:, None] + _correlated(z, sd, rho)
    z = rng.normal(size=(2, n_clusters, n_categories))
    of_all = np.broadcast_to(np.asarray(correlation, dtype=float), n_categories)
    return (mean, sd, rho), mean[:, None] + _contrasts(_correlated(z, by_category, of_all))


def _correlated(z: np.ndarray, sd: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """Intercepts and slopes from standard normals, shape (2, C, K)."""
    return np.stack([sd[0] * z[0], sd[1] * (rho * z[0] + np.sqrt(1 - rho**2) * z[1])])


def _spreads_of_effects(spread: dict[str, np.ndarray], effects: str) -> np.ndarray | None:
    """Spreads of all categories' intercepts and slopes, shape (2, K), where they are given."""
    names = ("intercept_spread", "slope_spread")
    given = [name for name in names if name in spread]
    if not given:
        return None
    if effects == "slopes" and len(given) == 1:
        raise ValueError("Give the spreads of both intercepts and slopes, or of neither.")
    if effects == "pooled" or (effects == "intercepts" and given != ["intercept_spread"]):
        raise ValueError(f'With effects="{effects}" there is no {" or ".join(given)} to draw from.')
    of_intercepts = spread["intercept_spread"]
    return np.stack([of_intercepts, spread.get("slope_spread", np.zeros_like(of_intercepts))])


def _contrasts_of(
    of_intercepts: np.ndarray, of_slopes: np.ndarray, correlation: ArrayLike
) -> tuple[tuple[ArrayLike, ArrayLike], ArrayLike]:
    """Standard deviations and correlations of the contrasts' intercepts and slopes."""
    sds = [np.sqrt(s[:-1] ** 2 + s[-1] ** 2) for s in (of_intercepts, of_slopes)]
    covariance = of_intercepts * of_slopes * np.asarray(correlation)
    product = sds[0] * sds[1]
    of_both = covariance[:-1] + covariance[-1]
    rho = np.divide(of_both, product, out=np.zeros_like(product), where=product > 0)
    return (sds[0], sds[1]), rho


def _drift_and_scatter(
    rng: np.random.Generator,
    n_clusters: int,
    n_dates: int,
    spread: dict[str, np.ndarray],
    df: float | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Contrasts of a walk, 0 at the first date, and of the rows' scatter; 0 if not asked for."""
    drift: np.ndarray = np.zeros((n_dates, 1))
    scatter: np.ndarray = np.zeros((n_clusters * n_dates, 1))
    if "drift_spread" in spread:
        of_steps = spread["drift_spread"]
        steps = _contrasts(of_steps * rng.normal(size=(n_dates - 1, len(of_steps))))
        drift = np.concatenate([np.zeros((1, steps.shape[1])), steps.cumsum(axis=0)])
    if "scatter_sd" in spread:
        of_rows = spread["scatter_sd"]
        u = of_rows * rng.normal(size=(len(scatter), len(of_rows)))
        if df is not None:
            u /= np.sqrt(rng.gamma(df / 2, 2 / df, size=len(scatter)))[:, None]
        scatter = _contrasts(u)
    return drift, scatter


def draw_counts(
    rng: np.random.Generator,
    n: int | np.ndarray,
    share: np.ndarray,
    concentration: float | np.ndarray | None = None,
) -> np.ndarray:
    """
    Draw counts that are 0 wherever the share is 0.

    Unlike :meth:`numpy.random.Generator.multinomial`, it gives no remainder of rounding to the
    last category, which may be off the menu.

    Parameters
    ----------
    rng : numpy.random.Generator
        Generator.
    n : numpy.ndarray of int, shape (...)
        Totals.
    share : numpy.ndarray, shape (..., K)
        Probabilities, which sum to 1.
    concentration : float or numpy.ndarray, optional
        Concentration of a Dirichlet-multinomial, one or of a shape that broadcasts against
        `share`; without it, counts are multinomial.

    Returns
    -------
    numpy.ndarray of int64, shape (..., K)

    Examples
    --------
    >>> import numpy as np
    >>> from helpers import draw_counts
    >>> draw_counts(np.random.default_rng(1), np.array([10]), np.array([[0.5, 0.5, 0.0]]))
    array([[5, 5, 0]])
    """
    if concentration is not None:
        a = concentration * share
        # Gamma(a) is Gamma(a + 1) U^(1/a), whose logarithm does not underflow where a is small.
        with np.errstate(divide="ignore"):
            log_gamma = np.log(rng.gamma(a + 1)) - rng.exponential(size=a.shape) / a
        share = softmax(log_gamma, axis=-1)
    order = np.argsort(share, axis=-1)
    counts = np.empty(share.shape, dtype=np.int64)
    drawn = rng.multinomial(n, np.take_along_axis(share, order, axis=-1))
    np.put_along_axis(counts, order, drawn, axis=-1)
    return counts


def _check_sizes(
    n_clusters: int,
    n_dates: int,
    n_categories: int,
    unavailable: np.ndarray,
    n_range: tuple[int, int],
) -> None:
    if min(n_clusters, n_dates) < 1 or n_categories < 2:
        raise ValueError("At least one cluster, one date and two categories are needed.")
    if unavailable.shape != (n_categories,):
        raise ValueError(
            f"`unavailable` needs one probability per category ({n_categories}), "
            f"and has {unavailable.size}."
        )
    if (unavailable < 0).any() or (unavailable >= 1).any():
        raise ValueError("`unavailable` must lie in [0, 1).")
    if not 0 < n_range[0] <= n_range[1]:
        raise ValueError("`n_range` must be (smallest, largest) with 0 < smallest <= largest.")


def _names(categories: Sequence[str] | None, n_categories: int) -> list[str]:
    names = list(categories or (f"category {k}" for k in range(1, n_categories + 1)))
    if len(names) != n_categories:
        raise ValueError(f"`categories` has {len(names)} names for {n_categories} categories.")
    return names


def _population(
    rng: np.random.Generator,
    n_contrasts: int,
    means: tuple[ArrayLike | None, ArrayLike | None],
    sds: tuple[ArrayLike, ArrayLike],
    correlation: ArrayLike,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means and spreads of intercepts and slopes, shape (2, K - 1), and their correlations."""
    mean, sd = np.empty((2, 2, n_contrasts))
    for i, default_spread in enumerate((0.8, 0.3)):
        given = means[i]
        mean[i] = rng.normal(0, default_spread, n_contrasts) if given is None else given
        sd[i] = sds[i]
    rho = np.full(n_contrasts, correlation, dtype=float)
    if (sd < 0).any() or (np.abs(rho) >= 1).any():
        raise ValueError("Standard deviations must be >= 0 and correlations lie in (-1, 1).")
    return mean, sd, rho


def _draw_menus(rng: np.random.Generator, n_rows: int, unavailable: np.ndarray) -> np.ndarray:
    """Draw menus until none is empty and each category is on at least one."""
    for _ in range(1_000):
        available = rng.random((n_rows, len(unavailable))) >= unavailable
        if available.any(axis=1).all() and available.any(axis=0).all():
            return available
    raise ValueError(
        "These probabilities leave a menu empty, or a category on no menu, every time: lower "
        "`unavailable`."
    )
