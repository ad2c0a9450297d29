"""What only the chapters share."""

from helpers.book.sampling import set_up
from helpers.book.style import use_book_style

__all__ = ["set_up", "use_book_style"]
