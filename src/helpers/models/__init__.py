"""Data and a few choices to a PyMC model."""

from helpers.models.choices import choose_likelihood, choose_reference, fixed_within_clusters
from helpers.models.preferences import latent_preferences, parameter_names, preferences_over_time
from helpers.models.regression import masked_regression

__all__ = [
    "choose_likelihood",
    "choose_reference",
    "fixed_within_clusters",
    "latent_preferences",
    "masked_regression",
    "parameter_names",
    "preferences_over_time",
]
