"""The story of part one: a caterer with a canteen in each district."""

__all__ = ["DISHES"]

# What the canteens count. The last is all else that guests can have, and is always there.
DISHES = ("soup", "pasta", "curry", "stew", "fish", "salad", "other")
