"""What a predictor changes, in percentage points of latent preference."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis._points import SPREAD, in_points
from helpers.analysis.choose import Choice
from helpers.analysis.draws import Draws

__all__ = [
    "Step",
    "effect_table",
    "effect_words",
    "predictor_steps",
    "step_tables",
    "told_effects",
    "told_steps",
]


class Step(NamedTuple):
    """A step of a predictor: its size in the predictor's units, and the tables it leads between."""

    predictor: str
    name: str
    size: float
    start: pd.DataFrame | None
    end: pd.DataFrame


def predictor_steps(
    predictors: pd.DataFrame,
    sd: np.ndarray,
    *,
    quartiles: bool = False,
    weights: np.ndarray | None = None,
) -> list[Step]:
    """
    Steps that the effects of predictors are told by.

    Each predictor is moved in all rows, the others staying as they are: by one standard deviation,
    and by one unit, or, where its values lie within less than a unit, by the largest power of ten
    within their range. A predictor with two values is moved from the lower to the higher instead
    of by a unit, and labels from the first to each of the others.

    Parameters
    ----------
    predictors : pandas.DataFrame, shape (R, P)
        The predictors: numbers in their own units, or categoricals.
    sd : numpy.ndarray, shape (P,)
        Their standard deviations; whatever it is for labels.
    quartiles : bool
        Whether numbers are moved from the lower to the upper quartile instead, as it suits
        formulas: a curve has no slope to tell, and a spline ends where the data do.
    weights : numpy.ndarray of int, shape (R,), optional
        How many rows of the original table each row stands for; quartiles are over these.

    Returns
    -------
    list of Step
        Each has a ``predictor``, a ``name``, a ``size`` in the predictor's units (missing for
        labels), and the tables of predictors at its ``start`` (None where that is as it is) and
        ``end``.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from helpers.analysis import predictor_steps
    >>> predictors = pd.DataFrame({"rate": [0.05, 0.1, 0.3], "east": [0, 1, 1]})
    >>> predictors["size"] = pd.Categorical(["town", "city", "town"])
    >>> for step in predictor_steps(predictors, np.array([0.11, 0.47, np.nan])):
    ...     print(step.predictor, step.name, step.size)
    rate 1 sd 0.11
    rate 0.1 units 0.1
    east 1 sd 0.47
    east 0 to 1 1.0
    size city to town nan
    """
    steps = []
    for (given, x), one_sd in zip(predictors.items(), sd, strict=True):
        name = str(given)

        def between(start: Any, end: Any, name: str = name, x: pd.Series = x) -> Step:
            labels = isinstance(x.dtype, pd.CategoricalDtype)
            ends = [_filled(predictors, name, value) for value in (start, end)]
            shown = f"{start} to {end}" if labels else f"{start:g} to {end:g}"
            return Step(name, shown, np.nan if labels else float(end - start), *ends)

        if isinstance(x.dtype, pd.CategoricalDtype):
            first, *others = x.cat.categories
            steps += [between(first, other) for other in others]
            continue
        values = np.unique(x)
        if quartiles:
            every = np.repeat(x, 1 if weights is None else weights)
            lower, upper = np.quantile(every, [0.25, 0.75]) if len(values) > 2 else values
            if lower == upper:
                lower, upper = values[[0, -1]]
            steps.append(between(lower, upper))
            continue
        moved = predictors.assign(**{name: x + one_sd})
        steps.append(Step(name, "1 sd", float(one_sd), None, moved))
        if len(values) == 2:
            steps.append(between(*values))
            continue
        width = float(values[-1] - values[0])
        unit = 1.0 if width >= 1 else 10.0 ** np.floor(np.log10(width))
        label = "1 unit" if unit == 1 else f"{unit:g} units"
        moved = predictors.assign(**{name: x + unit})
        steps.append(Step(name, label, float(unit), None, moved))
    return steps


