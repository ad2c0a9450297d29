"""What a table may be in place of counts of choices."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import chi2

from helpers.data._subtotals import subtotals, total_rows
from helpers.data.messages import listing

__all__ = ["ACCEPTABLE", "Suspicion"]

# Kinds of suspicion that can be overruled by name.
ACCEPTABLE = ("subtotal", "total_row", "percent", "ranks", "spelling", "thousands", "date_order")

# What rows or columns with a total are called.
_TOTAL = re.compile(
    r"(n_)?((grand|sub)[ _-]*)?(total|totals|sum|overall|gesamt|insgesamt|summe|zusammen|totale|"
    r"totaal|suma|somma|ensemble|all|alle|todos|tous|toutes|total general|total général|"
    r"all (regions|districts|rows|categories|dates)|(sub)?totals? .*|.* (sub)?totals?)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Suspicion:
    """
    A reason to doubt that a table holds counts of choices.

    Unlike an error, it need not be a defect: :attr:`helpers.CategoryCounts.suspicions` lists what
    whoever knows the table should look at, and `accept` overrules it by name.

    Attributes
    ----------
    kind : str
        Name of the kind, such as ``"subtotal"``, for `accept`.
    message : str
        Rows and columns, the likely cause, and what to do.
    sure : bool
        Whether a table of this kind cannot be right, so that reading refuses it.

    Examples
    --------
    >>> from helpers.data import Suspicion
    >>> print(Suspicion("ranks", "Are these ranks?"))
    Are these ranks?
    """

    kind: str
    message: str
    sure: bool = False

    def __str__(self) -> str:
        return self.message


def checked_accept(accept: str | Iterable[str]) -> tuple[str, ...]:
    """Return names of kinds; unknown ones are refused with the list."""
    names = (accept,) if isinstance(accept, str) else tuple(accept)
    unknown = [name for name in names if name not in ACCEPTABLE]
    if unknown:
        raise ValueError(
            f"`accept` does not know {listing(map(repr, unknown))}: what can be overruled is "
            f"{', '.join(map(repr, ACCEPTABLE))}."
        )
    return names


def examine(
    counts: np.ndarray,
    available: np.ndarray,
    categories: Sequence[str],
    rows: pd.Index,
    labels: Mapping[str, pd.Index],
) -> list[Suspicion]:
    """Find what the arithmetic and the names of a table say against counts of choices."""
    found = [
        *_subtotal_columns(counts, available, categories),
        *_rows_of_totals(counts, available, rows, labels),
        _ranks(counts),
        _percent(counts),
        _spelling("The categories", categories),
        *(_spelling(f"In {name}, the labels", values.unique()) for name, values in labels.items()),
    ]
    return [suspicion for suspicion in found if suspicion is not None]


def refuse_choices(frame: pd.DataFrame) -> None:
    """Refuse columns of names where counts are wanted."""
    names, seen = [], []
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column) or column.dtype.kind in "mM":
            continue
        cells = column.dropna()
        if len(cells) and pd.to_numeric(cells, errors="coerce").isna().all():
            text = cells.astype(str).str.strip()
            if text.str.fullmatch(r"[\d.,]+\s*%").all():
                raise ValueError(
                    f"The column {name!r} holds per cent (such as {text.iloc[0]!r}), not counts: "
                    "multiply each row by the number of people asked and round."
                )
            if text.str.match(r"[^\w]*\d").any():
                continue
            names.append(name)
            seen.append(text)
    if names:
        raise ValueError(
            f"The column(s) {listing(map(repr, names))} have names in place of counts "
            f"({listing(pd.concat(seen).unique(), 4)}): they look like columns of choices. Give "
            "one column for each thing that could be chosen: 1 where it was chosen, 0 where it "
            "was not, and an empty cell where it was not offered. If the columns are ranks, give "
            "a row for each choice in turn, with empty cells for what had been chosen before. "
            "pandas.get_dummies(frame[column], dtype=int) makes the 1 and 0."
        )


def fractional(values: np.ndarray, where: str) -> str:
    """Say why counts may have fractions, and what to do."""
    odd = values[values != np.floor(values)]
    totals = values.sum(axis=1)
    few = odd.size < 0.2 * (values > 0).sum()
    for whole, name in ((100, "per cent"), (1, "shares")):
        if not few and (np.abs(totals / whole - 0.95) <= 0.1).all():
            return (
                f"Fractional counts in {where}: the rows add up to about {whole}, so these look "
                f"like {name}, not whole numbers of choices. Multiply each row by the number of "
                "people asked and round (a row of 1,000 people tells more than one of 100), or "
                "give the counts themselves."
            )
    thousandths = odd * 1000
    if (
        not few
        and np.allclose(thousandths, np.round(thousandths), atol=1e-6)
        and not np.allclose(odd * 100, np.round(odd * 100), atol=1e-6)
        and (odd > 1).all()
        and values.max() < 1000
    ):
        return (
            f"Fractional counts in {where}, with three digits after the point: if the points "
            f"stood between thousands ({odd[0]:.3f} for {odd[0] * 1000:,.0f}), read the file with "
            'read_counts(path, thousands="."), as whole numbers are needed.'
        )
    if few:
        return f"Fractional counts in {where}: give whole numbers, not shares, in these cells."
    return (
        f"Fractional counts in {where}: are these weighted counts of a survey, or averages? A "
        "likelihood of counts needs whole numbers of choices, because their size says how sure "
        "the data are, and a sum of weights does not. Give the unweighted counts, with what the "
        "weights depend on as clusters or predictors. Rescaling each row to its effective number "
        "of answers and rounding is a makeshift."
    )


def _subtotal_columns(
    counts: np.ndarray, available: np.ndarray, categories: Sequence[str]
) -> list[Suspicion]:
    found = subtotals(counts, available)
    out = [
        Suspicion(
            "subtotal",
            f"The column {categories[total]} is the sum of {_columns(parts, categories)} in every "
            "row: it is a total of other categories, and its choices would count twice. Leave "
            f"{categories[total]} out of the categories.",
            sure=True,
        )
        for total, parts in found.items()
    ]
    named = [
        k for k, name in enumerate(categories) if k not in found and _TOTAL.fullmatch(name.strip())
    ]
    # A category called "all" in a survey may be an answer; a total is larger than the rest.
    rest = counts.sum(axis=1)
    for k in named:
        if (2 * counts[:, k] >= rest).all() and len(categories) > 2:
            out.append(
                Suspicion(
                    "subtotal",
                    f"The column {categories[k]} is called a total, and in every row holds at "
                    "least half of all counts: if it includes choices of other columns, leave it "
                    "out of the categories.",
                )
            )
    return out


def _columns(parts: Sequence[int], categories: Sequence[str]) -> str:
    names = [categories[k] for k in parts]
    if len(names) == len(categories) - 1 and len(names) > 5:
        return "all the others"
    return listing(names, 8)


def _rows_of_totals(
    counts: np.ndarray, available: np.ndarray, rows: pd.Index, labels: Mapping[str, pd.Index]
) -> list[Suspicion]:
    if len(counts) < 3:
        return []
    what = "they are totals of other rows, and their choices would count twice. Leave them out."
    found = total_rows(counts, available, labels)
    if found:
        sums = np.array(sorted(found))
        of = next(iter(found.values())) if len(set(found.values())) == 1 else "other rows"
        text = f"In every column, {_named(sums, rows, labels)} is the sum of {of}: {what}"
        return [Suspicion("total_row", text, sure=True)]
    out = []
    for name, values in labels.items():
        called = np.array([bool(_TOTAL.fullmatch(str(v).strip())) for v in values.unique()])
        if called.any() and not called.all():
            which = np.flatnonzero(values.isin(values.unique()[called]))
            out.append(
                Suspicion(
                    "total_row",
                    f"In the column {name}, {_named(which, rows, {name: values})} is called a "
                    f"total: if so, {what}",
                )
            )
    return out


def _named(which: np.ndarray, rows: pd.Index, labels: Mapping[str, pd.Index]) -> str:
    text = f"row(s) {listing(rows[which])}"
    seen = [listing(pd.unique(values[which].astype(str)), 2) for values in labels.values()]
    return f"{text} ({', '.join(seen)})" if seen else text


def _ranks(counts: np.ndarray) -> Suspicion | None:
    ranked = (counts > 0).sum(axis=1)
    in_order = np.arange(1, counts.shape[1] + 1)
    filled = np.sort(np.where(counts > 0, counts, counts.shape[1] + 1), axis=1)
    # Where not all were ranked, the rest may be 0 or empty.
    if (
        (ranked >= 3).sum() < 3
        or (ranked < 2).any()
        or (np.where(in_order <= ranked[:, None], filled, in_order) != in_order).any()
    ):
        return None
    most = ranked.max() if ranked.min() == ranked.max() else "the number of its choices"
    return Suspicion(
        "ranks",
        f"Are these ranks? Each row holds the numbers from 1 to {most} once, and ranks are no "
        "counts: the least liked would seem the most chosen. Give a row for "
        "each choice in turn: 1 for what was chosen, 0 for the rest, empty cells for what had been "
        "chosen before.",
    )


def _percent(counts: np.ndarray) -> Suspicion | None:
    n_rows, n_categories = counts.shape
    totals = counts.sum(axis=1)
    off = np.abs(totals - 100)
    rounded = (off <= min(n_categories / 2, 4)).all()
    rounded = rounded and (n_rows >= 3 or (n_rows == 2 and (off == 0).all()))
    alike = (totals == totals[0]).all()
    if not rounded and n_rows >= 5 and (totals >= 85).all() and (totals <= 102).all():
        # Per cent of some of the answers. Totals of people who came by themselves differ more.
        spread = ((totals - totals.mean()) ** 2).sum() / totals.mean()
        rounded = bool(spread < chi2.ppf(1e-3, n_rows - 1))
    # Designs with equal totals are no per cent, unless exactly 100 were asked.
    if not rounded or (alike and totals[0] != 100):
        return None
    seen = f"{totals.min():,}" + ("" if alike else f" to {totals.max():,}")
    return Suspicion(
        "percent",
        f"Are these per cent? The totals of all rows are {seen}. Per cent are no counts: their "
        "intervals would be those of some 100 people in each row. Multiply each row by the number "
        "of people asked and round. If that many were asked, accept the table as it is.",
    )


def _spelling(what: str, names: Iterable) -> Suspicion | None:
    """Names of three letters or more that differ in capitals and spaces only."""
    alike: dict[str, list[str]] = {}
    for name in names:
        if isinstance(name, str) and sum(map(str.isalpha, name)) >= 3:
            alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    pairs = [" and ".join(map(repr, same)) for same in alike.values() if len(same) > 1]
    if not pairs:
        return None
    return Suspicion(
        "spelling",
        f"{what} {listing(pairs, 3)} differ in capitals or spaces only: if they are one, spell "
        "them alike.",
    )
