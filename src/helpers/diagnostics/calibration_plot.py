"""A picture of calibration."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt

from helpers.diagnostics.calibration import Calibration

__all__ = ["plot_calibration"]


def plot_calibration(
    found: Calibration, names: Sequence[str] | None = None, *, columns: int = 4
) -> Any:
    """
    Draw the distribution of each parameter's ranks less the uniform one, with its band.

    A line that stays in its band is what a right posterior gives. Intervals that are too narrow
    rise on the left and fall on the right, those that are too wide the other way round; intervals
    above the truths give a hill, those beneath them a valley.

    Parameters
    ----------
    found : Calibration
        From :func:`~helpers.calibrate`.
    names : sequence of str, optional
        Which parameters; all if not given.
    columns : int
        Panels in a line.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there is no such parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from helpers.diagnostics import Calibration, plot_calibration, rank_in_draws
    >>> rng = np.random.default_rng(1)
    >>> ranks = [rank_in_draws(rng.normal(size=1), rng.normal(size=(99, 1))) for _ in range(50)]
    >>> len(plot_calibration(Calibration(np.stack(ranks), ["mean"])).axes)
    1
    """
    names = list(found.table.index) if names is None else list(names)
    bands = [found.band(name) for name in names]
    across = min(columns, len(names))
    down = -(-len(names) // across)
    figure, axes = plt.subplots(
        down,
        across,
        figsize=(2.2 * across, max(1.9 * down, 2.8)),  # the label needs the height
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, name, band in zip(axes.flat, names, bands, strict=False):
        axis.fill_between(band.index, band["low"], band["high"], alpha=0.25, linewidth=0)
        off = found.table.loc[name, "verdict"] != "right"
        axis.plot(band.index, band["difference"], color="C1" if off else "C0", lw=2 if off else 1)
        axis.set_title(name.replace("_", " ").replace("$", r"\$"), fontsize="small")
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    figure.supxlabel("Rank of the truth among the draws, as a share", fontsize="small")
    figure.supylabel("Share of ranks beneath, less expected", fontsize="small")
    return figure
