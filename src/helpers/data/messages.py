"""What error messages share: short lists, close names, the choices of an option."""

import difflib
from collections.abc import Collection, Iterable

__all__ = ["listing", "require_choice", "require_known"]


# Items that a message names; the rest are counted.
_LISTED = 5


def listing(items: Iterable, limit: int = _LISTED) -> str:
    """
    Name the first items and say how many more there are.

    Parameters
    ----------
    items : iterable
        What to name.
    limit : int
        How many to name.

    Returns
    -------
    str

    Examples
    --------
    >>> from helpers.data import listing
    >>> listing(range(12), 3)
    '0, 1, 2 and 9 more'
    """
    names = [str(item) for item in items]
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def require_choice(what: str, value: object, allowed: Collection) -> None:
    """
    Refuse a value that is not among the choices of an option.

    Unlike :func:`require_known`, it lists every choice: use it where these are few.

    Parameters
    ----------
    what : str
        Name of the option.
    value : object
        The value given.
    allowed : collection
        The choices.

    Raises
    ------
    ValueError
        If the value is not one of them.

    Examples
    --------
    >>> from helpers.data import require_choice
    >>> require_choice("method", "guess", ("quadrature", "enumeration"))
    Traceback (most recent call last):
    ...
    ValueError: method must be one of 'quadrature', 'enumeration', not 'guess'.
    """
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(map(repr, allowed))}, not {value!r}.")


def require_known(what: str, names: Iterable, known: Iterable, note: str = "") -> None:
    """
    Refuse unknown names, and suggest the closest known ones.

    Parameters
    ----------
    what : str
        What the names stand for, such as a column.
    names, known : iterable
        The names given, and those that exist.
    note : str
        Where the names were given, for the message.

    Raises
    ------
    ValueError
        For the first unknown name.

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
