"""Shares of the categories on a menu, in numpy."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

__all__ = ["shares_on_menu"]


def shares_on_menu(logits: ArrayLike, available: ArrayLike) -> np.ndarray:
    """
    Turn logits into shares of what is on the menu.

    Unlike :func:`scipy.special.softmax`, it ignores the logits of categories off the menu, and an
    empty menu gives NaN without a warning.

    Parameters
    ----------
    logits : array_like, shape (..., K)
        Logits, of any common level.
    available : array_like of bool, shape (..., K)
        Whether a category is on the menu; the two broadcast.

    Returns
    -------
    numpy.ndarray, shape (..., K)
        Shares, 0 off the menu, which sum to 1 over the last axis.

    Examples
    --------
    >>> from helpers import shares_on_menu
    >>> shares_on_menu([0.0, 0.0, 5.0], [[True, True, False], [False, True, False]])
    array([[0.5, 0.5, 0. ],
           [0. , 1. , 0. ]])
    """
    with np.errstate(invalid="ignore"):
        return softmax(np.where(available, logits, -np.inf), axis=-1)
