"""What a fitted model says about other rows and other menus."""

from helpers.predict.draws import value_by_draw
from helpers.predict.menus import menu_probabilities
from helpers.predict.what_if import what_if

__all__ = ["menu_probabilities", "value_by_draw", "what_if"]
