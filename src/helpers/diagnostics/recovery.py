"""Was the truth recovered?"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy import stats

from helpers.diagnostics.intervals import INTERVAL, interval

__all__ = ["RecoveryError", "check_recovery"]


class RecoveryError(AssertionError):
    """Raised when a fit to simulated data misses the truth."""


def check_recovery(
    idata: xr.DataTree,
    truth: xr.Dataset | Mapping[str, ArrayLike],
    *,
    prob: float = INTERVAL,
    max_z: float = 5.0,
    min_p: float = 1e-4,
) -> pd.DataFrame:
    """
    Check that the posterior of simulated data contains the truth, and raise if not.

    Two things must be true of each variable: no true value lies further than `max_z` posterior
    standard deviations from the posterior mean, and the number of true values inside the
    `prob` intervals is not improbably small for intervals that contain their truth with that
    probability.

    Parameters
    ----------
    idata : xarray.DataTree
        Draws, with a group ``posterior``.
    truth : xarray.Dataset or mapping of str to array_like
        True values by variable, with the shapes or dims of the posterior's variables.
    prob : float
        Probability of the equal-tailed intervals, in (0, 1).
    max_z : float
        Largest distance allowed, in posterior standard deviations.
    min_p : float
        Smallest binomial probability allowed for so few intervals, or fewer, to contain their
        truth.

    Returns
    -------
    pandas.DataFrame
        One line per variable: elements, share of intervals that contain the truth (``coverage``),
        mean error and root mean squared error of the posterior mean, largest distance in
        posterior standard deviations.

    Raises
    ------
    RecoveryError
        If the truth is missed, naming the variables.
    ValueError
        If the shape of a truth is not that of its draws.

    Examples
    --------
    >>> import arviz as az
    >>> import numpy as np
    >>> from helpers import check_recovery
    >>> draws = np.random.default_rng(1).normal(0.3, 1, size=(4, 1000))
    >>> table = check_recovery(az.from_dict({"posterior": {"x": draws}}), {"x": 0.0})
    >>> float(table.loc["x", "coverage"])
    1.0
    """
    posterior = idata["posterior"]
    lines, problems = [], []
    for name, true in truth.items():
        draws = posterior[str(name)]
        dims = [str(d) for d in draws.dims if d not in ("chain", "draw")]
        if isinstance(true, xr.DataArray):
            true = true.sel({d: draws[d] for d in dims}).transpose(*dims)
        x = draws.transpose("chain", "draw", *dims).to_numpy()
        x = x.reshape(-1, *x.shape[2:])
        true = np.asarray(true, dtype=float)
        if true.shape not in ((), x.shape[1:]):
            raise ValueError(
                f"The truth of {name!r} has shape {true.shape}, and its draws have {x.shape[1:]}: "
                "give one true value per element."
            )
        true = np.broadcast_to(true, x.shape[1:])
        low, high = interval(x, prob)
        inside = (low <= true) & (true <= high)
        error = x.mean(axis=0) - true
        sd = x.std(axis=0)
        # An element that is the same in all draws (a share of 0 off the menu) is right or wrong.
        z = np.divide(error, sd, out=np.where(error == 0, 0.0, np.inf), where=sd > 0)
        largest = float(np.abs(z).max())
        p = stats.binom.cdf(inside.sum(), inside.size, prob)
        lines.append(
            {
                "variable": name,
                "elements": inside.size,
                "coverage": float(inside.mean()),
                "mean_error": float(error.mean()),
                "rmse": float(np.sqrt((error**2).mean())),
                "largest_z": largest,
            }
        )
        if not largest <= max_z:
            problems.append(f"{name} is up to {largest:.1f} standard deviations off")
        if p < min_p:
            problems.append(
                f"{inside.sum()} of {inside.size} intervals of {name} contain the truth, "
                f"where {prob:.0%} should"
            )
    if problems:
        raise RecoveryError(f"The truth is missed: {'; '.join(problems)}.")
    return pd.DataFrame(lines).set_index("variable")