def _filled(predictors: pd.DataFrame, name: str, value: Any) -> pd.DataFrame:
    """Predictors of which one has the same value in all rows."""
    values = np.full(len(predictors), value, dtype=object)
    return predictors.assign(**{name: pd.Series(values, predictors.index, predictors[name].dtype)})


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
        Columns ``predictor``, ``step``, ``size`` (in units of the predictor, missing for labels),
        ``cluster``, ``category``, ``mean``, ``low``, ``high``, ``unit``,
        ``probability_of_direction`` and ``at``. The cluster is "(all)"; where slopes vary by
        cluster, there are lines for each as well, for the steps of :func:`told_effects`, and
        "(spread)", the standard deviation over clusters.
    """
    parts, told = [], {id(step) for step in told_steps(steps)}
    for i, step in enumerate(steps):
        for cluster, change in _changes(choice, draws.rows, i, step, id(step) in told):
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
    choice: Choice, rows: xr.Dataset, i: int, step: Step, told: bool
) -> Iterator[tuple[str, xr.DataArray]]:
    """Changes by draw, of all rows, and of clusters where slopes vary between them."""

    def change(kind, group):
        start = rows[f"{kind}{group}"]
        if step.start is not None:
            start = rows[f"{kind}_if{group}"].sel(table=f"{i} start", drop=True)
        return rows[f"{kind}_if{group}"].sel(table=f"{i} end", drop=True) - start

    yield "(all)", change("latent", "")
    if choice.effects == "slopes" and told:
        of_clusters = change("latent", "_by_cluster")
        yield SPREAD, of_clusters.std("cluster")
        yield "", of_clusters


def told_steps(steps: list[Step]) -> list[Step]:
    """
    Choose the steps that a report tells: a standard deviation, where a predictor has that step.

    Parameters
    ----------
    steps : list of Step
        What :func:`predictor_steps` returned.

    Returns
    -------
    list of Step
    """
    by_sd = {step.predictor for step in steps if step.name == "1 sd"}
    return [step for step in steps if step.name == "1 sd" or step.predictor not in by_sd]


def told_effects(effects: pd.DataFrame) -> pd.DataFrame:
    """
    Choose the lines of a table of effects that a report tells.

    Parameters
    ----------
    effects : pandas.DataFrame
        The table of effects.

    Returns
    -------
    pandas.DataFrame
        Lines over all rows, for one standard deviation, or for all steps of a predictor that has
        none; with a column ``told``, what is moved and, if it is no standard deviation, by which
        step.
    """
    everywhere = effects[effects["cluster"] == "(all)"]
    is_sd = everywhere["step"] == "1 sd"
    by_sd = everywhere["predictor"].isin(everywhere.loc[is_sd, "predictor"])
    told = everywhere[is_sd | ~by_sd]
    step = told["predictor"] + ": " + told["step"]
    return told.assign(told=told["predictor"].where(told["step"] == "1 sd", step))


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
        A sentence for each predictor, or for each of its steps.

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
    for _, of_one in told_effects(effects).groupby("told", sort=False):
        largest = of_one.loc[of_one["mean"].abs().sort_values(ascending=False).index[:most]]
        parts = [
            _part(*line)
            for line in largest[["category", "mean", "low", "high"]].itertuples(index=False)
        ]
        predictor, step, size = of_one.iloc[0][["predictor", "step", "size"]]
        if step == "1 sd":
            moved = f"Per standard deviation of {predictor} ({size:,.3g})"
        else:
            moved = f"With {predictor} from {step}"
        sentences.append(f"{moved}, {'; '.join(parts)}.")
    return sentences


def _part(category: str, mean: float, low: float, high: float) -> str:
    verb = "gains" if mean > 0 else "loses"
    ends = f"{low:.1f} to {high:.1f}".replace("-", "−")
    unclear = ", so that its direction is open" if low < 0 < high else ""
    return f"{category} {verb} {abs(mean):.1f} points (89 % interval {ends}{unclear})"
