"""Labels and axes that a person can read."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

__all__ = ["plain_text", "wide_range"]

# Labels along an axis that can be read.
LABELS = 40


def plain_text(label: object, width: int = 40) -> str:
    r"""
    Make a label safe for Matplotlib, which takes what stands between two ``$`` for mathematics.

    Parameters
    ----------
    label : object
        A name of a category, a cluster or a date.
    width : int
        Longest label; what is longer is cut in the middle, so that both ends can be told.

    Returns
    -------
    str

    Examples
    --------
    >>> from helpers.analysis import plain_text
    >>> print(plain_text("$0-$5"), plain_text("Castilla-La Mancha", width=12))
    \$0-\$5 Castil…ancha
    """
    text = " ".join(str(label).split())
    if len(text) > width:
        keep = width - 1
        text = f"{text[: keep - keep // 2]}…{text[len(text) - keep // 2 :]}"
    return text.replace("$", r"\$")


def wide_range(values: ArrayLike) -> bool:
    """
    Say whether probabilities need a logarithmic axis for the small ones to be seen.

    Parameters
    ----------
    values : array_like
        Probabilities, or per cent.

    Returns
    -------
    bool
        Whether the largest is more than 40 times the smallest, all of them being positive.

    Examples
    --------
    >>> from helpers.analysis import wide_range
    >>> wide_range([0.2, 0.8]), wide_range([0.001, 0.999])
    (False, True)
    """
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() > 40 * values.min())


def few_dates(ax: Axes, dates: np.ndarray) -> None:
    """As many dates along the axis as a small panel has room for."""
    if np.issubdtype(dates.dtype, np.datetime64):
        locator = AutoDateLocator(minticks=2, maxticks=4)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    elif np.issubdtype(dates.dtype, np.number):
        whole = bool((dates == np.round(dates)).all())
        ax.xaxis.set_major_locator(MaxNLocator(3, integer=whole, min_n_ticks=2))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        shown = np.unique(np.linspace(0, len(dates) - 1, min(len(dates), 3)).astype(int))
        ax.set_xticks(shown, [plain_text(dates[i], 14) for i in shown], rotation=90)


def logarithmic(ax: Axes) -> None:
    """A logarithmic axis with plain numbers."""
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def name_columns(ax: Axes, names: Sequence[str] | pd.Index, at: ArrayLike) -> None:
    """Names below the columns of a grid, none if there are too many to read."""
    ax.set_xticks(at if len(names) <= LABELS else [])
    if len(names) <= LABELS:
        labels = [plain_text(name, 24) for name in names]
        ax.set_xticklabels(labels, rotation=30, ha="right", rotation_mode="anchor")
    else:
        ax.set_xlabel(f"{len(names):,} categories")
