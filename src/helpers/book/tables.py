"""Tables as the chapters print them."""

import numpy as np
import pandas as pd

__all__ = ["readable"]

# What stands at the top of a column, where it is not the name with spaces for underscores.
_HEADS = {
    "rhat": "R-hat",
    "ess_bulk": "ESS, bulk",
    "ess_tail": "ESS, tail",
    "rmse": "RMSE",
    "inside_50": "inside 50 %",
    "inside_89": "inside 89 %",
    "expected_over_observed": "expected / observed",
}


def readable(table: pd.DataFrame, decimals: int = 2) -> pd.DataFrame:
    """
    A table for a reader's eyes: heads in words, one number of decimals in a column.

    Parameters
    ----------
    table : pandas.DataFrame
        Any table with one level of column names.
    decimals : int
        Decimals of fractions. Whole numbers and effective sample sizes have none, an R-hat has
        three, and thousands have a comma.

    Returns
    -------
    pandas.DataFrame
        The same rows as text, not for further arithmetic.

    Examples
    --------
    >>> import pandas as pd
    >>> readable(pd.DataFrame({"rhat": [1.0012], "ess_bulk": [3871.4], "mean_error": [-0.123]}))
       R-hat ESS, bulk mean error
    0  1.001     3,871      −0.12
    """

    def text(column: pd.Series) -> pd.Series:
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            return column
        name, values = str(column.name), column.to_numpy(dtype=float)
        found = values[np.isfinite(values)]
        whole = name.startswith("ess") or (found == np.round(found)).all()
        places = 3 if name == "rhat" else 0 if whole else decimals
        return column.map(lambda value: _number(value, places))

    shown = table.apply(text)
    return shown.rename(columns=lambda name: _HEADS.get(name, str(name).replace("_", " ")))


def _number(value: float, places: int) -> str:
    """A number with a minus sign and commas, a dash where there is none."""
    if pd.isna(value):
        return "–"
    shown = f"{value:,.{places}f}"
    # A rounded zero has no sign.
    return shown.replace("-", "−" if float(shown.replace(",", "")) else "")
