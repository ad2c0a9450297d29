"""What a predictor changes, in percentage points of latent preference."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis._points import SPREAD, in_points
from helpers.analysis.choose import Choice
from helpers.analysis.draws import Draws

__all__ = ["Step", "effect_table", "effect_words", "predictor_steps", "step_tables"]


class Step(NamedTuple):
    """A step of a predictor: its size in the predictor's units, and the tables it leads between."""

    predictor: str
    name: str
    size: float
    start: pd.DataFrame | None
    end: pd.DataFrame


def predictor_steps(predictors: pd.DataFrame, sd: np.ndarray) -> list[Step]:
    """
    Steps that the effects of predictors are told by.

    Each predictor is moved in all rows, the others staying as they are: by one standard deviation,
    and by one unit, or, where its values lie within less than a unit, by the largest power of ten
    within their range. A predictor with two values is moved from the lower to the higher instead
    of by a unit.

    Parameters
    ----------
    predictors : pandas.DataFrame, shape (R, P)
        The predictors in their own units.
    sd : numpy.ndarray, shape (P,)
        Their standard deviations.

    Returns
    -------
    list of Step
        Two for each predictor. Each has a ``predictor``, a ``name``, a ``size`` in the predictor's
        units, and the tables of predictors at its ``start`` (None where that is as it is) and
        ``end``.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from helpers.analysis import predictor_steps
    >>> predictors = pd.DataFrame({"rate": [0.05, 0.1, 0.3], "east": [0, 1, 1]})
    >>> for step in predictor_steps(predictors, np.array([0.11, 0.47])):
    ...     print(step.predictor, step.name, step.size)
    rate 1 sd 0.11
    rate 0.1 units 0.1
    east 1 sd 0.47
    east 0 to 1 1.0
    """
    steps = []
    for (name, x), one_sd in zip(predictors.items(), sd, strict=True):
        moved = predictors.assign(**{str(name): x + one_sd})
        steps.append(Step(str(name), "1 sd", float(one_sd), None, moved))
        values = np.unique(x)
        width = float(values[-1] - values[0])
        if len(values) == 2:
            ends = [predictors.assign(**{str(name): value}) for value in values]
            steps.append(Step(str(name), f"{values[0]:g} to {values[1]:g}", width, *ends))
            continue
        unit = 1.0 if width >= 1 else 10.0 ** np.floor(np.log10(width))
        label = "1 unit" if unit == 1 else f"{unit:g} units"
        moved = predictors.assign(**{str(name): x + unit})
        steps.append(Step(str(name), label, float(unit), None, moved))
    return steps


def step_tables(steps: list[Step]) -> dict[str, pd.DataFrame]:
    """
    Name the tables of predictors that steps lead between.

    Parameters
    ----------
    steps : list of Step
        What :func:`predictor_steps` returned.

    Returns
    -------
    dict of str to pandas.DataFrame
        The tables by the names that :func:`effect_table` looks for.
    """
    tables = {}
    for i, step in enumerate(steps):
        if step.start is not None:
            tables[f"{i} start"] = step.start
        tables[f"{i} end"] = step.end
    return tables


def effect_table(choice: Choice, draws: Draws, steps: list[Step]) -> pd.DataFrame:
    """
    Tabulate by how much a step of each predictor changes the latent preferences.

    It is the difference between the latent shares of all rows with the predictor moved and
    without, averaged over the rows by their totals, in each draw. Unlike a slope, which is of a
    logit against the reference, it is of every category, and in percentage points.

    Parameters
    ----------
    choice : Choice
        The choice, with its data.
    draws : Draws
        Draws with the tables of the steps.
    steps : list of Step
        What :func:`predictor_steps` returned.

    Returns
    -------
    pandas.DataFrame
        Columns ``predictor``, ``step``, ``size`` (in units of the predictor), ``cluster``,
        ``category``, ``mean``, ``low``, ``high``, ``unit``, ``probability_of_direction`` and
        ``at``. The cluster is "(all)"; where slopes vary by cluster, there are lines for each as
        well, for one standard deviation, and "(spread)", the standard deviation over clusters.
    """
    parts = []
    for i, step in enumerate(steps):
        for cluster, change in _changes(choice, draws.rows, i, step):
            part = in_points(change).assign(predictor=step.predictor, step=step.name)
            part["size"] = step.size
            if cluster:
                part["cluster"] = cluster
            if cluster == SPREAD:
                part["probability_of_direction"] = np.nan
            parts.append(part)
    table = pd.concat(parts, ignore_index=True).assign(at=draws.at)
    first = ["predictor", "step", "size", "cluster", "category"]
    return table[[*first, *table.columns.difference(first, sort=False)]]


def _changes(
    choice: Choice, rows: xr.Dataset, i: int, step: Step
) -> Iterator[tuple[str, xr.DataArray]]:
    """Changes by draw, of all rows, and of clusters where slopes vary between them."""

    def change(kind, group):
        start = rows[f"{kind}{group}"]
        if step.start is not None:
            start = rows[f"{kind}_if{group}"].sel(table=f"{i} start", drop=True)
        return rows[f"{kind}_if{group}"].sel(table=f"{i} end", drop=True) - start

    yield "(all)", change("latent", "")
    if choice.effects == "slopes" and step.name == "1 sd":
        of_clusters = change("latent", "_by_cluster")
        yield SPREAD, of_clusters.std("cluster")
        yield "", of_clusters


def effect_words(effects: pd.DataFrame, *, most: int = 3) -> list[str]:
    """
    Say in words what the predictors change.

    Parameters
    ----------
    effects : pandas.DataFrame
        The table of effects.
    most : int
        Categories that are named for each predictor, those with the largest changes first.

    Returns
    -------
    list of str
        A sentence for each predictor.

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.analysis import effect_words
    >>> effects = pd.DataFrame({
    ...     "predictor": "heat", "step": "1 sd", "size": 5.2, "cluster": "(all)",
    ...     "category": ["tea", "milk"], "mean": [-4.1, 4.1], "low": [-5.0, 3.2],
    ...     "high": [-3.2, 5.0], "probability_of_direction": 1.0,
    ... })
    >>> print(effect_words(effects, most=1)[0])
    Per standard deviation of heat (5.2), tea loses 4.1 points (89 % interval −5.0 to −3.2).
    """
    sentences = []
    told = effects[(effects["cluster"] == "(all)") & (effects["step"] == "1 sd")]
    for predictor, of_one in told.groupby("predictor", sort=False):
        largest = of_one.loc[of_one["mean"].abs().sort_values(ascending=False).index[:most]]
        parts = [
            _part(*line)
            for line in largest[["category", "mean", "low", "high"]].itertuples(index=False)
        ]
        sentences.append(
            f"Per standard deviation of {predictor} ({of_one['size'].iloc[0]:,.3g}), "
            f"{'; '.join(parts)}."
        )
    return sentences


def _part(category: str, mean: float, low: float, high: float) -> str:
    verb = "gains" if mean > 0 else "loses"
    ends = f"{low:.1f} to {high:.1f}".replace("-", "−")
    unclear = ", so that its direction is open" if low < 0 < high else ""
    return f"{category} {verb} {abs(mean):.1f} points (89 % interval {ends}{unclear})"
