"""What the report of an analysis holds, section by section."""

from typing import TYPE_CHECKING, Any

import matplotlib.figure
from matplotlib.axes import Axes

from helpers.analysis.figures import (
    plot_clusters,
    plot_intervals,
    plot_menus,
    plot_over_time,
    plot_predictive,
)
from helpers.analysis.report import Figure
from helpers.analysis.tables import cluster_means, widen_shares

if TYPE_CHECKING:
    from helpers.analysis.analysis import Analysis

__all__ = ["findings", "report_sections", "trust"]

# What "realised" and "mean" say of preferences over all rows.
_MEANING = {
    "realised": (
        "What the rows of the table would have chosen had everything been on their menus "
        "(realised): each row keeps the scatter that it showed, and rows count by their totals"
    ),
    "mean": (
        "What new rows would choose if everything were on the menu (mean), clusters counting by "
        "their totals"
    ),
}


def trust(analysis: "Analysis") -> list[str]:
    """
    Whether an analysis can be trusted: what is asked of the table, and the checks.

    Parameters
    ----------
    analysis : Analysis
        The analysis.

    Returns
    -------
    list of str
        A paragraph each.
    """
    question = [analysis.choice.question] if analysis.choice.question else []
    return [*question, analysis.checks.predictions.verdict]


def findings(analysis: "Analysis") -> str:
    """
    What an analysis found, in a paragraph.

    Parameters
    ----------
    analysis : Analysis
        The analysis.

    Returns
    -------
    str
    """
    data, overall = analysis.data, analysis.tables["overall"]
    plain, latent = overall["plain share"], overall["mean"]
    gap = str((plain - latent).abs().idxmax())
    return (
        f"{analysis.choice.n_rows:,} rows, {len(data.categories)} categories, "
        f"{len(data.patterns)} menus; {1 - data.available.mean():.1%} of the cells were not "
        f"on the menu. {analysis.choice.description} {analysis.choice.evidence} Plain shares and "
        f"latent preferences ({_at(analysis)}) differ most for {gap}: {plain[gap]:.2%} "
        f"against {latent[gap]:.2%}."
    )


def _at(analysis: "Analysis") -> str:
    """Which preferences those over all rows are."""
    return str(analysis.tables["overall"]["at"].iloc[0])


def report_sections(analysis: "Analysis", versions: str = "") -> dict[str, list[Any]]:
    """
    Put the analysis into sections, which begin with whether it can be trusted.

    Parameters
    ----------
    analysis : Analysis
        The analysis.
    versions : str
        Versions of the software, one per line.

    Returns
    -------
    dict of str to list
        Heading -> text, tables and figures, as :func:`html_report` takes them.
    """
    sections: dict[str, list[Any]] = {
        "Can it be trusted?": [*trust(analysis), analysis.checks.predictions.table.round(3)],
        "Summary": [findings(analysis)],
        "The data": _data_section(analysis),
        "Menus": [
            _figure(
                plot_menus(analysis.source.data),
                "The distinct menus, most frequent first. A dash marks a category that was "
                "not on the menu.",
                "Grid of the distinct menus by category, with the number of rows.",
            )
        ],
        "The model": _model_section(analysis),
        "Does the fit look like the data?": _fit_section(analysis),
        "Latent preferences": _preference_section(analysis),
    }
    if "psi" in analysis.tables:
        sections["The menus"] = [
            "Probability that a category is on a menu, with 89 % intervals. For each row and "
            "category it is in menus.csv.",
            analysis.tables["psi"].round(3),
        ]
    of_rows = "each row keeps its own, with the scatter that it showed"
    if _at(analysis) != "realised":
        of_rows = "the choosers of what is missing spread in the usual proportions"
    sections["What if the menu were another?"] = [
        f"Expected shares in per cent ({_at(analysis)}), over all rows, weighted by their totals, "
        "under their own menus, with the full menu, with each category taken off, and under "
        "the given scenarios. Preferences keep their proportions (independence of irrelevant "
        f"alternatives): {of_rows}.",
        widen_shares(analysis.tables["shares"]).round(1),
    ]
    if versions:
        sections["What ran it"] = versions.split("\n")
    return sections


def _data_section(analysis: "Analysis") -> list[Any]:
    data = analysis.source.data
    described = data.describe().rename(columns=lambda name: name.replace("_", " "))
    read = f"{data!r}, read from {analysis.source.name}."
    return [read, *analysis.source.notes, described.round(4)]


def _model_section(analysis: "Analysis") -> list[Any]:
    convergence = analysis.checks.convergence
    smallest = min(convergence["ess_bulk"].min(), convergence["ess_tail"].min())
    return [
        analysis.choice.description,
        analysis.choice.evidence,
        f"{analysis.idata['posterior'].attrs['settings']}; no divergent transition; largest R-hat "
        f"{convergence['rhat'].max():.3f}; smallest effective sample size {smallest:,.0f}.",
        convergence.round(3),
    ]


def _fit_section(analysis: "Analysis") -> list[Any]:
    predictions = analysis.checks.predictions
    return [
        _figure(
            plot_predictive(analysis.data, predictions.counts)[0],
            "Observed shares (points; crosses where outside) and the 89 % intervals that a fit "
            "to all rows predicts for them, under their own menus.",
            "One panel per category: sorted observed shares with predicted intervals.",
        ),
    ]


def _preference_section(analysis: "Analysis") -> list[Any]:
    overall = 100 * analysis.tables["overall"].drop(columns="at")
    at, means = _at(analysis), ""
    if at == "mean" and len(analysis.data.predictors.columns):
        means = ", predictors at their means"
    ax = plot_intervals(
        {f"latent preference ({at})": overall},
        overall["plain share"],
        truth_label="plain share of the table",
        xlabel="probability (%)",
    )
    parts: list[Any] = [
        f"{_MEANING[at]}{means}; in per cent, with 89 % intervals; beside it the plain share "
        "of the table.",
        overall.round(2),
        _figure(
            ax,
            f"Latent preferences ({at}; points, 89 % intervals) and plain shares (bars).",
            "Latent preference and plain share of each category.",
        ),
    ]
    if "preferences_over_time" in analysis.tables:
        panels = plot_over_time(analysis.tables["preferences_over_time"])
        parts.append(
            _figure(
                panels[0],
                f"Latent preferences over time ({at}), over all clusters; 89 % bands.",
                "One panel per category: a line over dates with a band.",
            )
        )
    if analysis.choice.effects != "pooled":
        ax = plot_clusters(cluster_means(analysis.tables["preferences"]))
        parts.append(
            _figure(
                ax,
                "Latent preference of each cluster (mean: of a new row) relative to the mean "
                "over clusters.",
                "Heat map of clusters by categories.",
            )
        )
    return parts


def _figure(ax: Axes, caption: str, alt: str) -> Figure:
    figure = ax.figure
    assert isinstance(figure, matplotlib.figure.Figure)
    return Figure(figure, caption, alt)
