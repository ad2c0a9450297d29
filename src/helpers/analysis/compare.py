"""Shares and preferences side by side, and what would be said without the menus."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.choose import Choice
from helpers.analysis.draws import Draws
from helpers.analysis.effects import Step, told_effects, told_steps
from helpers.data.counts import CategoryCounts
from helpers.data.shares import shares_on_menu
from helpers.diagnostics.intervals import interval_table
from helpers.effects.pilot import expand_likelihood
from helpers.models.design import Design
from helpers.models.options import Options

__all__ = ["comparison_table", "ignored_table"]

# Coefficients up to which the quick fits take no time to speak of.
_QUICK = 1_500


def comparison_table(choice: Choice, draws: Draws) -> pd.DataFrame:
    """
    Put shares and latent preferences side by side, in all and by cluster.

    All four are of the rows as they were, counted by their totals, so that they differ by menus
    alone, and by how well the model fits.

    Parameters
    ----------
    choice : Choice
        The choice, with its data.
    draws : Draws
        The preferences by draw.

    Returns
    -------
    pandas.DataFrame
        One line per cluster ("(all)" first) and category, with ``rows_on_menu``; ``plain_share``,
        of all choices; ``share_on_menu``, of the choices in rows with the category on the menu;
        ``expected``, the model's share under the rows' own menus, with ``expected_low`` and
        ``expected_high``; ``latent``, its share if everything were on the menu, with
        ``latent_low`` and ``latent_high``; and ``at``, "realised" or "mean".
    """
    data = choice.data
    whole = pd.Categorical(["(all)"] * len(data))
    parts = [_observed(data, whole).join(_of_model(draws.rows, "", "(all)"))]
    if data.cluster is not None:
        parts.append(_observed(data, data.cluster).join(_of_model(draws.rows, "_by_cluster")))
    return pd.concat(parts).reset_index().assign(at=draws.at)


def _observed(data: CategoryCounts, group: "pd.Categorical[Any]") -> pd.DataFrame:
    """Shares of each group of rows."""
    shape = len(group.categories), len(data.categories)
    counts, possible, rows = (np.zeros(shape) for _ in range(3))
    np.add.at(counts, group.codes, data.counts)
    np.add.at(possible, group.codes, data.n[:, None] * data.available)
    np.add.at(rows, group.codes, data.available)
    with np.errstate(invalid="ignore"):
        plain, on_menu = counts / counts.sum(axis=1, keepdims=True), counts / possible
    index = pd.MultiIndex.from_product(
        [group.categories, data.categories], names=["cluster", "category"]
    )
    columns = {"rows_on_menu": rows.astype(int), "plain_share": plain, "share_on_menu": on_menu}
    return pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index)


def _of_model(rows: xr.Dataset, suffix: str, cluster: str = "") -> pd.DataFrame:
    """Expected and latent shares with their intervals."""
    parts = []
    for kind in ("expected", "latent"):
        draws = rows[f"{kind}{suffix}"]
        if cluster:
            draws = draws.expand_dims(cluster=[cluster])
        table = interval_table(draws.transpose(..., "cluster", "category"))
        names = {"mean": kind, "low": f"{kind}_low", "high": f"{kind}_high"}
        parts.append(table.rename(columns=names))
    return parts[0].join(parts[1])


def ignored_table(
    choice: Choice, draws: Draws, effects: pd.DataFrame | None = None, steps: Sequence[Step] = ()
) -> pd.DataFrame:
    """
    Tabulate what would have been said had the menus been ignored.

    No second model is sampled. Of the preferences over all rows it is known: a multinomial with
    intercepts that takes everything for available gives back the plain shares, exactly at its
    maximum. Effects of predictors come from quick fits, one with the menus and one without:
    multinomial regressions of all rows, each cluster's mean of the predictors taken out, without
    scatter or drift. Their difference is what the menus do; how the first differs from the fit is
    what the quick fit leaves out.

    Parameters
    ----------
    choice : Choice
        The choice, with its data.
    draws : Draws
        The preferences by draw.
    effects : pandas.DataFrame, optional
        The table of effects, if there are predictors.
    steps : sequence of Step
        The steps that it is of.

    Returns
    -------
    pandas.DataFrame
        Columns ``quantity`` ("preference", "1 sd of" a predictor, or another step), ``category``,
        ``mean``, ``low`` and ``high`` of the fit, ``quick_with_menus`` and ``menus_ignored``, and
        ``unit``. Quick fits of large tables are left out.
    """
    data = choice.data
    fit = interval_table(draws.rows["latent"]).reset_index()
    plain = data.counts.sum(axis=0) / data.n.sum()
    parts = [
        fit.assign(
            quantity="preference", quick_with_menus=np.nan, menus_ignored=plain, unit="probability"
        )
    ]
    if effects is not None:
        told = told_effects(effects)
        moves = told_steps(list(steps))
        with_menus, without = (
            _quick_changes(choice, moves, availability) for availability in ("known", "ignored")
        )
        if choice.availability == "unknown":  # nobody knows them for a quick fit
            with_menus = np.full_like(with_menus, np.nan)
        columns = ["category", "mean", "low", "high", "unit"]
        of_effects = told[columns].assign(
            quantity=("1 sd of " + told["predictor"]).where(told["step"] == "1 sd", told["told"]),
            quick_with_menus=100 * with_menus.ravel(),
            menus_ignored=100 * without.ravel(),
        )
        parts.append(of_effects)
    table = pd.concat(parts, ignore_index=True)
    first = ["quantity", "category", "mean", "low", "high", "quick_with_menus", "menus_ignored"]
    return table[[*first, "unit"]]


def _quick_changes(choice: Choice, steps: list[Step], availability: str) -> np.ndarray:
    """Change of the latent shares with each step in a quick fit, (steps, K)."""
    data = choice.data
    pooled = Options(
        effects="pooled",
        availability=availability,
        reference=choice.reference,
        formula=choice.formula,
    )
    quick = Design.of(data, pooled)
    scale = quick.predictors
    assert scale is not None
    weight = data.n / data.n.sum()
    origin = weight @ scale.values
    x = scale.values - origin
    design = np.hstack([np.ones((len(x), 1)), x])
    if choice.effects != "pooled" and data.cluster is not None:
        means = pd.DataFrame(x).groupby(data.cluster.codes).transform("mean").to_numpy()
        for column in means.T[..., None]:
            wider = np.hstack([design, column])
            if np.linalg.matrix_rank(wider) == wider.shape[1]:
                design = wider
    n_categories = len(data.categories)
    if design.shape[1] * (n_categories - 1) > _QUICK:
        return np.full((len(steps), n_categories), np.nan)
    reference = data.categories.index(choice.reference)
    nowhere = np.zeros(len(data), dtype=int)
    fit = expand_likelihood(
        data.counts, quick.menus, nowhere, 1, reference, design, offset=quick.offset
    ).by_cluster
    theta = np.linalg.solve(fit.information[0], fit.score[0][..., None])[..., 0]
    theta = np.insert(theta, reference, 0.0, axis=0)
    slopes = slice(1, 1 + x.shape[1])

    def shares(predictors: pd.DataFrame | None) -> np.ndarray:
        moved = design
        if predictors is not None:
            columns = quick.terms.columns_of(predictors).to_numpy()
            moved = design.copy()
            moved[:, slopes] = (columns - scale.mean) / scale.sd - origin
        return weight @ shares_on_menu(moved @ theta.T, np.array(True))

    return np.array([shares(step.end) - shares(step.start) for step in steps])
