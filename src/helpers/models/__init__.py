"""Data and a few choices to a PyMC model."""

from helpers.models.attributes import StandardisedAttributes
from helpers.models.design import (
    Design,
    choose_reference,
    even_menus,
    fixed_within_clusters,
)
from helpers.models.impossible_zeros import ask_about_zeros, impossible_zeros, sure_reference
from helpers.models.likelihood import choose_likelihood, choose_scatter, slopes_are_alike
from helpers.models.many_tables import AnotherProgramError, ManyTables
from helpers.models.names import parameter_names
from helpers.models.nests import nest_of_categories
from helpers.models.options import CHOICES, RULES, Options, Rule
from helpers.models.predictors import (
    Standardised,
    remember_terms,
    terms_of,
    with_columns,
)
from helpers.models.priors import BY_CONTRAST, DEFAULT_PRIORS, Priors, used_priors
from helpers.models.regression import masked_regression

__all__ = [
    "AnotherProgramError",
    "BY_CONTRAST",
    "CHOICES",
    "DEFAULT_PRIORS",
    "RULES",
    "Design",
    "ManyTables",
    "Options",
    "Priors",
    "Rule",
    "Standardised",
    "StandardisedAttributes",
    "ask_about_zeros",
    "choose_likelihood",
    "choose_reference",
    "choose_scatter",
    "even_menus",
    "fixed_within_clusters",
    "impossible_zeros",
    "masked_regression",
    "nest_of_categories",
    "parameter_names",
    "remember_terms",
    "slopes_are_alike",
    "sure_reference",
    "terms_of",
    "used_priors",
    "with_columns",
]
