"""What a fitted model says of other rows and other menus."""

from helpers.predict.draws import value_by_draw
from helpers.predict.menus import menu_probabilities
from helpers.predict.rows import wanted_rows
from helpers.predict.what_if import what_if

__all__ = ["menu_probabilities", "value_by_draw", "wanted_rows", "what_if"]
