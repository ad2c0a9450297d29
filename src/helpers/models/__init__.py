"""Data and a few choices to a PyMC model."""

from helpers.models.design import Design, Standardised, choose_reference, fixed_within_clusters
from helpers.models.likelihood import choose_likelihood
from helpers.models.names import parameter_names
from helpers.models.options import CHOICES, RULES, Options, Rule
from helpers.models.priors import DEFAULT_PRIORS, used_priors
from helpers.models.regression import masked_regression

__all__ = [
    "CHOICES",
    "DEFAULT_PRIORS",
    "RULES",
    "Design",
    "Options",
    "Rule",
    "Standardised",
    "choose_likelihood",
    "choose_reference",
    "fixed_within_clusters",
    "masked_regression",
    "parameter_names",
    "used_priors",
]
