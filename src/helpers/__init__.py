"""Helpers of the book *Not on the Menu*: counts over categories that were not always available."""

from helpers.checks import check_convergence
from helpers.counts import CategoryCounts, read_counts
from helpers.distributions import MaskedMultinomial
from helpers.models import masked_regression
from helpers.simulate import simulate_counts
from helpers.what_if import what_if

__all__ = [
    "CategoryCounts",
    "MaskedMultinomial",
    "check_convergence",
    "masked_regression",
    "read_counts",
    "simulate_counts",
    "what_if",
]
