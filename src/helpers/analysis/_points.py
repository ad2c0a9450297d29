"""Differences of probabilities, as tables in percentage points."""

import numpy as np
import pandas as pd
import xarray as xr

from helpers.diagnostics.intervals import interval_table

# What stands in place of a cluster's name.
SPREAD = "(spread)"
UNIT = "percentage points"


def in_points(change: xr.DataArray) -> pd.DataFrame:
    """Mean, interval and probability of direction of a change, one line for each element."""
    sample = ("chain", "draw")
    table = interval_table(100 * change).reset_index()
    above = (change > 0).mean(sample).to_series().to_numpy()
    below = (change < 0).mean(sample).to_series().to_numpy()
    direction = np.where(table["mean"].isna(), np.nan, np.maximum(above, below))
    return table.assign(unit=UNIT, probability_of_direction=direction)
