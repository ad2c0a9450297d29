"""Tables of counts: read, checked, simulated."""

from helpers.data.counts import CategoryCounts
from helpers.data.messages import listing, require_choice, require_known
from helpers.data.read import read_counts
from helpers.data.shares import shares_on_menu
from helpers.data.simulate import draw_counts, simulate_counts

__all__ = [
    "CategoryCounts",
    "draw_counts",
    "listing",
    "read_counts",
    "require_choice",
    "require_known",
    "shares_on_menu",
    "simulate_counts",
]
