"""Has it converged, is the truth recovered, where does the time go?"""

from helpers.diagnostics.convergence import ConvergenceError, check_convergence
from helpers.diagnostics.gradient import compile_gradient
from helpers.diagnostics.intervals import INTERVAL, interval, interval_table
from helpers.diagnostics.operations import profile_operations
from helpers.diagnostics.predictive import PredictiveCheck, pearson_statistic, predictive_check
from helpers.diagnostics.profiling import expected_seconds, profile_model
from helpers.diagnostics.recovery import RecoveryError, check_recovery

__all__ = [
    "INTERVAL",
    "ConvergenceError",
    "PredictiveCheck",
    "RecoveryError",
    "check_convergence",
    "check_recovery",
    "compile_gradient",
    "expected_seconds",
    "interval",
    "interval_table",
    "pearson_statistic",
    "predictive_check",
    "profile_model",
    "profile_operations",
]
