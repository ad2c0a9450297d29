"""A file to a report: choose a model, fit it, check it, say what it says."""

from helpers.analysis.figures import plot_intervals, plot_menus, plot_predictive
from helpers.analysis.report import Figure, Stop, html_report, write_together

__all__ = [
    "Figure",
    "Stop",
    "html_report",
    "plot_intervals",
    "plot_menus",
    "plot_predictive",
    "write_together",
]
