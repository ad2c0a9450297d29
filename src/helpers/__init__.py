"""Helpers of the book *Not on the Menu*: counts over categories that were not always available."""

from helpers.data import (
    CategoryCounts,
    count_choices,
    draw_counts,
    read_counts,
    shares_on_menu,
    simulate_counts,
)
from helpers.diagnostics import (
    ConvergenceError,
    RecoveryError,
    calibrate,
    check_convergence,
    check_recovery,
    interval,
    interval_table,
    pearson_statistic,
    profile_model,
    substitution,
)
from helpers.distributions import (
    MaskedDirichletMultinomial,
    MaskedMultinomial,
    PatternMixtureMultinomial,
    ZeroInflatedDirichletMultinomial,
    ZeroInflatedMultinomial,
)
from helpers.effects import correlated_effects
from helpers.models import (
    choose_reference,
    masked_regression,
    parameter_names,
)
from helpers.predict import (
    elasticities,
    latent_preferences,
    menu_probabilities,
    preferences_over_time,
    slope_ratio,
    what_if,
)

__all__ = [
    "CategoryCounts",
    "ConvergenceError",
    "MaskedDirichletMultinomial",
    "MaskedMultinomial",
    "PatternMixtureMultinomial",
    "RecoveryError",
    "ZeroInflatedDirichletMultinomial",
    "ZeroInflatedMultinomial",
    "calibrate",
    "check_convergence",
    "check_recovery",
    "choose_reference",
    "correlated_effects",
    "count_choices",
    "draw_counts",
    "elasticities",
    "interval",
    "interval_table",
    "latent_preferences",
    "masked_regression",
    "menu_probabilities",
    "parameter_names",
    "pearson_statistic",
    "preferences_over_time",
    "profile_model",
    "read_counts",
    "shares_on_menu",
    "simulate_counts",
    "slope_ratio",
    "substitution",
    "what_if",
]
