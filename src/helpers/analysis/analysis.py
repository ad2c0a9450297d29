"""The whole analysis: read, choose, fit, check, report."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import pandas as pd
import pymc as pm
import xarray as xr
from matplotlib.axes import Axes

from helpers.analysis.check import Checks, check_predictions
from helpers.analysis.choose import Choice, choose
from helpers.analysis.figures import (
    plot_clusters,
    plot_intervals,
    plot_menus,
    plot_over_time,
    plot_predictive,
)
from helpers.analysis.fit import build_model, sample
from helpers.analysis.read import Source, read_source
from helpers.analysis.report import Figure, html_report, write_together
from helpers.analysis.tables import (
    cluster_means,
    menu_tables,
    preference_tables,
    share_table,
    widen_shares,
)
from helpers.data.counts import CategoryCounts
from helpers.diagnostics.convergence import check_convergence

__all__ = ["Analysis", "analyse"]

# Tables that become files; the others are for the report.
_FILES = ("preferences", "shares", "menus", "preferences_over_time")
_CHECKED = ["inside_50", "inside_89", "expected_over_observed", "verdict"]
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


@dataclass(frozen=True, eq=False)
class Analysis:
    """
    An analysis of a table of counts, from the file to what it says.

    Attributes
    ----------
    source : Source
        What was read.
    choice : Choice
        The regression that was chosen.
    model : pymc.Model
        The model.
    idata : xarray.DataTree
        Draws from its posterior.
    checks : Checks
        Convergence, and predictions beside the data.
    tables : mapping of str to pandas.DataFrame
        What the fit says: the tables of :func:`preference_tables` and :func:`menu_tables`, and
        "shares", that of :func:`share_table`.
    """

    source: Source
    choice: Choice
    model: pm.Model
    idata: xr.DataTree
    checks: Checks
    tables: Mapping[str, pd.DataFrame]

    @property
    def data(self) -> CategoryCounts:
        """The rows that were fitted, which are those of the table or sums of them."""
        return self.choice.data

    @property
    def notes(self) -> tuple[str, ...]:
        """What is asked of the table, and warnings from reading it."""
        question = (self.choice.question,) if self.choice.question else ()
        return (*question, *self.source.notes)

    @property
    def summary(self) -> str:
        """Whether the analysis holds, and what it says, in a paragraph."""
        return " ".join((*self._trust, self._findings))

    @property
    def _trust(self) -> list[str]:
        """Whether the analysis can be trusted: what is asked of the table, and the checks."""
        question = [self.choice.question] if self.choice.question else []
        return [*question, self.checks.predictions.verdict]

    @property
    def _findings(self) -> str:
        data, overall = self.data, self.tables["overall"]
        plain, latent = overall["plain share"], overall["mean"]
        gap = str((plain - latent).abs().idxmax())
        return (
            f"{self.choice.n_rows:,} rows, {len(data.categories)} categories, "
            f"{len(data.patterns)} menus; {1 - data.available.mean():.1%} of the cells were not "
            f"on the menu. {self.choice.description} {self.choice.evidence} Plain shares and "
            f"latent preferences ({self._at}) differ most for {gap}: {plain[gap]:.2%} "
            f"against {latent[gap]:.2%}."
        )

    @property
    def _at(self) -> str:
        """Which preferences those over all rows are."""
        return str(self.tables["overall"]["at"].iloc[0])

    def report(self, versions: str = "") -> str:
        """
        Put the analysis into one HTML page, which begins with whether it can be trusted.

        Parameters
        ----------
        versions : str
            Versions of the software, one per line.

        Returns
        -------
        str
            The page.
        """
        sections: dict[str, list[Any]] = {
            "Can it be trusted?": [*self._trust, self.checks.predictions.table.round(3)],
            "Summary": [self._findings],
            "The data": self._data_section(),
            "Menus": [
                _figure(
                    plot_menus(self.source.data),
                    "The distinct menus, most frequent first. A dash marks a category that was "
                    "not on the menu.",
                    "Grid of the distinct menus by category, with the number of rows.",
                )
            ],
            "The model": self._model_section(),
            "Does the fit look like the data?": self._fit_section(),
            "Latent preferences": self._preference_section(),
        }
        if "psi" in self.tables:
            sections["The menus"] = [
                "Probability that a category is on a menu, with 89 % intervals. For each row and "
                "category it is in menus.csv.",
                self.tables["psi"].round(3),
            ]
        of_rows = "each row keeps its own, with the scatter that it showed"
        if self._at != "realised":
            of_rows = "the choosers of what is missing spread in the usual proportions"
        sections["What if the menu were another?"] = [
            f"Expected shares in per cent ({self._at}), over all rows, weighted by their totals, "
            "under their own menus, with the full menu, with each category taken off, and under "
            "the given scenarios. Preferences keep their proportions (independence of irrelevant "
            f"alternatives): {of_rows}.",
            widen_shares(self.tables["shares"]).round(1),
        ]
        if versions:
            sections["What ran it"] = versions.split("\n")
        page = html_report(f"Counts with menus: {self.source.name}", sections)
        for part in chain.from_iterable(sections.values()):
            if isinstance(part, Figure):
                plt.close(part.figure)
        return page

    def write(self, folder: str | Path, *, versions: str = "") -> list[Path]:
        """
        Write the draws, the tables and the report, all of them or nothing.

        Parameters
        ----------
        folder : str or pathlib.Path
            Where to write; created if it does not exist.
        versions : str
            Versions of the software, one per line, for the report.

        Returns
        -------
        list of pathlib.Path
            The files: ``posterior.nc``, ``report.html``, ``checks.csv``, and ``preferences.csv``,
            ``shares.csv``, ``menus.csv`` and ``preferences_over_time.csv``, where there are such
            tables.
        """
        page = self.report(versions)
        writers: dict[str, Any] = {
            "posterior.nc": lambda path: self.idata.to_netcdf(path, engine="h5netcdf"),
            "report.html": lambda path: path.write_text(page, encoding="utf-8"),
            "checks.csv": lambda path: self.checks.predictions.table[_CHECKED].to_csv(path),
        }
        for name in _FILES:
            if name in self.tables:
                table = self.tables[name]
                writers[f"{name}.csv"] = lambda path, table=table: table.to_csv(path, index=False)
        return write_together(folder, writers)

    def _data_section(self) -> list[Any]:
        data = self.source.data
        described = data.describe().rename(columns=lambda name: name.replace("_", " "))
        return [f"{data!r}, read from {self.source.name}.", *self.source.notes, described.round(4)]

    def _model_section(self) -> list[Any]:
        convergence = self.checks.convergence
        smallest = min(convergence["ess_bulk"].min(), convergence["ess_tail"].min())
        return [
            self.choice.description,
            self.choice.evidence,
            f"{self.idata['posterior'].attrs['settings']}; no divergent transition; largest R-hat "
            f"{convergence['rhat'].max():.3f}; smallest effective sample size {smallest:,.0f}.",
            convergence.round(3),
        ]

    def _fit_section(self) -> list[Any]:
        predictions = self.checks.predictions
        return [
            _figure(
                plot_predictive(self.data, predictions.counts)[0],
                "Observed shares (points; crosses where outside) and the 89 % intervals that a fit "
                "to all rows predicts for them, under their own menus.",
                "One panel per category: sorted observed shares with predicted intervals.",
            ),
        ]

    def _preference_section(self) -> list[Any]:
        overall = 100 * self.tables["overall"].drop(columns="at")
        at, means = self._at, ""
        if at == "mean" and len(self.data.predictors.columns):
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
        if "preferences_over_time" in self.tables:
            panels = plot_over_time(self.tables["preferences_over_time"])
            parts.append(
                _figure(
                    panels[0],
                    f"Latent preferences over time ({at}), over all clusters; 89 % bands.",
                    "One panel per category: a line over dates with a band.",
                )
            )
        if self.choice.effects != "pooled":
            ax = plot_clusters(cluster_means(self.tables["preferences"]))
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


def analyse(
    path: str | Path,
    *,
    categories: str | Iterable[str] = (),
    cluster: str | None = None,
    date: str | None = None,
    predictors: str | Iterable[str] = (),
    available: Mapping[str, str] | None = None,
    availability: str = "known",
    likelihood: str = "auto",
    scatter: str = "auto",
    drift: str = "auto",
    scenarios: Mapping[str, Any] | None = None,
    draws: int = 2_000,
    random_seed: int | None = None,
    progressbar: bool = True,
) -> Analysis:
    """
    Analyse a file of counts: read, choose, fit, check, and tabulate what the fit says.

    These are the steps of the notebook ``analyse_your_counts``, without what it shows on the way.

    Parameters
    ----------
    path : str or pathlib.Path
        A CSV or Parquet file with one row per observation.
    categories : str or iterable of str
        Columns of counts, as in :func:`read_source`; so are the next four.
    cluster, date : str, optional
        Columns that say where and when a row was observed.
    predictors : str or iterable of str
        Columns that may explain the choices.
    available : mapping of str to str, optional
        Columns that say whether a category was on the menu.
    availability, likelihood, scatter, drift : str
        Choices that may be left to the data, as in :func:`choose`.
    scenarios : mapping of str to menu, optional
        Other menus to predict, as in :func:`~helpers.what_if`.
    draws : int
        Draws to keep in each of four chains.
    random_seed : int, optional
        Seed of the sampler and of the predictions.
    progressbar : bool
        Whether to show a bar while sampling.

    Returns
    -------
    Analysis
        ``analysis.write(folder)`` writes the results and a report.

    Raises
    ------
    ValueError
        For any defect of the table, and for choices that do not go together.
    FileNotFoundError
        If there is no such file.
    ConvergenceError
        If the draws must not be used.

    Warns
    -----
    UserWarning
        Before it samples, if there is something to ask about the table.
    """
    source = read_source(
        path,
        categories=categories,
        cluster=cluster,
        date=date,
        predictors=predictors,
        available=available,
    )
    choice = choose(
        source.data,
        availability=availability,
        likelihood=likelihood,
        scatter=scatter,
        drift=drift,
    )
    if choice.question:
        warnings.warn(choice.question, stacklevel=2)  # at once, whatever comes of the fit
    model = build_model(choice)
    idata = sample(model, draws=draws, random_seed=random_seed, progressbar=progressbar)
    convergence = check_convergence(idata)
    predictions = check_predictions(choice.data, model, idata, random_seed=random_seed)
    tables = preference_tables(choice, model, idata, random_seed=random_seed)
    if availability == "unknown":
        tables |= menu_tables(model, idata)
    tables["shares"] = share_table(choice.data, model, idata, scenarios, random_seed=random_seed)
    return Analysis(source, choice, model, idata, Checks(convergence, predictions), tables)
