"""What a fitted model says about other rows and other menus."""

from helpers.predict.averages import row_averages
from helpers.predict.draws import some_draws, value_by_draw
from helpers.predict.elasticities import elasticities, slope_ratio
from helpers.predict.menus import menu_probabilities
from helpers.predict.preferences import latent_preferences, preferences_over_time
from helpers.predict.what_if import what_if

__all__ = [
    "elasticities",
    "latent_preferences",
    "menu_probabilities",
    "preferences_over_time",
    "row_averages",
    "slope_ratio",
    "some_draws",
    "value_by_draw",
    "what_if",
]
