"""What only the chapters share."""

from helpers.book.canteens import DISHES
from helpers.book.sampling import set_up
from helpers.book.style import use_book_style
from helpers.book.tables import readable

__all__ = ["DISHES", "readable", "set_up", "use_book_style"]
