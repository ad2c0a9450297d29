"""Does the fit look like the data?"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from helpers.analysis.draws import fewer
from helpers.analysis.fit import thin
from helpers.data.counts import CategoryCounts
from helpers.data.shares import nested_logits, shares_on_menu
from helpers.data.simulate import draw_counts
from helpers.diagnostics.by_category import category_checks, verdict_text
from helpers.diagnostics.leave_one_out import (
    GOOD_K,
    LeaveOneOut,
    leave_one_out,
    leave_one_out_pit,
)
from helpers.effects.rows import draw_new_scatter, integrated_log_likelihood
from helpers.predict.draws import value_by_draw

__all__ = ["Checks", "Predictions", "check_predictions"]

# Rows that are checked: of more, so many drawn at random say the same in less time.
_ROWS = 2_000
# Cells of a table up to which the counts of all its rows are predicted, and draws for larger ones.
_CELLS, _DRAWS = 800_000, 200
# Of a category's rows, the part that may be rough before "less" is taken back.
_ROUGH = 0.2


@dataclass(frozen=True, eq=False)
class Predictions:
    """
    Counts that the fitted model predicts for the rows, compared with the observed ones.

    Attributes
    ----------
    counts : numpy.ndarray of int, shape (draws, R, K)
        Predicted counts, under the rows' own menus, with scatter of rows drawn anew. For tables of
        more than 800,000 cells, of the rows that were checked.
    table : pandas.DataFrame
        The table of :func:`~helpers.diagnostics.category_checks`: each row judged by a fit to the
        others. Where that is rough for more than a fifth of a category's rows, "less" becomes "too
        few to tell", and ``cells`` are those that could be judged.
    pareto_k : numpy.ndarray
        Of each row that was checked, how far leaving it out can be relied on
        (:class:`~helpers.diagnostics.LeaveOneOut`).
    log_likelihood : xarray.DataArray or None
        Log-likelihood of the table over (chain, draw), scatter of rows integrated out; None if
        not all rows were checked, or if it cannot be.
    leave_one_out : LeaveOneOut or None
        Log density of each row that was checked in the light of all others, to compare models;
        None if the scatter of rows cannot be integrated out.
    n_rows : int, optional
        Number of rows of the table; if not given, that of `counts`.
    rows : numpy.ndarray of int, optional
        Positions of the rows of `counts` in the table; all if not given.
    """

    counts: np.ndarray
    table: pd.DataFrame
    pareto_k: np.ndarray
    log_likelihood: xr.DataArray | None = None
    leave_one_out: LeaveOneOut | None = None
    n_rows: int | None = None
    rows: np.ndarray | None = None

    @property
    def fits(self) -> bool:
        """Whether all categories were judged, and fit."""
        return bool((self.table["verdict"] == "fits").all())

    @property
    def verdict(self) -> str:
        """What the comparison says, in words, beginning with what fails."""
        sentences = [verdict_text(self.table)]
        verdicts = set(self.table["verdict"])
        sentences += [text for verdict, text in _MEANING.items() if verdict in verdicts]
        n_rows, n_checked = self.n_rows or self.counts.shape[1], len(self.pareto_k)
        if n_checked < n_rows:
            sentences.append(f"This is said of {n_checked:,} rows drawn from {n_rows:,}.")
        if rough := int((self.pareto_k > GOOD_K).sum()):
            sentences.append(
                f"For {rough:,} of {n_checked:,} rows it is rough: without one of them the fit "
                f"would be another (Pareto k above {GOOD_K})."
            )
        return " ".join(sentences)


# What follows from the verdicts.
_MEANING = {
    "shifted": (
        "What the model says of a category whose level is wrong must not be used: neither its "
        "preference nor its shares under other menus."
    ),
    "more": (
        "Where counts scatter more than predicted, something that the model leaves out moves them: "
        "intervals are too narrow."
    ),
    "less": (
        "Where counts scatter less than predicted, intervals are too wide, or the counts are not "
        "what they are taken for: sums of other columns, percentages or ranks vary less than "
        "counts of choices."
    ),
}


@dataclass(frozen=True, eq=False)
class Checks:
    """
    What was checked of a fit.

    Attributes
    ----------
    convergence : pandas.DataFrame
        The table of :func:`~helpers.check_convergence`.
    predictions : Predictions
        Predicted counts beside the observed ones.
    """

    convergence: pd.DataFrame
    predictions: Predictions


def check_predictions(
    data: CategoryCounts, model: pm.Model, idata: xr.DataTree, *, random_seed: int | None = None
) -> Predictions:
    """
    Predict the counts of every row from up to 400 draws, and judge each category.

    Each row is predicted from a fit to the others, by importance sampling
    (:func:`~helpers.diagnostics.leave_one_out`), and its count's rank among the predicted ones goes
    to :func:`~helpers.diagnostics.category_checks`. The scatter of a row is integrated out: a row
    is not judged by what only itself could tell. Of more than 2,000 rows, so many are drawn at
    random to be judged; in tables of more than 800,000 cells, these alone are predicted, from 200
    draws.

    Parameters
    ----------
    data : CategoryCounts
        The counts that were fitted.
    model : pymc.Model
        A model made by :func:`~helpers.masked_regression`.
    idata : xarray.DataTree
        Draws from `model`, with all its free variables.
    random_seed : int, optional
        Seed of the predictions.

    Returns
    -------
    Predictions

    Notes
    -----
    Where menus are unknown, each predicted row draws its menu. With scatter beside, the likelihood
    of a row is not integrated over both: all rows are then judged by the fit to all of them, which
    makes intervals look slightly better than they are.
    """
    rng = np.random.default_rng(random_seed)
    large = data.counts.size > _CELLS
    thinned = fewer(idata, _DRAWS) if large else thin(idata, data)
    posterior = thinned["posterior"].to_dataset()
    checked = every = np.arange(len(data))  # in the table
    if len(data) > _ROWS:
        checked = np.sort(rng.choice(len(data), _ROWS, replace=False))
    if large:
        every = checked
    rows = np.searchsorted(every, checked)  # among those that are predicted
    menus, n = model["available"].eval().astype(bool)[every], data.n[every]
    draws = _Draws(posterior, model, every, rows)
    predicted = draws.predict(n, menus, rng)
    of_rows = data.counts[checked], menus[rows]
    log_likelihood = draws.log_likelihood(*of_rows, rng)
    loo = None
    if log_likelihood is None:
        weights, pareto_k = np.zeros((len(predicted), len(rows))), np.full(len(rows), -np.inf)
    else:
        # Differences of rounding alone, as in rows with one category on the menu, have no tail.
        loo = leave_one_out(log_likelihood.round(9), chains=posterior.sizes["chain"])
        weights, pareto_k = loo.log_weights, loo.pareto_k
    by_others = predicted[:, rows]
    if loo is not None:
        by_others = draws.predict(n, menus, rng, rows, _resampled(weights, rng))
    even = np.zeros(weights.shape)
    table = category_checks(
        *of_rows,
        predicted[:, rows],
        pit=leave_one_out_pit(*of_rows, by_others, even, random_seed=rng),
        date=None if data.date is None else data.date[checked],
        categories=data.categories,
    )
    table = _without_rough(table, menus[rows], pareto_k)
    total = None
    if log_likelihood is not None and len(checked) == len(data):
        coords = {d: posterior[d].to_numpy() for d in ("chain", "draw")}
        shape = tuple(map(len, coords.values()))
        total = xr.DataArray(log_likelihood.sum(axis=1).reshape(shape), coords, tuple(coords))
    return Predictions(predicted, table, pareto_k, total, loo, len(data), every if large else None)


def _without_rough(table: pd.DataFrame, menus: np.ndarray, pareto_k: np.ndarray) -> pd.DataFrame:
    """
    Take back that counts scatter less than predicted where many rows cannot be left out.

    Draws that fitted a row stand for those that did not, as far as weights can make them. Where
    they cannot, the row is predicted too well, as if in sample, and any model seems to predict too
    much scatter. The other verdicts hold all the more.
    """
    good = pareto_k <= GOOD_K
    judged = pd.Series(menus[good].sum(axis=0), table.index)
    rough = (table["verdict"] == "less") & (judged < (1 - _ROUGH) * table["cells"])
    table = table.copy()
    table.loc[rough, "cells"] = judged[rough]
    table.loc[rough, "verdict"] = "too few to tell"
    return table


def _resampled(log_weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """
    For each row, draws (S, R) as often as their weights say.

    Where few draws have nearly all of the weight, one count from each would say little about what
    they predict together: many counts are drawn from these few.
    """
    weights = np.exp(log_weights - log_weights.max(axis=0))
    below = np.cumsum(weights / weights.sum(axis=0), axis=0)
    n_draws = len(weights)
    at = (np.arange(n_draws)[:, None] + rng.random(weights.shape[1])) / n_draws
    pick = [np.searchsorted(own, u) for own, u in zip(below.T, at.T, strict=True)]
    return np.minimum(np.stack(pick, axis=1), n_draws - 1)


class _Draws:
    """What each draw says of the rows, without what only the row itself could tell."""

    def __init__(self, posterior: xr.Dataset, model: pm.Model, every: np.ndarray, rows: np.ndarray):
        self.scatters, self.unknown = "scatter_sd" in model.named_vars, "psi" in model.named_vars
        logits = model["mean_logits" if self.scatters else "logits"]
        terms = {"logits": logits if len(every) == len(model.coords["row"]) else logits[every]}
        for name in ("scatter_sd", "scatter_df", "concentration", "psi", "nest_scale"):
            if name in model.named_vars:
                terms[name] = model[name]
        if not self.scatters:
            counts = model["counts"]
            terms["logp"] = pm.logp(counts, model.rvs_to_values[counts])[every[rows]]
        by_draw = value_by_draw(posterior, model, list(terms.values()))
        values = map(np.stack, zip(*by_draw, strict=True))
        self.values = dict(zip(terms, values, strict=True))
        self.rows = rows
        if "nest_scale" in terms:
            self.nest = model["nest_index"].get_value()
        if self.unknown:
            names = list(model.coords["category"])
            self.in_doubt = [names.index(name) for name in model.coords["inflated"]]

    def predict(
        self,
        n: np.ndarray,
        menus: np.ndarray,
        rng: np.random.Generator,
        rows: np.ndarray | None = None,
        pick: np.ndarray | None = None,
    ) -> np.ndarray:
        """
        Counts (S, R, K) of all rows, or of some, scatter and unknown menus drawn anew.

        `pick` (S, R) says which draw predicts each of them; one after another if not given.
        """
        logits = self.values["logits"]
        rows = np.arange(len(n)) if rows is None else rows
        if pick is None:
            pick = np.broadcast_to(np.arange(len(logits))[:, None], (len(logits), len(rows)))
        out = np.empty((len(pick), len(rows), logits.shape[2]), dtype=np.int64)
        for s, at in enumerate(pick):
            of = {name: value[at] for name, value in self.values.items() if name != "logits"}
            own = logits[at, rows]
            if self.scatters:
                df = of.get("scatter_df")
                own = own + draw_new_scatter(of["scatter_sd"], df, n_rows=1, rng=rng)[:, 0]
            now = menus[rows]
            if self.unknown:
                doubtful = rng.random((len(own), len(self.in_doubt))) < of["psi"]
                now[:, self.in_doubt] &= doubtful
            if "nest_scale" in of:
                own = nested_logits(own, now, self.nest, of["nest_scale"])
            share = shares_on_menu(own, now)
            concentration = of["concentration"][:, None] if "concentration" in of else None
            out[s] = draw_counts(rng, n[rows], share, concentration)
        return out

    def log_likelihood(
        self, counts: np.ndarray, menus: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray | None:
        """Log density (S, R) of rows, their scatter integrated out; None if it cannot be."""
        if not self.scatters:
            return self.values["logp"]
        if self.unknown:
            return None
        return integrated_log_likelihood(
            counts,
            menus,
            self.values["logits"][:, self.rows],
            self.values["scatter_sd"],
            self.values.get("scatter_df"),
            random_seed=rng,
        ).log_likelihood
