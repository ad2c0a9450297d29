"""Numbers in text: gaps, decimal commas, and marks between thousands."""

import re
from collections.abc import Sequence

import pandas as pd

from helpers.data.messages import listing

# What stands for a missing number; in a column of labels these are labels.
_MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none", "<na>"}
# Spaces between thousands come in three widths, apostrophes in two shapes.
_MARKS = {" ": " \u00a0\u202f", "'": "'\u2019"}
_NAMES = {".": "points", ",": "commas", " ": "spaces", "'": "apostrophes"}


def parse_numbers(
    text: pd.Series, decimal: str | None = None, thousands: str | None = None
) -> pd.Series:
    """Return numbers where all cells are numbers, else the cells as they are."""
    cells = _stripped(text)
    plain = pd.to_numeric(cells, errors="coerce")
    if thousands is None and decimal in (None, ".") and plain.isna().equals(cells.isna()):
        return plain
    if thousands is not None:
        cells = _without(cells, thousands, str(text.name))
    if decimal is None and _all_match(cells, ",", r"[+-]?\d*,\d*"):
        # A comma can be nothing else once grouping has been ruled out.
        decimal = "," if _grouping(cells) is None else None
    if decimal == ",":
        pointed = cells.str.contains(".", regex=False, na=False)
        if pointed.any():
            raise ValueError(
                f"The column {text.name!r} has points beside decimal commas in row(s) "
                f"{listing(text.index[pointed])} (such as {text[pointed].iloc[0]!r}): if they "
                'stand between thousands, pass thousands="." as well.'
            )
        cells = cells.str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(cells, errors="coerce")
    mark = _grouping(cells)
    if mark is not None and numbers.isna().sum() > cells.isna().sum():
        raise ValueError(
            f"The column {text.name!r} has {_NAMES[mark]} before three digits (such as "
            f"{cells[_has(cells, mark)].iloc[0]!r}). Pass thousands={mark!r} if they stand between "
            'thousands, or decimal="," if they are decimal commas.'
        )
    return numbers if numbers.isna().equals(cells.isna()) else text.where(cells.notna(), None)


def refuse_thousands(columns: Sequence[pd.Series], accepted: bool = False) -> str | None:
    """
    Refuse counts such as 33.000, which is thirty-three thousand to some and 33 to others.

    If they are accepted as they are, the mark is returned: it is that of decimals.
    """
    mark = _grouping(_stripped(pd.concat(columns))) if columns else None
    if mark is None or (accepted and mark in ".,"):
        return mark
    having = [c for c in columns if _has(_stripped(c), mark).any()]
    cells = _stripped(having[0])
    raise ValueError(
        f"The counts in column(s) {listing(c.name for c in having)} have {_NAMES[mark]} before "
        f"three digits (such as {cells[_has(cells, mark)].iloc[0]}), which look like marks between "
        f"thousands. Read the file with thousands={mark!r} if they are. If they are decimal "
        'marks, accept=("thousands",) reads them so.'
    )


def _stripped(text: pd.Series) -> pd.Series:
    cells = text.astype("string").str.strip()
    return cells.mask(cells.str.lower().isin(_MISSING))


def _has(cells: pd.Series, mark: str) -> pd.Series:
    return cells.str.contains(f"[{re.escape(_MARKS.get(mark, mark))}]", na=False)


def _all_match(cells: pd.Series, mark: str, pattern: str) -> bool:
    marked = cells[_has(cells, mark)]
    return len(marked) > 0 and bool(marked.str.fullmatch(pattern).all())


def _grouping(cells: pd.Series) -> str | None:
    for mark in _NAMES:
        either = f"[{re.escape(_MARKS.get(mark, mark))}]"
        # With zeros in front, or four digits before the mark, it is a decimal one.
        if _all_match(cells, mark, rf"[+-]?[1-9]\d{{0,2}}({either}\d{{3}})+([.,]\d*)?"):
            return mark
    return None


def _without(cells: pd.Series, mark: str, name: str) -> pd.Series:
    """Remove the marks between thousands; what is not in groups of three is refused."""
    either = f"[{re.escape(_MARKS.get(mark, mark))}]"
    odd = _has(cells, mark) & ~cells.str.fullmatch(
        rf"[+-]?\d{{1,3}}({either}\d{{3}})+([^\d]\d*)?", na=True
    )
    if odd.any():
        raise ValueError(
            f"With thousands={mark!r}, the column {name!r} has cells whose digits are not in "
            f"groups of three in row(s) {listing(cells.index[odd])} (such as "
            f"{cells[odd].iloc[0]!r}): correct them, or leave `thousands` out."
        )
    return cells.str.replace(either, "", regex=True)
