"""What to try when draws must not be used."""

import re
from typing import Any

import pandas as pd
import xarray as xr

from helpers.analysis.choose import Choice
from helpers.analysis.options import AnalysisOptions
from helpers.diagnostics.convergence import ConvergenceError

__all__ = ["NotConverged", "not_converged", "passed_words", "smaller_steps"]

_EASIER = (
    "If that does not do: spreads of single categories are hard to sample where clusters are few, "
    "or have few choices. With `spreads` as contrast they are easier, and depend on the reference."
)


class NotConverged(ConvergenceError):
    """
    Draws that must not be used, with what to try next.

    Attributes
    ----------
    reason : str
        What is wrong with them.
    suggested : dict
        Options of another run.
    where : str
        What else may be done, and where the draws are kept.
    """

    def __init__(self, reason: str, suggested: dict[str, Any], where: str):
        self.reason, self.suggested, self.where = reason, suggested, where
        options = ", ".join(f"{name}={value}" for name, value in suggested.items())
        super().__init__(f"{reason}. Run it again with {options}. {where}")


def smaller_steps(tune: int, target_accept: float) -> dict[str, Any]:
    """
    Say what to try after settings that did not do.

    Parameters
    ----------
    tune : int
        Draws of tuning.
    target_accept : float
        Target acceptance.

    Returns
    -------
    dict
        ``tune``, twice as many, and ``target_accept``, the next nearer to 1.

    Examples
    --------
    >>> from helpers.analysis import smaller_steps
    >>> smaller_steps(1_000, 0.8)
    {'tune': 2000, 'target_accept': 0.95}
    """
    nearer = [share for share in (0.95, 0.99, 0.999) if share > target_accept]
    return {"tune": 2 * tune, "target_accept": nearer[0] if nearer else target_accept}


def not_converged(
    error: ConvergenceError,
    choice: Choice,
    idata: xr.DataTree,
    options: AnalysisOptions,
    where: str,
) -> NotConverged:
    """
    Say what to try after draws that must not be used.

    Parameters
    ----------
    error : ConvergenceError
        What is wrong with them.
    choice : Choice
        The choice that they are of.
    idata : xarray.DataTree
        The draws, with the settings of their run.
    options : AnalysisOptions
        What was asked for.
    where : str
        Where they are kept.

    Returns
    -------
    NotConverged
        Smaller steps if they diverged, more draws if they were few.
    """
    reason = _shortened(str(error).partition(". Try ")[0])
    if "_spread" in reason and choice.spreads == "category":
        where = f"{_EASIER} {where}"
    used = idata["posterior"].attrs
    tried = smaller_steps(
        int(used.get("tune", options.tune)),
        float(used.get("target_accept", options.target_accept)),
    )
    more: dict[str, Any] = {"draws": 2 * options.draws, "tune": tried["tune"]}
    if "divergent" in reason:
        more = {name: tried[name] for name in ("target_accept", "tune")}
    return NotConverged(reason, more, where)


def passed_words(convergence: pd.DataFrame) -> str:
    """
    Say how draws passed the gate.

    Parameters
    ----------
    convergence : pandas.DataFrame
        The table of :func:`~helpers.check_convergence`.

    Returns
    -------
    str

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.analysis import passed_words
    >>> passed_words(pd.DataFrame({"rhat": [1.004], "ess_bulk": [900.0], "ess_tail": [1200.0]}))
    'no divergent transition; largest R-hat 1.004; smallest effective sample size 900.'
    """
    smallest, largest = convergence[["ess_bulk", "ess_tail"]].min().min(), convergence["rhat"].max()
    words = (
        f"no divergent transition; largest R-hat {largest:.3f}; smallest effective sample size "
        f"{smallest:,.0f}."
    )
    if largest > 1.01:
        words += (
            " Of so many elements, chance leads some beyond 1.01: up to 5 % of a variable's may "
            "be, and none beyond 1.05."
        )
    return words


def _shortened(reason: str, limit: int = 4) -> str:
    """The first problems of a list of them."""
    problems = reason.split("; ")
    more = len(problems) - limit
    if more <= 0:
        return reason
    if found := re.fullmatch(r"and (\d+) more", problems[-1]):
        more += int(found[1]) - 1
    return "; ".join([*problems[:limit], f"and {more} more"])
