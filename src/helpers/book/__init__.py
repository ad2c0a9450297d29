"""What only the chapters share."""

from helpers.book.style import use_book_style

__all__ = ["use_book_style"]
