"""Figures of the report, which chapters draw as well."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from helpers.analysis.effects import told_effects
from helpers.analysis.labels import LABELS, few_dates, logarithmic, name_columns, plain_text
from helpers.data.counts import CategoryCounts
from helpers.diagnostics.intervals import INTERVAL, interval

__all__ = [
    "plot_clusters",
    "plot_effects",
    "plot_intervals",
    "plot_menus",
    "plot_over_time",
    "plot_predictive",
]

# Panels that can be read.
_PANELS = 24
# Rows drawn in one panel.
_ROWS = 300


def _subplots(*shape: int, **options: Any) -> tuple[Any, Any]:
    """A figure whose labels have room, whatever the style."""
    return plt.subplots(*shape, layout="constrained", **options)


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
        width = min(max(4.5, 1.6 + 0.75 * menus.shape[1]), 12)
        _, ax = _subplots(figsize=(width, height))
    on, off = sns.color_palette("colorblind")[0], "0.93"
    for (i, k), is_on in np.ndenumerate(menus):
        ax.add_patch(
            Rectangle((k - 0.45, i - 0.42), 0.9, 0.84, facecolor=on if is_on else off, lw=0)
        )
        if not is_on and menus.shape[1] <= LABELS:
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
    )
    name_columns(ax, data.categories, range(menus.shape[1]))
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
    log: bool = False,
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
    log : bool
        Whether the axis is logarithmic, as small probabilities need (:func:`wide_range`).

    Returns
    -------
    matplotlib.axes.Axes
    """
    labels = next(iter(estimates.values())).index
    if ax is None:
        _, ax = _subplots(figsize=(7.5, 0.9 + 0.5 * len(labels)))
    offsets = np.linspace(-0.2, 0.2, len(estimates)) if len(estimates) > 1 else [0.0]
    markers = "osD^v"
    at = np.arange(len(labels))
    if truth is not None:
        ends = at - 0.38, at + 0.38
        ax.vlines(truth.loc[labels], *ends, color="black", lw=1.5, label=truth_label, zorder=3)
    for i, ((name, table), offset) in enumerate(zip(estimates.items(), offsets, strict=True)):
        table = table.loc[labels]
        ax.errorbar(
            table["mean"],
            at + offset,
            xerr=[table["mean"] - table["low"], table["high"] - table["mean"]],
            fmt=markers[i % len(markers)],
            ms=6,
            mec="white",
            mew=0.8,
            lw=2,
            label=plain_text(name),
            zorder=4,
        )
    if log:
        logarithmic(ax)
    ax.set(yticks=at, yticklabels=[plain_text(label) for label in labels])
    ax.set(ylim=(len(labels) - 0.5, -0.5), xlabel=xlabel)
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    return ax


