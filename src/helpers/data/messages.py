"""What error messages share: lists that do not run on, and names that are close."""

import difflib

__all__ = ["listing", "require_known"]


# Items that a message names; the rest are counted.
LISTED = 5


def listing(items, limit=LISTED):
    """
    Name the first items, and say how many more there are.

    Parameters
    ----------
    items : iterable
        What to name.
    limit : int
        How many are named.

    Returns
    -------
    str

    Examples
    --------
    >>> from helpers.data import listing
    >>> listing(range(12), 3)
    '0, 1, 2 and 9 more'
    """
    items = [str(item) for item in items]
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def require_known(what, names, known, note=""):
    """
    Refuse names that are not among the known ones, saying which are close.

    Parameters
    ----------
    what : str
        What they are names of.
    names, known : iterable
        The names, and those allowed.
    note : str
        Where the names were given, for the message.

    Raises
    ------
    ValueError
        For the first name that is not known.

    Examples
    --------
    >>> from helpers.data import require_known
    >>> require_known("category", ["trem"], ["car", "tram"])
    Traceback (most recent call last):
    ...
    ValueError: There is no category 'trem': did you mean 'tram'?
    """
    known = list(known)
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(str(name), map(str, known), n=3, cutoff=0.5)
            hint = (
                f"did you mean {' or '.join(map(repr, close))}?"
                if close
                else f"known are {listing(known, 30)}."
            )
            raise ValueError(f"There is no {what} {name!r}{note}: {hint}")
