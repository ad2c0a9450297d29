"""What the report of an analysis holds, section by section."""

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import matplotlib.figure
import pandas as pd
from matplotlib.axes import Axes

from helpers.analysis.attributes import attribute_section
from helpers.analysis.effects import effect_words
from helpers.analysis.figures import (
    plot_clusters,
    plot_effects,
    plot_intervals,
    plot_menus,
    plot_over_time,
    plot_predictive,
)
from helpers.analysis.gate import passed_words
from helpers.analysis.labels import LABELS, wide_range
from helpers.analysis.report import Figure
from helpers.analysis.sensitivity import sensitivity_words
from helpers.analysis.substitution import substitution_section
from helpers.analysis.tables import cluster_means, widen_shares

if TYPE_CHECKING:
    from helpers.analysis.analysis import Analysis

__all__ = ["findings", "report_sections", "trust"]

# Lines of a table that a report shows; the rest is in the files.
_LINES = 60
# Removed categories that fit into one grid.
_GRID = 12

# What "realised" and "mean" say of preferences over all rows.
_MEANING = {
    "realised": (
        "What the rows of the table would have chosen had everything been on their menus "
        "(realised): each row keeps the scatter that it showed, and rows count by their totals"
    ),
    "mean": (
        "What the rows of the table would choose if everything were on their menus (mean); rows "
        "count by their totals"
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
    return [*analysis.source.doubts, *question, analysis.checks.predictions.verdict]


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
    Put the analysis into sections: what was asked, whether to believe it, what it says, how it ran.

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
    sections = {
        "What was asked": _asked(analysis),
        "Can it be trusted?": _believed(analysis),
        "Shares and preferences": _compared(analysis),
        "What the predictors change": _effects(analysis),
        "What the attributes change": attribute_section(analysis.tables.get("attributes"), _GRID),
        "Differences": _differences(analysis),
        "Where the choices would go": _other_menus(analysis),
        "Is substitution proportional?": substitution_section(analysis.tables, _LINES),
        "The menus": _unknown_menus(analysis),
        "What ignoring the menus would have said": _ignored(analysis),
        "How much hangs on the priors": _priors(analysis),
        "How it was run": _run(analysis, versions),
    }
    return {heading: parts for heading, parts in sections.items() if parts}


def _asked(analysis: "Analysis") -> list[Any]:
    data = analysis.source.data
    said = {*analysis.source.doubts, analysis.choice.question}
    described = data.describe().rename(columns=lambda name: name.replace("_", " "))
    return [
        f"{data!r}, read from {analysis.source.name}.",
        "What is asked: how often each category would be chosen if everything were on the menu, "
        "and what moves that.",
        *(note for note in analysis.source.notes if note not in said),
        _cut(described.round(4)),
        _figure(
            plot_menus(data),
            "The distinct menus, most frequent first. A pale cell marks a category that was not on "
            "the menu.",
            "Grid of the distinct menus by category, with the number of rows.",
        ),
    ]


def _believed(analysis: "Analysis") -> list[Any]:
    predictions = analysis.checks.predictions
    return [
        *trust(analysis),
        _cut(predictions.table.round(3)),
        _figure(
            plot_predictive(analysis.data, predictions.counts, rows=predictions.rows)[0],
            "Observed shares (points; crosses where outside) and the 89 % intervals that a fit "
            "to all rows predicts for them, under their own menus.",
            "One panel per category: sorted observed shares with predicted intervals.",
        ),
    ]


def _compared(analysis: "Analysis") -> list[Any]:
    overall, tables, at = analysis.tables["overall"], analysis.tables, _at(analysis)
    largest = overall.loc[overall["mean"].sort_values(ascending=False).index[:LABELS]]
    largest = 100 * largest.drop(columns="at")
    values = largest[["mean", "low", "plain share"]].to_numpy()
    estimates = {f"latent preference ({at})": largest}
    parts: list[Any] = [
        findings(analysis),
        f"{_MEANING[at]}; in per cent, with 89 % intervals. Beside it the plain share of all "
        "choices, the share where the category was on the menu, and the share that the model "
        "expects under the menus as they were. The last should be close to the plain share: "
        "what differs between it and the latent preference is due to menus.",
    ]
    if "comparison" in tables:
        shown = tables["comparison"]
        everywhere = shown[shown["cluster"] == "(all)"].set_index("category")
        expected = 100 * everywhere[["expected", "expected_low", "expected_high"]]
        expected.columns = pd.Index(["mean", "low", "high"])
        estimates = {"expected under own menus": expected.loc[largest.index]} | estimates
        parts.append(_cut(_readable(everywhere)))
    ax = plot_intervals(
        estimates,
        largest["plain share"],
        truth_label="plain share of the table",
        xlabel="probability (%)",
        log=wide_range(values),
    )
    parts.append(
        _figure(
            ax,
            f"Latent preferences ({at}) and expected shares (points, 89 % intervals), and plain "
            "shares (bars).",
            "Latent preference, expected share and plain share of each category.",
        )
    )
    if "comparison" in tables:
        by_cluster = shown[shown["cluster"] != "(all)"].set_index(["cluster", "category"])
        if 0 < len(by_cluster) <= _LINES:
            parts.append(_readable(by_cluster))
        elif len(by_cluster):
            parts.append("The same for each cluster is in comparison.csv.")
    if "preferences_over_time" in tables:
        panels = plot_over_time(tables["preferences_over_time"])
        caption = f"Latent preferences over time ({at}), over all clusters; 89 % bands."
        alt = "One panel per category: a line over dates with a band."
        parts.append(_figure(panels[0], caption, alt))
    if analysis.choice.effects != "pooled":
        ax = plot_clusters(cluster_means(tables["preferences"]))
        parts.append(
            _figure(
                ax,
                "Latent preference of each cluster (mean: of a new row) relative to the mean over "
                "clusters, in the order of their main contrast. Of many clusters, those at both "
                "ends.",
                "Heat map of clusters by categories.",
            )
        )
    return parts


def _effects(analysis: "Analysis") -> list[Any]:
    if "effects" not in analysis.tables:
        return []
    effects = analysis.tables["effects"]
    everywhere = effects[effects["cluster"] == "(all)"]
    lines = everywhere.assign(change=_with_interval(everywhere))
    wide = lines.pivot(index="category", columns=["predictor", "step"], values="change")
    wide = wide.loc[lines["category"].unique()]
    wide.columns = wide.columns.map(", ".join)
    parts: list[Any] = [
        *effect_words(effects),
        "By how many percentage points the latent preference changes, with 89 % intervals, when "
        "a predictor is moved in all rows and the others stay as they are, averaged over the "
        "rows by their totals. The changes of all categories add up to 0.",
        _cut(wide),
        _figure(
            plot_effects(effects)[0],
            "Change of the latent preferences for the step of each predictor that is named above "
            "it (points, 89 % intervals).",
            "One panel per predictor: change of each category with its interval.",
        ),
    ]
    spread = effects[effects["cluster"] == "(spread)"]
    if len(spread):
        grid = spread.assign(spread=_with_interval(spread))
        grid = grid.pivot(index="category", columns=["predictor", "step"], values="spread")
        grid.columns = grid.columns.map(", ".join)
        parts += [
            "Slopes vary between clusters: the standard deviation over clusters of the change, in "
            "points. Each cluster's change is in effects.csv.",
            _cut(grid.loc[spread["category"].unique()].rename_axis(columns=None)),
        ]
    return parts


def _differences(analysis: "Analysis") -> list[Any]:
    contrasts = analysis.tables.get("contrasts")
    if contrasts is None:
        return []
    parts: list[Any] = [
        "Differences of preferences in percentage points, with 89 % intervals and the probability "
        "that the difference has the sign of its mean. All are in contrasts.csv."
    ]
    for between in ("clusters", "dates", "scenarios"):
        lines = contrasts[contrasts["between"] == between]
        if between == "clusters" and lines.empty and analysis.data.cluster is not None:
            parts.append("Clusters are pooled, so that their preferences do not differ.")
        if lines.empty:
            continue
        clear = lines[lines["low"] * lines["high"] > 0]
        largest = clear.loc[clear["mean"].abs().sort_values(ascending=False).index[:12]]
        parts.append(
            f"Between {between} {len(clear):,} of {len(lines):,} differences are clear of 0"
            + (", the largest of them:" if len(largest) else ".")
        )
        if len(largest):
            shown = largest[["one", "other", "category"]].assign(
                difference=_with_interval(largest),
                probability=largest["probability_of_direction"].round(3),
            )
            parts.append(shown.reset_index(drop=True).set_index("one"))
    return parts


def _other_menus(analysis: "Analysis") -> list[Any]:
    tables, at = analysis.tables, _at(analysis)
    of_rows = "each row keeps its own, with the scatter that it showed"
    if at != "realised":
        of_rows = "the choosers of what is missing spread in the usual proportions"
    shares = widen_shares(tables["shares"])
    if len(shares) > 2 * _GRID:
        shares = shares[~shares.index.str.startswith("without ")]
    parts: list[Any] = [
        f"Expected shares in per cent ({at}), over all rows, weighted by their totals, "
        "under their own menus, with the full menu, with each category taken off, and under "
        "the given scenarios. Preferences keep their proportions (independence of irrelevant "
        f"alternatives): {of_rows}.",
        _cut(shares.round(1)) if shares.shape[1] <= LABELS else "They are in shares.csv.",
    ]
    if "diversion" in tables and len(tables["diversion"]):
        diversion = tables["diversion"]
        parts.append(
            "Where the choices of a category would go if it were taken off all menus, in per cent "
            "of them. Intervals are in diversion.csv."
        )
        names = diversion["removed"].unique()
        if len(names) <= _GRID:
            grid = 100 * diversion.pivot(index="removed", columns="category", values="mean")
            parts.append(grid.loc[names, names].round(1).rename_axis(columns=None))
        else:
            biggest = analysis.tables["overall"]["mean"].sort_values(ascending=False).index
            of_big = diversion[diversion["removed"].isin(biggest[:_GRID])]
            most = of_big.sort_values("mean", ascending=False).groupby("removed").head(3)
            most = most.sort_values(["removed", "mean"], ascending=[True, False])
            shown = most.assign(part=_with_interval(100 * most[["mean", "low", "high"]]))
            parts.append(shown.set_index("removed")[["category", "part"]])
    return parts


def _unknown_menus(analysis: "Analysis") -> list[Any]:
    if "psi" not in analysis.tables:
        return []
    return [
        "Probability that a category is on a menu, with 89 % intervals. For each row and "
        "category it is in menus.csv.",
        _cut(analysis.tables["psi"].round(3)),
    ]


def _ignored(analysis: "Analysis") -> list[Any]:
    if "ignored" not in analysis.tables:
        return []
    if analysis.choice.availability == "ignored":
        return ["The menus were ignored, as was asked: this is what all of the above says."]
    table, data = analysis.tables["ignored"], analysis.data
    if analysis.choice.availability == "known" and data.available.all():
        return ["Everything was on every menu, so that ignoring the menus changes nothing."]
    level = table[table["quantity"] == "preference"].set_index("category")
    percent = 100 * level[["mean", "low", "high", "menus_ignored"]]
    parts: list[Any] = [
        "A multinomial that takes everything for available gives back the plain shares: they are "
        "what it would call preferences (per cent). It was not sampled, as this is known.",
        _cut(
            pd.DataFrame(
                {
                    "with the menus (this fit)": _with_interval(percent, 2),
                    "menus ignored": percent["menus_ignored"].round(2),
                }
            )
        ),
    ]
    effects = table[table["quantity"] != "preference"].set_index(["quantity", "category"])
    if len(effects):
        parts += [
            "Effects of predictors in percentage points. The last two columns are quick fits of a "
            "multinomial regression to all rows, without scatter, drift or effects of clusters "
            "beyond each cluster's mean of the predictor: compare them with each other.",
            _cut(
                pd.DataFrame(
                    {
                        "with the menus (this fit)": _with_interval(effects),
                        "with the menus (quick fit)": effects["quick_with_menus"].round(1),
                        "menus ignored (quick fit)": effects["menus_ignored"].round(1),
                    }
                )
            ),
        ]
    return parts


def _priors(analysis: "Analysis") -> list[Any]:
    if "sensitivity" not in analysis.tables:
        return []
    table = analysis.tables["sensitivity"]
    return [
        sensitivity_words(table),
        "How much the preferences over all rows change if the prior or the likelihood is made a "
        "little stronger or weaker (power-scaling). 0.05 and more counts if it exceeds what "
        "chance makes of as many draws.",
        _cut(table.set_index("category").rename(columns=lambda n: n.replace("_", " ")).round(3)),
    ]


def _run(analysis: "Analysis", versions: str) -> list[Any]:
    convergence = analysis.checks.convergence
    options = getattr(analysis, "options", None)
    asked = []
    if is_dataclass(options):
        pairs = ((f.name, getattr(options, f.name)) for f in fields(options))
        given = [f"{name} = {value}" for name, value in pairs if value or name == "random_seed"]
        asked = [f"Options: {'; '.join(given)}."]
    return [
        analysis.choice.description,
        analysis.choice.evidence,
        f"{analysis.idata['posterior'].attrs['settings']}; {passed_words(convergence)}",
        _cut(convergence.round(3)),
        *asked,
        *(versions.split("\n") if versions else []),
    ]


def _readable(comparison: pd.DataFrame) -> pd.DataFrame:
    """The shares of a comparison in per cent, with their intervals."""
    percent = 100 * comparison.drop(columns=["at", "rows_on_menu"])

    def of(kind):
        ends = percent[[kind, f"{kind}_low", f"{kind}_high"]]
        return _with_interval(ends.set_axis(["mean", "low", "high"], axis=1), 2)

    return pd.DataFrame(
        {
            "rows on menu": comparison["rows_on_menu"],
            "plain share": percent["plain_share"].round(2),
            "share where on the menu": percent["share_on_menu"].round(2),
            "expected under own menus": of("expected"),
            "latent": of("latent"),
        }
    )


def _with_interval(table: pd.DataFrame, digits: int = 1) -> list[str]:
    """Mean and interval of each line as text; a dash if missing."""
    values = table[["mean", "low", "high"]].itertuples(index=False)
    return [
        "–"
        if pd.isna(mean)
        else f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})".replace("-", "−")
        for mean, low, high in values
    ]


def _cut(table: pd.DataFrame) -> pd.DataFrame:
    """The first lines of a long table, and how many more there are."""
    if len(table) <= _LINES:
        return table
    more = f"and {len(table) - _LINES:,} more lines, which are in the files"
    first = table.iloc[:_LINES].rename_axis(columns=more)
    first.index.names = [None] * first.index.nlevels
    return first


def _figure(ax: Axes, caption: str, alt: str) -> Figure:
    figure = ax.figure
    assert isinstance(figure, matplotlib.figure.Figure)
    return Figure(figure, caption, alt)
