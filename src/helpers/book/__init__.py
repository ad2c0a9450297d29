"""What only the chapters share."""

from helpers.book.canteens import DISHES
from helpers.book.sampling import set_up
from helpers.book.style import use_book_style

__all__ = ["DISHES", "set_up", "use_book_style"]
