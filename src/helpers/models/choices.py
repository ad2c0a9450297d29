"""Choices that a regression needs, and their checks."""

import numpy as np
import pandas as pd

from helpers.effects.pilot import expand_likelihood

__all__ = ["choose_likelihood", "choose_reference", "fixed_within_clusters"]


def choose_reference(data, availability="known"):
    """
    Choose the category whose logit is 0.

    All logits are measured against the reference, so all of them share its uncertainty: the
    category that was on the menu in most rows, and of those the most chosen, makes them least
    correlated. Where menus are unknown, the one that was chosen in most rows takes its place.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    availability : {"known", "ignored", "unknown"}
        As in :func:`~helpers.masked_regression`.

    Returns
    -------
    str
        The name of the category.
    """
    on_menu = data.counts > 0 if availability == "unknown" else data.available
    best = np.lexsort((data.counts.sum(axis=0), on_menu.sum(axis=0)))[-1]
    return data.categories[best]


def fixed_within_clusters(data):
    """
    Name the predictors that are the same in all rows of each cluster.

    Their slopes cannot vary by cluster.

    Parameters
    ----------
    data : CategoryCounts
        The counts, with clusters.

    Returns
    -------
    list of str
    """
    spread = data.predictors.groupby(data.cluster, observed=True).agg(np.ptp)
    fixed = (spread <= 1e-12 * data.predictors.abs().max()).all()
    return list(fixed.index[fixed])


def choose_likelihood(data, *, effects="slopes", drift=None):
    """
    Choose the distribution of the counts by how much rows scatter about a quick fit.

    The Dirichlet-multinomial, if the squared residuals are more than a tenth larger than a
    multinomial expects, and that is more than three standard errors.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    effects, drift : str or None
        As in :func:`~helpers.masked_regression`.

    Returns
    -------
    likelihood : {"multinomial", "dirichlet-multinomial"}
        The choice.
    ratio : float
        The evidence: squared residuals relative to what a multinomial expects, see
        :class:`~helpers.pilot.Expansion`.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.models import choose_likelihood
    >>> data, _ = simulate_counts(random_seed=1)
    >>> likelihood, ratio = choose_likelihood(data)
    >>> likelihood, round(ratio, 1)
    ('multinomial', 0.8)
    """
    place = data.categories.index(choose_reference(data))
    dates = None if drift is None else _distinct_dates(data)
    found = _pilot(data, data.available, effects, place, dates)
    ratio = found.dispersion
    scatters = ratio > 1.1 and ratio > 1 + 3 * np.sqrt(2 / found.freedom)
    return ("dirichlet-multinomial" if scatters else "multinomial"), ratio


def _check_clusters(data, effects):
    """Effects that vary by cluster need clusters, and predictors that vary inside them."""
    if effects == "pooled":
        return
    if data.cluster is None:
        raise ValueError(
            f'effects="{effects}" needs a cluster for each row: give `cluster` when reading the '
            'counts, or use effects="pooled".'
        )
    if effects == "slopes":
        fixed = fixed_within_clusters(data)
        if fixed:
            raise ValueError(
                f"The predictor {', '.join(fixed)} is the same in all rows of each cluster, so its "
                "slope cannot be told apart from the clusters' intercepts: use "
                'effects="intercepts", which gives it a common slope.'
            )


def _check_unknown(data, unknown, overdispersed, inflated, menu_of, psi_by):
    """Whether what is asked of unknown menus is possible."""
    _require("menu_of", menu_of, ("row", "cluster"))
    _require("psi_by", psi_by, (None, "cluster"))
    if not unknown:
        if inflated is not None or menu_of != "row" or psi_by is not None:
            raise ValueError(
                "`inflated`, `menu_of` and `psi_by` are about unknown menus: give "
                'availability="unknown".'
            )
        return
    if overdispersed:
        raise ValueError(
            "Unknown menus and scatter are rival explanations of the same zeros, and only the "
            'multinomial sums menus out here: use availability="known" or '
            'likelihood="multinomial". Chapter 7 shows a model with both.'
        )
    if data.cluster is None and "cluster" in (menu_of, psi_by):
        raise ValueError("Menus or psi by cluster need a cluster for each row.")
    if menu_of == psi_by == "cluster":
        raise ValueError(
            "With one menu for each cluster there is nothing to tell a psi of its own from: "
            'leave out `psi_by`, or use menu_of="row".'
        )


def _pilot(data, menus, effects, place, dates, overdispersed=False):
    """Quick fit of the effects that vary, and of a shift at each of the dates if there are any."""
    ones, pooled = np.ones((len(data), 1)), effects == "pooled"
    design = _standardise(data.predictors)[2] if data.predictors.shape[1] else None
    slopes = effects == "slopes" and design is not None
    return expand_likelihood(
        data.counts,
        menus,
        np.zeros(len(data), dtype=int) if pooled else data.cluster.codes,
        1 if pooled else len(data.cluster.categories),
        place,
        np.hstack([ones, design]) if slopes else ones,
        None if slopes else design,
        date=None if dates is None else dates.get_indexer(data.date),
        n_dates=0 if dates is None else len(dates),
        overdispersed=overdispersed,
    )


def _distinct_dates(data):
    """Dates in order; there must be two at least."""
    if data.date is None:
        raise ValueError(
            "A drift needs the date of each row: give `date` when reading the counts, or leave "
            "out `drift`."
        )
    dates = data.date.unique()
    if isinstance(dates, pd.DatetimeIndex) or pd.api.types.is_numeric_dtype(dates):
        dates = dates.sort_values()  # labels keep the order in which they appear
    if len(dates) < 2:
        raise ValueError(
            f"All rows are of one date, {dates[0]}: there is no drift to see. Leave out `drift`."
        )
    return dates


def _inflated(data, inflated, reference):
    """Categories that may be off the menu, in the order of the data."""
    if inflated is None:
        doubtful = ((data.counts == 0) & data.available).any(axis=0)
        inflated = [
            c for c, d in zip(data.categories, doubtful, strict=True) if d and c != reference
        ]
        if not inflated:
            raise ValueError(
                "No category but the reference has a zero that the data do not explain, so there "
                'is nothing unknown about the menus: use availability="known".'
            )
        return inflated
    if isinstance(inflated, str):
        inflated = [inflated]
    for category in inflated:
        _require("an inflated category", category, data.categories)
        if category == reference:
            raise ValueError(
                f"The reference {reference!r} must be on every menu: choose another one, or leave "
                "it out of `inflated`."
            )
    return [c for c in data.categories if c in inflated]


def _standardise(predictors):
    """Mean, standard deviation and standardised values; a predictor must vary."""
    x = predictors.to_numpy()
    mean, sd = x.mean(axis=0), x.std(axis=0)
    constant = sd <= 1e-12 * np.maximum(1.0, np.abs(mean))
    if constant.any():
        raise ValueError(
            f"The predictor {', '.join(predictors.columns[constant])} is the same in every row: "
            "leave it out, its effect is part of the intercept."
        )
    x = (x - mean) / sd
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise ValueError(
            f"The predictors {', '.join(predictors.columns)} repeat each other: one of them is a "
            "combination of the others (or there are more of them than rows). Leave it out."
        )
    return mean, sd, x


def _require(what, value, allowed):
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(map(repr, allowed))}, not {value!r}.")
