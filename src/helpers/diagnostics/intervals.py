"""Posterior means and intervals."""

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

__all__ = ["INTERVAL", "interval", "interval_table"]


#: Probability of the intervals shown in the book.
INTERVAL = 0.89


def interval(
    draws: ArrayLike, prob: float = INTERVAL, axis: int | tuple[int, ...] = 0
) -> tuple[np.ndarray, np.ndarray]:
    """
    Equal-tailed interval of draws: as many lie below it as above.

    Unlike :func:`arviz.hdi`, which returns the narrowest interval, it keeps its ends under any
    increasing transformation of the draws.

    Parameters
    ----------
    draws : array_like
        Draws, of any shape.
    prob : float
        Probability of the interval, in (0, 1).
    axis : int or tuple of int
        Axis of the draws, or axes: (0, 1) if chains and draws come first.

    Returns
    -------
    low, high : numpy.ndarray
        Ends of the interval, with the shape of `draws` without `axis`.

    Examples
    --------
    >>> import numpy as np
    >>> from helpers import interval
    >>> low, high = interval(np.arange(101), prob=0.8)
    >>> print(low, high)
    10.0 90.0
    """
    low, high = np.quantile(np.asarray(draws), _ends(prob), axis=axis)
    return low, high


def interval_table(draws: xr.DataArray, *, prob: float = INTERVAL) -> pd.DataFrame:
    """
    Posterior mean and equal-tailed interval of each element.

    Unlike :func:`interval`, it takes labelled draws and keeps their labels.

    Parameters
    ----------
    draws : xarray.DataArray
        With dims ``chain`` and ``draw`` and at least one more.
    prob : float
        Probability of the interval, in (0, 1).

    Returns
    -------
    pandas.DataFrame
        Columns ``mean``, ``low``, ``high``, one line per element.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from helpers import interval_table
    >>> draws = np.arange(101.0).reshape(1, 101, 1)
    >>> draws = xr.DataArray(draws, dims=("chain", "draw", "city"), coords={"city": ["Rome"]})
    >>> interval_table(draws, prob=0.8)  # doctest: +NORMALIZE_WHITESPACE
          mean   low  high
    city
    Rome  50.0  10.0  90.0
    """
    sample = ("chain", "draw")
    low, high = draws.quantile(_ends(prob), sample).transpose("quantile", ...)
    table = {"mean": draws.mean(sample), "low": low, "high": high}
    return pd.DataFrame(
        {k: v.drop_vars("quantile", errors="ignore").to_series() for k, v in table.items()}
    )


def _ends(prob: float) -> tuple[float, float]:
    """Quantiles at the ends: 0.055 for 0.89, not 0.05499999999999999."""
    tail = round((1 - prob) / 2, 12)
    return tail, 1 - tail
