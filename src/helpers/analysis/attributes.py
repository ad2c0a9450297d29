"""What attributes of the categories, such as prices, do to the choices."""

from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from helpers.analysis.draws import fewer
from helpers.diagnostics.intervals import interval_table
from helpers.predict.elasticities import elasticities

__all__ = ["attribute_table", "attribute_words", "attribute_section"]

# Draws that elasticities are taken from, by whether rows scatter.
_DRAWS, _OF_SCATTER = 400, 100


def attribute_table(
    model: pm.Model, idata: xr.DataTree, *, random_seed: int | None = None
) -> pd.DataFrame:
    """
    Tabulate slopes of attributes, and elasticities of the choices.

    Parameters
    ----------
    model : pymc.Model
        A model made by :func:`~helpers.masked_regression` of data with attributes.
    idata : xarray.DataTree
        Draws from `model`.
    random_seed : int, optional
        Seed of scatter that is drawn.

    Returns
    -------
    pandas.DataFrame
        Columns ``attribute``, ``quantity``, ``category``, ``changed``, ``mean``, ``low``, ``high``
        and ``probability_of_direction``. The quantity is "slope", of the logit per unit of the
        attribute; "sd of slopes", between clusters, where they vary; or "elasticity", of the
        choices of ``category`` with respect to the attribute of ``changed``, over all rows.
    """
    posterior = idata["posterior"].to_dataset()
    own = [str(name) for name in model.coords.get("varying_attribute", ())]
    thinned = fewer(idata, _OF_SCATTER if "scatter_sd" in model.named_vars else _DRAWS)
    parts = []
    for name in map(str, model.coords["attribute"]):
        values = {"slope": posterior["attribute_slope"].sel(attribute=name, drop=True)}
        if name in own:
            sd = posterior["attribute_sd"].sel(varying_attribute=name, drop=True)
            values["sd of slopes"] = sd
        for quantity, draws in values.items():
            line = interval_table(draws.expand_dims("x")).reset_index(drop=True)
            parts.append(line.assign(quantity=quantity, attribute=name, direction=_side(draws)))
        of_choices = elasticities(thinned, model, name, random_seed=random_seed)
        lines = interval_table(of_choices).reset_index()
        sides = _side(of_choices.transpose("chain", "draw", "category", "changed"))
        lines = lines.assign(quantity="elasticity", attribute=name, direction=sides.ravel())
        parts.append(lines.dropna(subset="mean"))
    table = pd.concat(parts, ignore_index=True)
    table = table.rename(columns={"direction": "probability_of_direction"})
    table.loc[table["quantity"] == "sd of slopes", "probability_of_direction"] = np.nan
    first = ["attribute", "quantity", "category", "changed", "mean", "low", "high"]
    return table[[*first, "probability_of_direction"]]


def _side(draws: xr.DataArray) -> np.ndarray:
    """Probability of the more probable sign."""
    above = (draws > 0).mean(("chain", "draw")).to_numpy()
    return np.maximum(above, 1 - above)


def attribute_words(table: pd.DataFrame) -> list[str]:
    """
    Say in words what attributes do.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`attribute_table` returned.

    Returns
    -------
    list of str
        A sentence for each attribute.

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.analysis import attribute_words
    >>> table = pd.DataFrame({
    ...     "attribute": "price", "quantity": ["slope", "elasticity", "elasticity"],
    ...     "category": [None, "oats", "flakes"], "changed": [None, "oats", "flakes"],
    ...     "mean": [-0.9, -1.8, -1.2], "low": [-1.0, -2.0, -1.3], "high": [-0.8, -1.6, -1.1],
    ... })
    >>> print(attribute_words(table)[0])  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
    Per unit of price ... multiplied by 0.407 (89 % interval 0.368 to 0.449). If the price of oats
    rises by 1 %, oats is chosen 1.8 % less (1.6 to 2.0); of flakes, 1.2 % less (1.1 to 1.3).
    """
    sentences = []
    for name, of_one in table.groupby("attribute", sort=False):
        slope = of_one[of_one["quantity"] == "slope"].iloc[0]
        mean, low, high = (f"{np.exp(slope[end]):,.3g}" for end in ("mean", "low", "high"))
        text = (
            f"Per unit of {name} the odds of a category against any other are multiplied by {mean} "
            f"(89 % interval {low} to {high})."
        )
        own = of_one[
            (of_one["quantity"] == "elasticity") & (of_one["category"] == of_one["changed"])
        ]
        own = own.loc[own["mean"].abs().sort_values(ascending=False).index[:3]]
        parts: list[str] = []
        for line in own.itertuples():
            start = f"If the {name} of {line.category} rises by 1 %, {line.category} is chosen "
            parts.append(f"{start if not parts else f'of {line.category}, '}{_more(line)}")
        sentences.append(f"{text} {'; '.join(parts)}." if parts else text)
    return sentences


def _more(line: Any) -> str:
    ends = sorted((abs(line.low), abs(line.high)))
    if line.low < 0 < line.high:
        open_ends = f"{line.low:.1f} to {line.high:.1f}".replace("-", "−")
        return f"{abs(line.mean):.1f} % {'more' if line.mean > 0 else 'less'} ({open_ends})"
    more = "more" if line.mean > 0 else "less"
    return f"{abs(line.mean):.1f} % {more} ({ends[0]:.1f} to {ends[1]:.1f})"


def attribute_section(table: pd.DataFrame | None, most: int = 12) -> list[Any]:
    """
    Arrange slopes and elasticities for a report.

    Parameters
    ----------
    table : pandas.DataFrame or None
        What :func:`attribute_table` returned, if there are attributes.
    most : int
        Largest number of categories whose elasticities are shown.

    Returns
    -------
    list of str and pandas.DataFrame

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.analysis import attribute_section
    >>> table = pd.DataFrame({
    ...     "attribute": "price", "quantity": ["slope"] + ["elasticity"] * 4,
    ...     "category": [None] + ["oats", "flakes"] * 2,
    ...     "changed": [None, "oats", "oats", "flakes", "flakes"],
    ...     "mean": [-0.9, -1.8, 0.4, 0.3, -1.2], "low": [-1.0, -2.0, 0.3, 0.2, -1.3],
    ...     "high": [-0.8, -1.6, 0.5, 0.4, -1.1],
    ... })
    >>> print(attribute_section(table)[-1].loc["oats", "flakes"])
    0.30 (0.20 to 0.40)
    """
    if table is None:
        return []
    slopes = table[table["quantity"] != "elasticity"]
    parts: list[Any] = [
        *attribute_words(table),
        "Slopes of the logits, per unit of the attribute, with 89 % intervals.",
        slopes.set_index(["attribute", "quantity"])[["mean", "low", "high"]],
    ]
    shown = table[table["quantity"] == "elasticity"]
    for name, of_one in shown.groupby("attribute", sort=False):
        # What has no price, such as "no purchase", is chosen and never made dearer.
        order, changed = of_one["category"].unique(), of_one["changed"].unique()
        if len(order) > most:
            continue
        texts = [
            f"{line.mean:.2f} ({line.low:.2f} to {line.high:.2f})".replace("-", "−")
            for line in of_one.itertuples()
        ]
        grid = of_one.assign(text=texts).pivot(index="category", columns="changed", values="text")
        parts += [
            f"By how many per cent more a category (line) is chosen in all rows if the {name} of "
            "a category (column) is 1 % higher, with 89 % intervals.",
            grid.loc[order, changed].rename_axis(columns=f"{name} of"),
        ]
    return parts
