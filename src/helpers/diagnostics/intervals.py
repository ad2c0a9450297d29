"""Posterior means and intervals as tables."""

import pandas as pd

__all__ = ["interval_table"]


#: Probability of the intervals shown in the book.
INTERVAL = 0.89


def interval_table(draws, *, prob=INTERVAL):
    """
    Posterior mean and equal-tailed interval of each element.

    Parameters
    ----------
    draws : xarray.DataArray
        With dims ``chain`` and ``draw`` and at most two more.
    prob : float
        Probability of the interval, in (0, 1).

    Returns
    -------
    pandas.DataFrame
        Columns ``mean``, ``low``, ``high``, one line per element.
    """
    sample = ("chain", "draw")
    table = {
        "mean": draws.mean(sample),
        "low": draws.quantile((1 - prob) / 2, sample),
        "high": draws.quantile((1 + prob) / 2, sample),
    }
    return pd.DataFrame(
        {k: v.drop_vars("quantile", errors="ignore").to_series() for k, v in table.items()}
    )
