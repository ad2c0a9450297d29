"""Figures of the report, which chapters draw as well."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from helpers.data.counts import CategoryCounts
from helpers.diagnostics.intervals import INTERVAL, interval

__all__ = [
    "plot_clusters",
    "plot_intervals",
    "plot_menus",
    "plot_over_time",
    "plot_predictive",
]


def plot_menus(data: CategoryCounts, ax: Axes | None = None, *, limit: int = 20) -> Axes:
    """
    Draw the distinct menus: one line each, most frequent first.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if not given.
    limit : int
        Largest number of menus drawn; the last line says how many more there are.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.analysis import plot_menus
    >>> ax = plot_menus(simulate_counts(random_seed=1)[0])
    >>> ax.get_ylabel()
    'rows with this menu'
    """
    patterns = data.patterns
    menus, rows = patterns[list(data.categories)].to_numpy(), patterns["rows"].to_numpy()
    hidden = len(menus) - limit
    menus, rows = menus[:limit], rows[:limit]
    if ax is None:
        height = 1.2 + 0.34 * (len(menus) + (hidden > 0))
        _, ax = plt.subplots(figsize=(max(4.5, 1.6 + 0.75 * menus.shape[1]), height))
    on, off = sns.color_palette("colorblind")[0], "0.93"
    for (i, k), is_on in np.ndenumerate(menus):
        ax.add_patch(
            Rectangle((k - 0.45, i - 0.42), 0.9, 0.84, facecolor=on if is_on else off, lw=0)
        )
        if not is_on:
            ax.text(k, i, "–", ha="center", va="center", color="0.35")
    labels = [f"{r:,}" for r in rows]
    if hidden > 0:
        labels.append(f"{patterns['rows'][limit:].sum():,} in {hidden} more menus")
    ax.set(
        xlim=(-0.6, menus.shape[1] - 0.4),
        ylim=(len(labels) - 0.4, -0.6),
        yticks=range(len(labels)),
        yticklabels=labels,
        ylabel="rows with this menu",
        xticks=range(menus.shape[1]),
    )
    ax.set_xticklabels(data.categories, rotation=30, ha="right")
    ax.grid(False)
    sns.despine(ax=ax, left=True, bottom=True)
    return ax


def plot_intervals(
    estimates: Mapping[str, pd.DataFrame],
    truth: pd.Series | None = None,
    ax: Axes | None = None,
    *,
    truth_label: str = "truth",
    xlabel: str = "",
) -> Axes:
    """
    Draw intervals of several estimates of the same quantities side by side.

    Parameters
    ----------
    estimates : mapping of str to pandas.DataFrame
        Tables with columns ``mean``, ``low`` and ``high``, such as
        :func:`~helpers.interval_table` makes, all with the same index.
    truth : pandas.Series, optional
        True values, or others to compare with, drawn as vertical bars.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if not given.
    truth_label : str
        Label of the bars.
    xlabel : str
        Label of the horizontal axis, with the unit.

    Returns
    -------
    matplotlib.axes.Axes
    """
    labels = next(iter(estimates.values())).index
    if ax is None:
        _, ax = plt.subplots(figsize=(7.5, 0.9 + 0.5 * len(labels)))
    offsets = np.linspace(-0.2, 0.2, len(estimates)) if len(estimates) > 1 else [0.0]
    markers = "osD^v"
    at = np.arange(len(labels))
    if truth is not None:
        ax.vlines(truth.loc[labels], at - 0.4, at + 0.4, color="black", lw=1.5, label=truth_label)
    for i, ((name, table), offset) in enumerate(zip(estimates.items(), offsets, strict=True)):
        table = table.loc[labels]
        ax.errorbar(
            table["mean"],
            at + offset,
            xerr=[table["mean"] - table["low"], table["high"] - table["mean"]],
            fmt=markers[i % len(markers)],
            ms=5,
            lw=2,
            label=name,
        )
    ax.set(yticks=at, yticklabels=labels, ylim=(len(labels) - 0.5, -0.5), xlabel=xlabel)
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    return ax


def plot_predictive(
    data: CategoryCounts,
    predicted: np.ndarray,
    ax: ArrayLike | None = None,
    *,
    prob: float = INTERVAL,
) -> np.ndarray:
    """
    Draw observed shares against the intervals that the fitted model predicts for them.

    Parameters
    ----------
    data : CategoryCounts
        What was observed, R rows and K categories.
    predicted : numpy.ndarray, shape (draws, R, K)
        Posterior predictive counts.
    ax : sequence of matplotlib.axes.Axes, optional
        One per category; a new figure if not given.
    prob : float
        Probability of the intervals, in (0, 1).

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        One panel per category, cells not on the menu left out.
    """
    categories = data.categories
    if ax is None:
        n_columns = min(4, len(categories))
        n_lines = -(-len(categories) // n_columns)
        _, ax = plt.subplots(
            n_lines, n_columns, figsize=(2.3 * n_columns, 2.4 * n_lines), squeeze=False
        )
    panels = np.ravel(ax)
    n = np.maximum(data.n, 1)[:, None]
    low, high = (end / n for end in interval(predicted, prob))
    observed = data.counts / n
    inside, outside = sns.color_palette("colorblind")[0], sns.color_palette("colorblind")[3]
    for k, (name, panel) in enumerate(zip(categories, panels, strict=False)):
        rows = np.flatnonzero(data.available[:, k])
        rows = rows[np.argsort(observed[rows, k])]
        is_in = (low[rows, k] <= observed[rows, k]) & (observed[rows, k] <= high[rows, k])
        at = np.arange(len(rows))
        panel.vlines(at, low[rows, k], high[rows, k], color="0.7", lw=1)
        for which, colour, marker in ((is_in, inside, "o"), (~is_in, outside, "x")):
            panel.scatter(at[which], observed[rows, k][which], s=9, color=colour, marker=marker)
        panel.set(title=f"{name}\n{is_in.mean():.0%} inside", xticks=[], ylim=(0, None))
    for panel in panels[len(categories) :]:
        panel.set_visible(False)
    np.atleast_2d(ax)[-1, 0].set_xlabel("rows, sorted")
    for line in np.atleast_2d(ax):
        line[0].set_ylabel("share")
    return panels[: len(categories)]


def plot_clusters(means: pd.DataFrame, ax: Axes | None = None, *, limit: int = 60) -> Axes:
    """
    Draw a heat map of clusters by categories, relative to the mean over clusters.

    Parameters
    ----------
    means : pandas.DataFrame
        Preferences, one line per cluster and one column per category.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if not given.
    limit : int
        Largest number of clusters drawn, the first ones. The mean is over all.

    Returns
    -------
    matplotlib.axes.Axes
        On a log2 scale, cut off at 4 doublings.

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.analysis import plot_clusters
    >>> means = pd.DataFrame({"tea": [0.2, 0.6], "milk": [0.8, 0.4]}, ["north", "south"])
    >>> [label.get_text() for label in plot_clusters(means).get_yticklabels()]
    ['north', 'south']
    """
    doublings = (means / means.mean()).apply(np.log2).iloc[:limit]
    if ax is None:
        _, ax = plt.subplots(figsize=(7.5, 1.2 + 0.19 * len(doublings)))
    largest = min(4, float(np.abs(doublings.to_numpy()).max()))
    sns.heatmap(
        doublings,
        center=0,
        vmin=-largest,
        vmax=largest,
        cmap="vlag",
        yticklabels=True,
        ax=ax,
        cbar_kws={"label": "doublings of the mean"},
    )
    ax.set(xlabel="", ylabel="")
    ax.tick_params(axis="y", labelsize=7.5)
    ax.tick_params(axis="x", rotation=30)
    return ax


def plot_over_time(over_time: pd.DataFrame) -> np.ndarray:
    """
    Draw preferences over dates: for each category a panel with a line and a band.

    Parameters
    ----------
    over_time : pandas.DataFrame
        Columns ``date``, ``category``, ``mean``, ``low`` and ``high``, probabilities.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        One panel per category.

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.analysis import plot_over_time
    >>> over_time = pd.DataFrame(
    ...     {"date": [2024, 2025], "category": "tea", "mean": 0.5, "low": 0.4, "high": 0.6}
    ... )
    >>> [panel.get_title(loc="left") or panel.get_title() for panel in plot_over_time(over_time)]
    ['tea']
    """
    categories = over_time["category"].unique()
    n_lines = -(-len(categories) // 4)
    _, axes = plt.subplots(n_lines, 4, figsize=(8, 0.6 + 1.9 * n_lines), squeeze=False, sharex=True)
    for ax, (name, lines) in zip(
        axes.flat, over_time.groupby("category", sort=False), strict=False
    ):
        dates = lines["date"].to_numpy()
        ax.fill_between(dates, 100 * lines["low"], 100 * lines["high"], alpha=0.3)
        ax.plot(dates, 100 * lines["mean"])
        ax.set(title=name, ylim=(0, None))
        ax.tick_params(axis="x", rotation=40)
    for ax in axes.flat[len(categories) :]:
        ax.set_visible(False)
    for line in axes:
        line[0].set_ylabel("probability (%)")
    return axes.ravel()[: len(categories)]
