"""What a fitted model says of other rows and other menus."""

from helpers.predict.draws import value_by_draw
from helpers.predict.menus import menu_probabilities
from helpers.predict.rows import RowsToPredict, rows_to_predict
from helpers.predict.what_if import what_if

__all__ = ["RowsToPredict", "menu_probabilities", "rows_to_predict", "value_by_draw", "what_if"]
