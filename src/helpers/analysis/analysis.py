"""The whole analysis: read, choose, fit, check, report."""

import inspect
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd
import pymc as pm
import xarray as xr

from helpers.analysis.check import Checks, check_predictions
from helpers.analysis.choose import Choice, choose
from helpers.analysis.fit import Fit, announce_sampling, fit_choice
from helpers.analysis.on_disk import is_on_disk
from helpers.analysis.options import AnalysisOptions, describe_options
from helpers.analysis.posterior import keep_draws, software_versions
from helpers.analysis.progress import Progress
from helpers.analysis.read import Source, read_source
from helpers.analysis.report import html_report, write_together
from helpers.analysis.sections import findings, report_sections, trust
from helpers.analysis.show import Section, show_sections
from helpers.analysis.tables import all_tables
from helpers.data.counts import CategoryCounts
from helpers.data.messages import require_known

__all__ = ["Analysis", "analyse", "conclude"]

# Tables that are for the report alone, as others hold what they say.
_REPORT_ONLY = ("overall", "psi", "checks")


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
    options : AnalysisOptions
        What was asked for.
    """

    source: Source
    choice: Choice
    model: pm.Model
    idata: xr.DataTree
    checks: Checks
    tables: Mapping[str, pd.DataFrame]
    options: AnalysisOptions = AnalysisOptions()

    @property
    def data(self) -> CategoryCounts:
        """The rows that were fitted, which are those of the table or sums of them."""
        return self.choice.data

    @property
    def notes(self) -> tuple[str, ...]:
        """What may be wrong with the table, what is asked of it, and other warnings."""
        question = (self.choice.question,) if self.choice.question else ()
        doubts = self.source.doubts
        return (*doubts, *question, *(note for note in self.source.notes if note not in doubts))

    @property
    def summary(self) -> str:
        """Whether the analysis holds, and what it says, in a paragraph."""
        return " ".join((*trust(self), findings(self)))

    @property
    def headline(self) -> str:
        """What was found, in one line."""
        verdicts, overall = self.checks.predictions.table["verdict"], self.tables["overall"]
        failing = verdicts.isin(["shifted", "more", "less"]).sum()
        checked = "No category fails the checks."
        if failing:
            checked = f"{failing} of {len(verdicts)} categories fail the checks."
        everything = self.source.data.available.all() and self.choice.availability == "known"
        gap = overall["mean"] if everything else (overall["plain share"] - overall["mean"]).abs()
        name = str(gap.idxmax())
        found = overall.loc[name]
        what = (
            "Everything was on every menu; most liked is" if everything else "Menus matter most for"
        )
        notes = f" Mind what was noted ({len(self.notes)})." if self.notes else ""
        return (
            f"{checked} {what} {name}: plain share {found['plain share']:.2%}, latent preference "
            f"{found['mean']:.2%} ({found['low']:.2%} to {found['high']:.2%}).{notes}"
        )

    @cached_property
    def sections(self) -> dict[str, Section]:
        """The sections of the report by heading, for a notebook to show."""
        return show_sections(report_sections(self))

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
        show_sections(sections)  # closes the figures
        return page

    def write(self, folder: str | Path | None = None, *, versions: str = "") -> list[Path]:
        """
        Write the draws, the tables and the report, all of them or nothing.

        Parameters
        ----------
        folder : str or pathlib.Path, optional
            Where to write; created if it does not exist. If not given, it is the ``output_dir`` of
            the options, or else "analysis/" and the name of the table.
        versions : str
            Versions of the software, one per line, for the report.

        Returns
        -------
        list of pathlib.Path
            The files: ``posterior.nc``, or ``posterior.zarr`` where the draws are on disk;
            ``report.html``, ``checks.csv``, and one for each table, such as ``preferences.csv``.

        Raises
        ------
        Unfinished
            If something fails: it says where the draws are kept.
        """
        folder = Path(folder or self.options.output_dir or self._folder)
        with keep_draws(self.idata, folder, "Writing the results"):
            page = self.report(versions or software_versions())
            already, draws = self._draws(folder)
            writers: dict[str, Any] = {
                **draws,
                "report.html": lambda path: path.write_text(page, encoding="utf-8"),
                "checks.csv": self.checks.predictions.table.to_csv,
            }
            for name, table in self.tables.items():
                if name not in _REPORT_ONLY:
                    writers[f"{name}.csv"] = partial(table.to_csv, index=False)
            return [*already, *write_together(folder, writers)]

    def _draws(self, folder: Path) -> tuple[list[Path], dict[str, Callable[[Path], Any]]]:
        """Draws that are in the folder already, or what writes them."""
        if not is_on_disk(self.idata):
            return [], {"posterior.nc": lambda path: self.idata.to_netcdf(path, engine="h5netcdf")}
        kept = Path(self.idata["posterior"].attrs["kept"])
        if kept.parent == folder.absolute():
            return [kept], {}
        return [], {kept.name: partial(shutil.copytree, kept)}

    @property
    def _folder(self) -> Path:
        """Where results go if nobody says where."""
        return Path("analysis") / self.source.name.split(".")[0]


def analyse(
    source: str | Path | pd.DataFrame | CategoryCounts | Source | Mapping | Iterable,
    **options: Any,
) -> Analysis:
    """
    Analyse a table of counts: read, choose, fit, check, and tabulate what the fit says.

    These are the steps of the notebook ``analyse_your_counts`` and of the command
    ``not-on-the-menu``, which take the same options.

    Parameters
    ----------
    source : path, pandas.DataFrame, CategoryCounts or Source
        The table: a file, or what :func:`read_source` takes besides.
    **options
        Those of :class:`AnalysisOptions` by name.

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
    NotConverged
        If the draws must not be used: a :class:`~helpers.ConvergenceError` that says what to try.
    Unfinished
        If a step after sampling failed: it says where the draws are kept.

    Warns
    -----
    UserWarning
        Before it samples, if there is something to ask about the table.

    See Also
    --------
    fit_choice : Its step before the last.
    conclude : Its last step; between the two the draws can be looked at.
    """
    asked = AnalysisOptions(**options)
    say = Progress(asked.progressbar)
    say("Reading the table")
    read = read_source(source, **asked.of_table())
    _check_scenarios(read.data, asked)
    say("Choosing a model")
    choice = choose(read.data, **asked.of_model())
    for note in (*read.notes, choice.question):
        if note:
            warnings.warn(note, stacklevel=2)  # at once, whatever comes of the fit
    if asked.posterior:
        say(f"Reading the draws in {asked.posterior}")
    else:
        say(f"Compiling and sampling. {announce_sampling(choice, asked)}")
    fit = fit_choice(choice, asked, say)
    analysis = conclude(read, fit, asked, say)
    if asked.output_dir:
        say(f"Writing to {asked.output_dir}")
        analysis.write()
    say("Done")
    return analysis


def conclude(
    source: Source,
    fit: Fit,
    options: AnalysisOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> Analysis:
    """
    Check what a fit predicts, and tabulate what it says.

    Parameters
    ----------
    source : Source
        What was read.
    fit : Fit
        Draws that may be used.
    options : AnalysisOptions, optional
        ``scenarios`` and ``random_seed``; and ``output_dir``, where the draws are kept if
        something fails.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    Analysis

    Raises
    ------
    Unfinished
        If something fails: it says where the draws are kept.
    """
    options = options or AnalysisOptions()
    choice, model, idata, seed = fit.choice, fit.model, fit.idata, options.random_seed
    with keep_draws(idata, options.output_dir, "Working out what the fit says"):
        if progress:
            progress("Predicting the rows")
        predictions = check_predictions(choice.data, model, idata, random_seed=seed)
        tables = all_tables(
            choice,
            model,
            idata,
            scenarios=options.scenarios,
            predictions=predictions,
            random_seed=seed,
            progress=progress,
        )
    checks = Checks(fit.convergence, predictions)
    return Analysis(source, choice, model, idata, checks, tables, options)


def _check_scenarios(data: CategoryCounts, options: AnalysisOptions) -> None:
    """Refuse names that are no categories now, rather than when all has been sampled."""
    for name, menu in options.scenarios.items():
        where = f" (scenario {name!r})"
        if isinstance(menu, dict) and set(menu) <= {"menu", "attributes", "predictors"}:
            require_known("predictor", menu.get("predictors", {}), data.predictors.columns, where)
            require_known("attribute", menu.get("attributes", {}), list(data.attributes), where)
            menu = menu.get("menu", {})
        if isinstance(menu, str | list | tuple | dict):
            names = [menu] if isinstance(menu, str) else menu
            names = [each for each in names if isinstance(each, str)]
            require_known("category", names, data.categories, where)


def _signature() -> inspect.Signature:
    """The signature of :func:`analyse` with each option by name."""
    source = next(iter(inspect.signature(analyse).parameters.values()))
    default = AnalysisOptions()
    named = [
        inspect.Parameter(
            option.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=getattr(default, option.name),
            annotation=option.type,
        )
        for option in fields(AnalysisOptions)
    ]
    return inspect.Signature([source, *named], return_annotation=Analysis)


analyse.__signature__ = _signature()  # type: ignore[attr-defined]
_doc = inspect.cleandoc(analyse.__doc__ or "").partition("**options")
analyse.__doc__ = f"\n{_doc[0]}{describe_options()}\n{_doc[2].partition('.\n')[2]}\n"
