"""Does the fit look like the data?"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from helpers.analysis.fit import thin
from helpers.data.counts import CategoryCounts
from helpers.diagnostics.predictive import pearson_statistic, predictive_check

__all__ = ["Checks", "Predictions", "check_predictions"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """
    Counts that the fitted model predicts for the rows, compared with the observed ones.

    Attributes
    ----------
    counts : numpy.ndarray of int, shape (draws, R, K)
        Predicted counts.
    ratio : float
        Pearson's statistic of the observed counts over that of the predicted ones.
    p : float
        Posterior predictive probability of a statistic at least as large as the observed one.
    """

    counts: np.ndarray
    ratio: float
    p: float

    @property
    def verdict(self) -> str:
        """What the comparison says, in words."""
        n_draws = len(self.counts)
        p_text = f"p = {self.p:.2f}" if self.p * n_draws >= 5 else f"p < {5 / n_draws:.2g}"
        text = (
            f"Pearson's statistic of the observed counts is {self.ratio:,.2f} times what the "
            f"model predicts (posterior predictive {p_text}). "
        )
        if self.p < 0.01:
            return text + (
                "The counts scatter more than the model allows: something that the model leaves "
                "out moves them. Estimates average over it, and their intervals are too narrow."
            )
        if self.p > 0.99:
            return text + (
                "The counts scatter less than the model expects; the intervals are too wide."
            )
        return text + "That is within what the model allows."


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
    Predict the counts of every row from up to 400 draws, and compare them with the observed ones.

    Both are summarised by :func:`~helpers.pearson_statistic` around what each draw expects.

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
    """
    with model:
        predicted = pm.sample_posterior_predictive(
            thin(idata, data),
            var_names=["counts", "share"],
            random_seed=random_seed,
            progressbar=False,
        )["posterior_predictive"]
    counts, share = (
        predicted[name].stack(s=("chain", "draw")).transpose("s", ...).to_numpy()
        for name in ("counts", "share")
    )
    expected = data.n[:, None] * share
    found = predictive_check(
        pearson_statistic(data.counts, expected), pearson_statistic(counts, expected)
    )
    return Predictions(counts, float(found.ratio), float(found.p))
