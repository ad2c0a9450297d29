"""Does the model predict each category, its scatter and its level?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from helpers.data.messages import listing
from helpers.diagnostics._pit import pit as ranks
from helpers.diagnostics._pit import share_inside

__all__ = ["category_checks", "verdict_text"]

# What a fit may show, however many cells there are. The shares inside are those of a model whose
# spread is 0.89 to 1.23 times the true one, or 0.84 to 1.30 times if one of the two is judged.
_INSIDE_50 = (0.45, 0.62)
_INSIDE_89 = (0.82, 0.95)
_EXPECTED_OVER_OBSERVED = (0.92, 1.08)
# Fewer cells than this may hide a spread of half or twice the true one, one time in five or more.
_MIN_CELLS = 30
# Of fewer dates, not even all on one side are beyond chance.
_MIN_DATES = 6
# Probability, in each tail, that chance alone leads beyond a bound. Of more than ten categories,
# all together have the chances of ten.
_TAIL, _MANY = 0.01, 10


def category_checks(
    counts: ArrayLike,
    available: ArrayLike,
    predicted: ArrayLike,
    *,
    log_weights: ArrayLike | None = None,
    pit: ArrayLike | None = None,
    date: ArrayLike | None = None,
    categories: Sequence[str] | None = None,
    random_seed: int | np.random.Generator | None = None,
) -> pd.DataFrame:
    r"""
    Compare the observed counts of each category with predicted ones, and judge each category.

    Unlike :func:`~helpers.diagnostics.predictive_check`, which asks how probable one statistic of
    the whole table is, it measures how far each category is off. With many rows every model is
    improbable; and a statistic of all categories can look right although one of them is wrong.

    Parameters
    ----------
    counts : array_like of int, shape (R, K)
        Observed counts.
    available : array_like of bool, shape (R, K)
        Whether a category was on the menu. Cells off the menu are not judged.
    predicted : array_like of int, shape (S, R, K)
        Counts that each draw predicts for these rows, under their own menus and with their own
        totals. If the model has scatter between rows, it must be drawn anew: a row that keeps its
        own scatter fits by construction.
    log_weights : array_like, shape (S, R), optional
        Logarithms of leave-one-out weights, up to a constant for each row. If left out, all draws
        count alike: the rows have then been seen by the model, and intervals hold too many of
        them where parameters are many.
    pit : array_like, shape (R, K), optional
        Leave-one-out probability integral transform of each cell, if it is known already. It takes
        the place of the one from `predicted` and `log_weights`.
    date : array_like, shape (R,), optional
        Date of each row.
    categories : sequence of str, length K, optional
        Names of the categories; their positions if left out.
    random_seed : int or numpy.random.Generator, optional
        Seed of the ties: a count that equals predicted ones ranks at random among them.

    Returns
    -------
    pandas.DataFrame
        One line per category:

        - ``cells``: rows with the category on the menu.
        - ``inside_50``, ``inside_89``: share of these cells whose count lies in the central 50 %
          and 89 % of what is predicted.
        - ``expected_over_observed``: expected choices over observed ones, all draws alike. It is
          the ratio of the totals, or the median of the dates' ratios if there are six or more.
        - ``verdict``: ``fits``; ``shifted``, the level is wrong; ``more``, the counts scatter more
          than predicted, so that intervals hold too few; ``less``, they scatter less; or
          ``too few to tell``. Where several apply, the first of them is given.

    Raises
    ------
    ValueError
        If shapes do not agree, if a weight or a `pit` is not a number in its range, or if both
        `pit` and `log_weights` are given.

    Notes
    -----
    **Thresholds.** They are sizes, not probabilities, so that a fit does not fail for having many
    rows: 50 % intervals hold 0.45 to 0.62 of the counts, 89 % intervals 0.82 to 0.95, and expected
    over observed is 0.92 to 1.08. With few cells, chance alone goes beyond these. So a share fails
    only if it also lies outside the central 98 % of a binomial distribution of that many cells. A
    ratio of totals fails only if it is also outside the 98 % interval that the residuals of its
    rows give (from the data: a model with far too much scatter would excuse any shift); a median of
    dates, only if chance alone would put so many of them on that side of 1 in under 2 % of tables.
    A category with fewer than 30 cells can fail, but not fit. Of more than ten categories, each has
    its part of what chance may do with ten: of 400, the 98 % are 99.95 %.

    **Error rates.** How many of 100 categories fail, of 400 simulated tables for each figure:
    counts with logistic-normal scatter of standard deviation 0.4, 200 to 20,000 choices in a row,
    shares of about 0.1, clusters of 10 rows. Predictions were drawn around levels that are as
    uncertain as 10 other rows leave them, as leaving one out does; no model was fitted. The model
    is true, has *c* times the true spread, or its logits are shifted. The standard error is at
    most 2.5.

    ================  ====  ====  ====  ====  ====
    cells               20    30    50   100   300
    ================  ====  ====  ====  ====  ====
    true                 2     4     6     6     7
    c = 0.5             58    80    95   100   100
    c = 0.66            27    36    67    90   100
    c = 1.5             16    31    60    94   100
    c = 2.2             74    94   100   100   100
    logits + 0.1         2     4    14    26    62
    logits + 0.2         5    16    40    76   100
    logits + 0.3        14    37    74    97   100
    logits - 0.3        16    26    55    94   100
    ================  ====  ====  ====  ====  ====

    Far too much scatter is mostly named ``shifted``: it raises the mean of a small share. A table
    has as many chances of a false alarm as categories, up to ten. Where counts are so small that
    the multinomial's own noise exceeds the scatter, a wrong spread does not show, and a fit says
    nothing of it.

    **Dependence.** All this takes the cells of a category for independent. Cells of one cluster
    share the error of its level; it makes the false alarms in the table, nearly all ``shifted``,
    more than the nominal 2 to 4. If dates have shocks in common (30 % of the variance of the
    scatter, say) that the model does not predict, the shares inside hardly notice (3 false alarms
    with 300 cells), but ratios of totals do (23). Judged by date, as with `date`, it is 3.

    References
    ----------
    Vehtari, A., Gelman, A., & Gabry, J. (2017). Practical Bayesian model evaluation using
    leave-one-out cross-validation and WAIC. Statistics and Computing, 27, 1413-1432.

    Examples
    --------
    A model with the right scatter, and one that knows only the multinomial's:

    >>> import numpy as np
    >>> from helpers.diagnostics import category_checks
    >>> rng = np.random.default_rng(1)
    >>> def draw(scatter, size):
    ...     weights = np.exp(rng.normal(0, scatter, size=(*size, 3)))
    ...     return rng.multinomial(1_000, weights / weights.sum(axis=-1, keepdims=True))
    >>> observed, menus = draw(0.3, (200,)), np.ones((200, 3), bool)
    >>> for scatter in (0.3, 0.0):
    ...     table = category_checks(observed, menus, draw(scatter, (400, 200)), random_seed=2)
    ...     print(", ".join(table["verdict"]))
    fits, fits, fits
    more, more, more
    """
    counts, available = np.asarray(counts), np.asarray(available, dtype=bool)
    predicted = np.asarray(predicted)
    if counts.ndim != 2 or available.shape != counts.shape or predicted.shape[1:] != counts.shape:
        raise ValueError(
            f"Counts (R, K), menus (R, K) and predicted counts (S, R, K) must agree: their shapes "
            f"are {counts.shape}, {available.shape} and {predicted.shape}."
        )
    n_rows, n_categories = counts.shape
    if categories is not None and len(categories) != n_categories:
        raise ValueError(f"{n_categories} names of categories are needed, not {len(categories)}.")
    if date is not None and len(np.asarray(date)) != n_rows:
        raise ValueError(f"One date per row is needed ({n_rows}), not {len(np.asarray(date))}.")
    if pit is None:
        rng, weights = (
            np.random.default_rng(random_seed),
            _weights(log_weights, predicted.shape[:2]),
        )
        by_category = zip(counts.T, np.moveaxis(predicted, 2, 0), strict=True)
        pit = np.stack([ranks(y, draws, rng, weights) for y, draws in by_category], axis=1)
    elif log_weights is not None:
        raise ValueError("Give either the PIT or the weights to work it out with, not both.")
    pit = np.asarray(pit, dtype=float)
    _check_pit(pit, available)
    expected = predicted.mean(axis=0)
    dates = None if date is None else pd.factorize(np.asarray(date))[0]

    lines, tail = [], _TAIL * min(1, _MANY / n_categories)
    for k in range(n_categories):
        on = available[:, k]
        inside_50, inside_89 = (share_inside(pit[on, k], prob) for prob in (0.5, 0.89))
        ratio, beyond_chance = _observed_over_expected(
            counts[on, k], expected[on, k], None if dates is None else dates[on], tail
        )
        lines.append(
            {
                "cells": int(on.sum()),
                "inside_50": inside_50,
                "inside_89": inside_89,
                "expected_over_observed": np.inf if ratio == 0 else 1 / ratio,
                "verdict": _verdict(
                    int(on.sum()), inside_50, inside_89, ratio, beyond_chance, tail
                ),
            }
        )
    names = range(n_categories) if categories is None else categories
    return pd.DataFrame(lines, index=pd.Index(names, name="category"))


def verdict_text(table: pd.DataFrame) -> str:
    """
    Say in words what :func:`category_checks` found, beginning with what fails.

    Unlike the column ``verdict``, it gives the figures that led to each verdict, and it says that
    all categories fit only if all were judged.

    Parameters
    ----------
    table : pandas.DataFrame
        The table of :func:`category_checks`.

    Returns
    -------
    str

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.diagnostics import verdict_text
    >>> table = pd.DataFrame(
    ...     [[90, 0.51, 0.90, 1.0, "fits"], [90, 0.3, 0.6, 2.2, "shifted"]],
    ...     index=["left", "green"],
    ...     columns=["cells", "inside_50", "inside_89", "expected_over_observed", "verdict"],
    ... )
    >>> print(verdict_text(table))  # doctest: +NORMALIZE_WHITESPACE
    1 of 2 categories fails: the model expects 2.20 times the observed choices of green.
    The rest fit: left.
    """
    n_categories, sentences = len(table), []
    of = {verdict: table[table["verdict"] == verdict] for verdict in (*_FAILS, _TOO_FEW, "fits")}
    failing = pd.concat([of[verdict] for verdict in _FAILS])
    if len(failing):
        reasons = "; ".join(_FAILS[line.verdict](name, line) for name, line in failing.iterrows())
        fail = "fails" if len(failing) == 1 else "fail"
        sentences.append(f"{len(failing)} of {n_categories} categories {fail}: {reasons}.")
    if few := [f"{name} ({cells})" for name, cells in of[_TOO_FEW]["cells"].items()]:
        sentences.append(f"Too few cells to tell: {listing(few, n_categories)}.")
    if len(of["fits"]) == n_categories:
        sentences.append(f"All {n_categories} categories fit.")
    elif len(of["fits"]):
        sentences.append(f"The rest fit: {listing(of['fits'].index, n_categories)}.")
    return " ".join(sentences)


def _inside(line: pd.Series) -> str:
    return (
        f"50 % intervals hold {100 * line.inside_50:.0f} % of its counts, "
        f"89 % intervals {100 * line.inside_89:.0f} %"
    )


_TOO_FEW = "too few to tell"
# Verdicts that fail a category, worst first, and how each is put into words.
_FAILS = {
    "shifted": lambda name, line: (
        f"the model expects {line.expected_over_observed:.2f} times the observed choices of {name}"
    ),
    "more": lambda name, line: f"{name} scatters more than predicted ({_inside(line)})",
    "less": lambda name, line: f"{name} scatters less than predicted ({_inside(line)})",
}


def _weights(log_weights: ArrayLike | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """Weights of the draws that sum to 1 in each row."""
    if log_weights is None:
        return None
    log_weights = np.asarray(log_weights, dtype=float)
    if log_weights.shape != shape or not np.isfinite(log_weights.max(axis=0)).all():
        raise ValueError(
            f"One log weight per draw and row is needed, {shape}, and a finite one in each row: "
            f"their shape is {log_weights.shape}."
        )
    weights = np.exp(log_weights - log_weights.max(axis=0))
    return weights / weights.sum(axis=0)


def _check_pit(pit: np.ndarray, available: np.ndarray) -> None:
    if pit.shape != available.shape or not ((pit >= 0) & (pit <= 1))[available].all():
        raise ValueError(
            f"The PIT must lie in [0, 1] for each cell on the menu, with shape {available.shape}: "
            f"its shape is {pit.shape}, and some cells are outside or not a number."
        )


def _observed_over_expected(
    observed: np.ndarray, expected: np.ndarray, date: np.ndarray | None, tail: float
) -> tuple[float, bool]:
    """Ratio that is 1 if the level is right, and whether it is off by more than chance."""
    if date is not None and len(present := np.unique(date)) >= _MIN_DATES:
        of_date = ((observed[date == d].sum(), expected[date == d].sum()) for d in present)
        ratios = np.array([_ratio(*totals) for totals in of_date])
        one_side = max((ratios > 1).sum(), (ratios < 1).sum())
        return float(np.median(ratios)), stats.binom.sf(one_side - 1, len(ratios), 0.5) < 2 * tail
    ratio = _ratio(observed.sum(), total := expected.sum())
    if not total:
        return ratio, ratio != 1
    # Few large rows may carry the total: they count as so many rows of one size.
    n_equal = max(total**2 / (expected**2).sum(), 2)
    error = ((observed - expected) ** 2).sum() ** 0.5 / total
    return ratio, abs(ratio - 1) > error * stats.t.ppf(1 - tail, n_equal - 1)


def _ratio(observed: float, expected: float) -> float:
    return observed / expected if expected else (np.inf if observed else 1.0)


def _verdict(
    cells: int,
    inside_50: float,
    inside_89: float,
    ratio: float,
    beyond_chance: bool,
    tail: float,
) -> str:
    if not cells:
        return _TOO_FEW
    low, high = _EXPECTED_OVER_OBSERVED
    if not 1 / high <= ratio <= 1 / low and beyond_chance:
        return "shifted"
    shares = [(inside_50, 0.5, _INSIDE_50), (inside_89, 0.89, _INSIDE_89)]
    by_chance = [stats.binom.interval(1 - 2 * tail, cells, prob) for _, prob, _ in shares]
    ends = [
        (min(bounds[0], chance[0] / cells), max(bounds[1], chance[1] / cells))
        for (_, _, bounds), chance in zip(shares, by_chance, strict=True)
    ]
    if any(share < low for (share, _, _), (low, _) in zip(shares, ends, strict=True)):
        return "more"
    if any(share > high for (share, _, _), (_, high) in zip(shares, ends, strict=True)):
        return "less"
    return "fits" if cells >= _MIN_CELLS else _TOO_FEW
