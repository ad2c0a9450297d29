"""Would the fitted model produce data like these?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["PredictiveCheck", "pearson_statistic", "predictive_check"]


def pearson_statistic(
    counts: ArrayLike, expected: ArrayLike, *, axis: int | tuple[int, ...] = (-2, -1)
) -> np.ndarray:
    r"""
    Pearson's statistic: squared differences from the expected counts, divided by these.

    Unlike :func:`scipy.stats.chisquare`, it takes draws of counts or expectations, and cells where
    nothing is expected, such as categories that are off the menu, which contribute 0.

    .. math::

       T(y, e) = \sum_{i, k:\ e_{ik} > 0} \frac{(y_{ik} - e_{ik})^2}{e_{ik}}

    Parameters
    ----------
    counts : array_like, shape (..., R, K)
        Observed or predicted counts.
    expected : array_like, shape (..., R, K)
        Expected counts: totals times shares. Both are broadcast against each other.
    axis : int or tuple of int
        Axes to sum over: rows and categories if not given; -2 gives one value per category, -1 one
        per row, and () the contribution of each cell.

    Returns
    -------
    numpy.ndarray
        The statistic, with the axes that are not summed over.

    References
    ----------
    Gelman, A., Meng, X.-L., & Stern, H. (1996). Posterior predictive assessment of model fitness
    via realized discrepancies. Statistica Sinica, 6(4), 733-807.

    Examples
    --------
    Two rows; the third category is off the menu of the second:

    >>> from helpers import pearson_statistic
    >>> counts, expected = [[6, 1, 3], [5, 3, 0]], [[5, 2, 3], [4, 4, 0]]
    >>> print(pearson_statistic(counts, expected))  # 1/5 + 1/2 + 1/4 + 1/4
    1.2
    >>> print(pearson_statistic(counts, expected, axis=-2))
    [0.45 0.75 0.  ]
    """
    expected = np.asarray(expected, dtype=float)
    squares = (np.asarray(counts) - expected) ** 2
    parts = np.divide(squares, expected, out=np.zeros_like(squares), where=expected != 0)
    return parts.sum(axis=axis)


class PredictiveCheck(NamedTuple):
    """What :func:`predictive_check` finds."""

    #: Mean of the observed statistic over the mean of the predicted one.
    ratio: np.ndarray
    #: Probability that the predicted statistic reaches the observed one.
    p: np.ndarray


def predictive_check(observed: ArrayLike, predicted: ArrayLike) -> PredictiveCheck:
    """
    Compare a statistic of the observed data with that of predicted data, draw by draw.

    The statistic may depend on the parameters, as :func:`~helpers.pearson_statistic` does on what
    a draw expects: then the observed value, too, differs between draws (Gelman, Meng & Stern
    1996).

    Parameters
    ----------
    observed : array_like, shape (draws, ...) or (1, ...)
        The statistic of the observed data in each draw.
    predicted : array_like, shape (draws, ...)
        The statistic of the data that each draw predicts.

    Returns
    -------
    PredictiveCheck
        ``ratio``, observed over predicted, near 1 if the model is right, and ``p``, the posterior
        predictive probability that the predicted statistic is at least the observed one. A p near
        0 says that the data are further from the model than it allows; near 1, that they are
        closer to it than it expects.

    Examples
    --------
    >>> from helpers.diagnostics import predictive_check
    >>> check = predictive_check([4.0, 5.0, 6.0, 9.0], [3.0, 5.0, 2.0, 2.0])
    >>> print(check.ratio, check.p)
    2.0 0.25
    """
    observed, predicted = np.asarray(observed, dtype=float), np.asarray(predicted, dtype=float)
    return PredictiveCheck(
        ratio=observed.mean(axis=0) / predicted.mean(axis=0),
        p=(predicted >= observed).mean(axis=0),
    )
