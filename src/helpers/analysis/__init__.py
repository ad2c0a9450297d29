"""A file to a report: read it, choose a model, fit it, check it, tabulate what it says."""

from helpers.analysis.analysis import Analysis, analyse, conclude
from helpers.analysis.attributes import attribute_section, attribute_table, attribute_words
from helpers.analysis.check import Checks, Predictions, check_predictions
from helpers.analysis.choose import Choice, choose
from helpers.analysis.command import run_command
from helpers.analysis.compare import comparison_table, ignored_table
from helpers.analysis.contrasts import contrast_table, diversion_table
from helpers.analysis.draws import Draws, fewer, take_draws
from helpers.analysis.effects import (
    Step,
    effect_table,
    effect_words,
    predictor_steps,
    step_tables,
    told_effects,
    told_steps,
)
from helpers.analysis.figures import (
    plot_clusters,
    plot_effects,
    plot_intervals,
    plot_menus,
    plot_over_time,
    plot_predictive,
)
from helpers.analysis.fit import (
    Fit,
    announce_sampling,
    build_model,
    expected_time,
    fit_choice,
    sample,
    sampling_settings,
    thin,
)
from helpers.analysis.gate import NotConverged, not_converged, passed_words, smaller_steps
from helpers.analysis.labels import plain_text, wide_range
from helpers.analysis.on_disk import (
    MANY,
    SamplingPlan,
    is_on_disk,
    keep_on_disk,
    note_on_disk,
    open_draws,
    plan_sampling,
    sample_on_disk,
    stored_names,
)
from helpers.analysis.options import PARTS, AnalysisOptions, describe_options
from helpers.analysis.posterior import (
    Unfinished,
    checksum,
    keep_draws,
    label_draws,
    read_posterior,
    software_versions,
    write_unfinished,
)
from helpers.analysis.progress import Progress, shows_bars
from helpers.analysis.read import Source, read_source
from helpers.analysis.report import Figure, Stop, html_report, stop_on_error, write_together
from helpers.analysis.sections import findings, report_sections, trust
from helpers.analysis.sensitivity import prior_sensitivity, sensitivity_words
from helpers.analysis.show import Section, show_sections
from helpers.analysis.stopping import stoppable
from helpers.analysis.substitution import substitution_section
from helpers.analysis.tables import (
    all_tables,
    cluster_means,
    menu_tables,
    preference_tables,
    scenario_menus,
    share_table,
    widen_shares,
)

__all__ = [
    "MANY",
    "PARTS",
    "Analysis",
    "AnalysisOptions",
    "Checks",
    "Choice",
    "Draws",
    "Figure",
    "Fit",
    "NotConverged",
    "Predictions",
    "Progress",
    "SamplingPlan",
    "Section",
    "Source",
    "Step",
    "Stop",
    "Unfinished",
    "all_tables",
    "analyse",
    "announce_sampling",
    "attribute_section",
    "attribute_table",
    "attribute_words",
    "build_model",
    "check_predictions",
    "checksum",
    "choose",
    "cluster_means",
    "comparison_table",
    "conclude",
    "contrast_table",
    "describe_options",
    "diversion_table",
    "effect_table",
    "effect_words",
    "expected_time",
    "fewer",
    "findings",
    "fit_choice",
    "html_report",
    "ignored_table",
    "is_on_disk",
    "keep_draws",
    "keep_on_disk",
    "label_draws",
    "menu_tables",
    "not_converged",
    "note_on_disk",
    "open_draws",
    "passed_words",
    "plain_text",
    "plan_sampling",
    "plot_clusters",
    "plot_effects",
    "plot_intervals",
    "plot_menus",
    "plot_over_time",
    "plot_predictive",
    "predictor_steps",
    "preference_tables",
    "prior_sensitivity",
    "read_posterior",
    "read_source",
    "report_sections",
    "run_command",
    "sample",
    "sample_on_disk",
    "sampling_settings",
    "scenario_menus",
    "sensitivity_words",
    "share_table",
    "show_sections",
    "shows_bars",
    "smaller_steps",
    "software_versions",
    "step_tables",
    "stop_on_error",
    "stoppable",
    "stored_names",
    "substitution_section",
    "take_draws",
    "thin",
    "told_effects",
    "told_steps",
    "trust",
    "wide_range",
    "widen_shares",
    "write_together",
    "write_unfinished",
]
