"""Has it converged, is the truth recovered, where does the time go?"""

from helpers.diagnostics.by_category import category_checks, verdict_text
from helpers.diagnostics.calibrate import calibrate
from helpers.diagnostics.calibration import Calibration, rank_in_draws
from helpers.diagnostics.calibration_plot import plot_calibration
from helpers.diagnostics.convergence import (
    Convergence,
    ConvergenceError,
    check_convergence,
    measure_convergence,
)
from helpers.diagnostics.gradient import compile_gradient
from helpers.diagnostics.hidden_cells import hidden_cell_table, hide_cells, predict_hidden
from helpers.diagnostics.intervals import INTERVAL, interval, interval_table
from helpers.diagnostics.leave_one_out import (
    GOOD_K,
    Comparison,
    LeaveOneOut,
    leave_groups_out,
    leave_one_out,
    leave_one_out_pit,
)
from helpers.diagnostics.operations import profile_operations
from helpers.diagnostics.predictive import PredictiveCheck, pearson_statistic, predictive_check
from helpers.diagnostics.profiling import expected_seconds, profile_model
from helpers.diagnostics.recovery import RecoveryError, check_recovery
from helpers.diagnostics.substitution import Substitution, substitution, substitution_words

__all__ = [
    "GOOD_K",
    "INTERVAL",
    "Calibration",
    "Comparison",
    "Convergence",
    "ConvergenceError",
    "LeaveOneOut",
    "PredictiveCheck",
    "RecoveryError",
    "Substitution",
    "calibrate",
    "category_checks",
    "check_convergence",
    "check_recovery",
    "compile_gradient",
    "expected_seconds",
    "hidden_cell_table",
    "hide_cells",
    "interval",
    "interval_table",
    "leave_groups_out",
    "leave_one_out",
    "leave_one_out_pit",
    "measure_convergence",
    "pearson_statistic",
    "plot_calibration",
    "predict_hidden",
    "predictive_check",
    "profile_model",
    "profile_operations",
    "rank_in_draws",
    "substitution",
    "substitution_words",
    "verdict_text",
]
