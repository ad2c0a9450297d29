"""Tables of counts: read, checked, simulated."""

from helpers.data.choices import BAD_CHOICES, count_choices
from helpers.data.counts import CategoryCounts
from helpers.data.dates import dates_in_order, parse_dates
from helpers.data.messages import listing, require_choice, require_known
from helpers.data.read import read_counts
from helpers.data.shares import nested_logits, shares_on_menu
from helpers.data.simulate import draw_counts, simulate_counts
from helpers.data.suspicion import ACCEPTABLE, Suspicion
from helpers.data.terms import Terms

__all__ = [
    "ACCEPTABLE",
    "BAD_CHOICES",
    "CategoryCounts",
    "Suspicion",
    "Terms",
    "count_choices",
    "dates_in_order",
    "draw_counts",
    "listing",
    "nested_logits",
    "parse_dates",
    "read_counts",
    "require_choice",
    "require_known",
    "shares_on_menu",
    "simulate_counts",
]
