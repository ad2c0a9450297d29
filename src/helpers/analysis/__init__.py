"""A file to a report: read it, choose a model, fit it, check it, tabulate what it says."""

from helpers.analysis.analysis import Analysis, analyse
from helpers.analysis.check import Checks, Predictions, check_predictions
from helpers.analysis.choose import Choice, choose
from helpers.analysis.figures import (
    plot_clusters,
    plot_intervals,
    plot_menus,
    plot_over_time,
    plot_predictive,
)
from helpers.analysis.fit import (
    build_model,
    expected_time,
    sample,
    sampling_settings,
    smaller_steps,
    thin,
)
from helpers.analysis.options import AnalysisOptions
from helpers.analysis.read import Source, read_source
from helpers.analysis.report import Figure, Stop, html_report, stop_on_error, write_together
from helpers.analysis.sections import findings, report_sections, trust
from helpers.analysis.tables import (
    cluster_means,
    menu_tables,
    preference_tables,
    scenario_menus,
    share_table,
    widen_shares,
)

__all__ = [
    "Analysis",
    "AnalysisOptions",
    "Checks",
    "Choice",
    "Figure",
    "Predictions",
    "Source",
    "Stop",
    "analyse",
    "build_model",
    "check_predictions",
    "choose",
    "cluster_means",
    "expected_time",
    "findings",
    "html_report",
    "menu_tables",
    "plot_clusters",
    "plot_intervals",
    "plot_menus",
    "plot_over_time",
    "plot_predictive",
    "preference_tables",
    "read_source",
    "report_sections",
    "sample",
    "sampling_settings",
    "scenario_menus",
    "share_table",
    "smaller_steps",
    "stop_on_error",
    "thin",
    "trust",
    "widen_shares",
    "write_together",
]