def plot_predictive(
    data: CategoryCounts,
    predicted: np.ndarray,
    ax: ArrayLike | None = None,
    *,
    prob: float = INTERVAL,
    rows: np.ndarray | None = None,
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
    rows : numpy.ndarray of int, optional
        Positions of the rows that `predicted` is of; all R if not given.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        One panel per category, of the first 24 if `ax` is not given. Cells not on the menu are left
        out; of many rows, 300 are drawn, evenly from the smallest share to the largest.
    """
    categories = data.categories
    if ax is None:
        categories = categories[:_PANELS]
        n_columns = min(4, len(categories))
        n_lines = -(-len(categories) // n_columns)
        _, ax = _subplots(
            n_lines, n_columns, figsize=(2.3 * n_columns, 2.4 * n_lines), squeeze=False
        )
    panels = np.ravel(ax)
    among = np.arange(len(data)) if rows is None else rows
    n, available = np.maximum(data.n[among], 1)[:, None], data.available[among]
    low, high = (end / n for end in interval(predicted, prob))
    observed = data.counts[among] / n
    inside, outside = sns.color_palette("colorblind")[0], sns.color_palette("colorblind")[3]
    for k, (name, panel) in enumerate(zip(categories, panels, strict=False)):
        order = np.flatnonzero(available[:, k])
        order = order[np.argsort(observed[order, k])]
        is_in = (low[order, k] <= observed[order, k]) & (observed[order, k] <= high[order, k])
        share = is_in.mean()
        shown = np.unique(np.linspace(0, len(order) - 1, min(len(order), _ROWS)).astype(int))
        order, is_in, at = order[shown], is_in[shown], np.arange(len(shown))
        panel.vlines(at, low[order, k], high[order, k], color="0.7", lw=1, zorder=2)
        for which, colour, marker in ((is_in, inside, "o"), (~is_in, outside, "x")):
            points = at[which], observed[order, k][which]
            panel.scatter(*points, s=9, color=colour, marker=marker, zorder=3)
        title = f"{plain_text(name, 26)}\n{share:.0%} inside"
        panel.set(title=title, xticks=[], ylim=(0, None))
    for panel in panels[len(categories) :]:
        panel.set_visible(False)
    np.atleast_2d(ax)[-1, 0].set_xlabel("rows, sorted")
    for line in np.atleast_2d(ax):
        line[0].set_ylabel("share")
    return panels[: len(categories)]


def plot_clusters(means: pd.DataFrame, ax: Axes | None = None, *, limit: int = 60) -> Axes:
    """
    Draw a heat map of clusters by categories, relative to the mean over clusters.

    Clusters are in the order of their main contrast: the direction in which they differ most, large
    categories counting for more (the first principal component of their doublings).

    Parameters
    ----------
    means : pandas.DataFrame
        Preferences, one line per cluster and one column per category.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if not given.
    limit : int
        Largest number of clusters drawn: of more, those at the two ends of the order. The mean is
        over all. Likewise the 40 largest categories are drawn.

    Returns
    -------
    matplotlib.axes.Axes
        On a log2 scale, cut off at 4 doublings.

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.analysis import plot_clusters
    >>> means = pd.DataFrame(
    ...     {"tea": [0.4, 0.2, 0.6], "milk": [0.6, 0.8, 0.4]}, ["west", "north", "south"]
    ... )
    >>> [label.get_text() for label in plot_clusters(means).get_yticklabels()]
    ['north', 'west', 'south']
    """
    size = means.mean()
    doublings = (means / size).apply(np.log2)
    order = _by_main_contrast(doublings, size)
    if len(order) > limit:
        order = np.r_[order[: limit // 2], order[len(order) - limit + limit // 2 :]]
    largest = np.sort(np.argsort(-size.to_numpy(), kind="stable")[:LABELS])
    doublings = doublings.iloc[order, largest]
    if ax is None:
        width = float(np.clip(3.5 + 0.6 * doublings.shape[1], 7.5, 12))
        _, ax = _subplots(figsize=(width, 1.2 + 0.19 * len(doublings)))
    bound = min(4, float(np.nanmax(np.abs(doublings.to_numpy()))) or 1)
    n_lines, n_columns = doublings.shape
    edges = np.arange(n_columns + 1), np.arange(n_lines + 1)
    cells = ax.pcolormesh(
        *edges, doublings.to_numpy(), cmap="vlag", vmin=-bound, vmax=bound, rasterized=True
    )
    ax.figure.colorbar(cells, ax=ax, label="doublings of the mean")
    ax.set(ylim=(n_lines, 0), yticks=np.arange(n_lines) + 0.5)
    ax.set_yticklabels([plain_text(name, 32) for name in doublings.index])
    name_columns(ax, doublings.columns, np.arange(n_columns) + 0.5)
    ax.tick_params(axis="y", labelsize=7.5, length=0)
    ax.grid(False)
    return ax


def _by_main_contrast(doublings: pd.DataFrame, size: pd.Series) -> np.ndarray:
    """Positions of the lines, ordered by their first principal component."""
    values = doublings.replace([np.inf, -np.inf], np.nan)
    weighted = ((values - values.mean()) * np.sqrt(size)).fillna(0).to_numpy()
    left, scale, right = np.linalg.svd(weighted, full_matrices=False)
    main = left[:, 0] * scale[0] * np.sign(right[0, np.abs(right[0]).argmax()])
    return np.argsort(main.round(12), kind="stable")


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
    size = over_time.groupby("category", sort=False)["mean"].mean()
    largest = set(size.sort_values(ascending=False).index[:_PANELS])
    categories = [name for name in size.index if name in largest]
    n_lines = -(-len(categories) // 4)
    _, axes = _subplots(n_lines, 4, figsize=(8, 0.6 + 1.9 * n_lines), squeeze=False, sharex=True)
    for ax, name in zip(axes.flat, categories, strict=False):
        lines = over_time[over_time["category"] == name]
        dates = lines["date"].to_numpy()
        ax.fill_between(dates, 100 * lines["low"], 100 * lines["high"], alpha=0.3)
        ax.plot(dates, 100 * lines["mean"], marker="o", ms=3)
        ax.set(title=plain_text(name, 24), ylim=(0, None))
        few_dates(ax, dates)
    for ax in axes.flat[len(categories) :]:
        ax.set_visible(False)
    for line in axes:
        line[0].set_ylabel("probability (%)")
    return axes.ravel()[: len(categories)]


def plot_effects(effects: pd.DataFrame, *, limit: int = 30) -> np.ndarray:
    """
    Draw by how much a standard deviation of each predictor changes the preferences.

    Parameters
    ----------
    effects : pandas.DataFrame
        What :func:`effect_table` returned.
    limit : int
        Largest number of categories drawn, those that change most.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        One panel per predictor, of the first 12, all on the same scale. Categories are ordered by
        the first predictor.

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.analysis import plot_effects
    >>> effects = pd.DataFrame({
    ...     "predictor": "heat", "step": "1 sd", "size": 5.2, "cluster": "(all)",
    ...     "category": ["tea", "milk"], "mean": [-4.1, 4.1], "low": [-5.0, 3.2],
    ...     "high": [-3.2, 5.0],
    ... })
    >>> [label.get_text() for label in plot_effects(effects)[0].get_yticklabels()]
    ['milk', 'tea']
    """
    told = told_effects(effects)
    predictors = told["told"].unique()[:12]
    most = told.groupby("category", sort=False)["mean"].agg(lambda x: x.abs().max())
    names = most.sort_values(ascending=False).index[:limit]
    first = told[told["told"] == predictors[0]].set_index("category")["mean"]
    names = first.loc[names].sort_values(ascending=False).index
    n_columns = min(3, len(predictors))
    n_lines = -(-len(predictors) // n_columns)
    width, height = 2.2 + 2.6 * n_columns, 0.6 + n_lines * (0.7 + 0.3 * len(names))
    _, axes = _subplots(
        n_lines, n_columns, figsize=(width, height), squeeze=False, sharex=True, sharey=True
    )
    for ax, predictor in zip(axes.flat, predictors, strict=False):
        lines = told[told["told"] == predictor].set_index("category")
        ax.axvline(0, color="0.5", lw=1, zorder=1)
        at = np.arange(len(names))
        lines = lines.loc[names]
        ax.hlines(at, lines["low"], lines["high"], lw=2, zorder=2)
        ax.scatter(lines["mean"], at, s=36, zorder=3, edgecolor="white", linewidth=0.8)
        size = lines["size"].iloc[0]
        by = f" + {size:,.3g}" if lines["step"].iloc[0] == "1 sd" else ""
        ax.set(title=f"{plain_text(predictor, 32)}{by}")
        ax.grid(axis="y", visible=False)
    axes[0, 0].set(yticks=at, yticklabels=[plain_text(name) for name in names])
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    for ax in axes.flat[len(predictors) :]:
        ax.set_visible(False)
    for ax in axes[-1]:
        ax.set_xlabel("change (percentage points)")
    return axes.ravel()[: len(predictors)]
