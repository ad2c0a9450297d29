"""The pilot with scatter of a design."""

import numpy as np

from helpers.effects.scatter_pilot import ScatteredExpansion, expand_scattered
from helpers.models.design import Design


def expand_design(
    design: Design, menus: np.ndarray, freedom: float | None = None
) -> ScatteredExpansion:
    """Fit rows that scatter to the design's effects and dates, over menus of shape (R, K)."""
    ones = np.ones((len(design.data), 1))
    x = np.empty((len(ones), 0)) if design.predictors is None else design.predictors.values
    slopes = design.options.effects == "slopes"
    return expand_scattered(
        design.data.counts,
        menus,
        np.zeros_like(design.cluster) if design.pooled else design.cluster,
        1 if design.pooled else design.n_clusters,
        design.reference,
        np.hstack([ones, x]) if slopes else ones,
        None if slopes else x,
        date=design.date,
        n_dates=0 if design.dates is None else len(design.dates),
        freedom=freedom,
    )
