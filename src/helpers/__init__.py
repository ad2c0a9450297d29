"""Helpers of the book *Not on the Menu*: counts over categories that were not always available."""

from helpers.checks import check_convergence
from helpers.counts import CategoryCounts, read_counts
from helpers.distributions import MaskedMultinomial
from helpers.effects import correlated_effects
from helpers.menus import menu_probabilities
from helpers.models import masked_regression
from helpers.overdispersed import MaskedDirichletMultinomial
from helpers.profiling import profile_model
from helpers.simulate import simulate_counts
from helpers.unknown_menus import PatternMixtureMultinomial, ZeroInflatedMultinomial
from helpers.what_if import what_if

__all__ = [
    "CategoryCounts",
    "MaskedDirichletMultinomial",
    "MaskedMultinomial",
    "PatternMixtureMultinomial",
    "ZeroInflatedMultinomial",
    "check_convergence",
    "correlated_effects",
    "masked_regression",
    "menu_probabilities",
    "profile_model",
    "read_counts",
    "simulate_counts",
    "what_if",
]
