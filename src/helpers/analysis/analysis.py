"""The whole analysis: read, choose, fit, check, report."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pymc as pm
import xarray as xr

from helpers.analysis.check import Checks, check_predictions
from helpers.analysis.choose import Choice, choose
from helpers.analysis.fit import build_model, sample
from helpers.analysis.read import Source, read_source
from helpers.analysis.report import Figure, html_report, write_together
from helpers.analysis.sections import findings, report_sections, trust
from helpers.analysis.tables import menu_tables, preference_tables, share_table
from helpers.data.counts import CategoryCounts
from helpers.diagnostics.convergence import check_convergence

__all__ = ["Analysis", "analyse"]

# Tables that become files; the others are for the report.
_FILES = ("preferences", "shares", "menus", "preferences_over_time")
_CHECKED = ["inside_50", "inside_89", "expected_over_observed", "verdict"]


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
        return " ".join((*trust(self), findings(self)))

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
        sections = report_sections(self, versions)
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
