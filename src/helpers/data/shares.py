"""Shares of the categories on a menu, in numpy."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp, softmax

__all__ = ["nested_logits", "shares_on_menu"]


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


def nested_logits(
    logits: ArrayLike, available: ArrayLike, nest: ArrayLike, scale: ArrayLike
) -> np.ndarray:
    r"""
    Turn the logits of a nested logit into those whose shares on the menu it gives.

    In a nest m with scale :math:`\lambda_m`, and with

    .. math::

       I_{im} = \log \sum_{j \in m, a_{ij} = 1} e^{\eta_{ij} / \lambda_m},

    a row's shares are those of :math:`\eta_{ik} / \lambda_m + (\lambda_m - 1) I_{im}` on its
    menu. Unlike plain logits, these belong to one menu.

    Parameters
    ----------
    logits : array_like, shape (..., K)
        Systematic utilities.
    available : array_like of bool, shape (..., K)
        Menus; the two broadcast.
    nest : array_like of int, shape (K,)
        The nest of each category, -1 for a category in none.
    scale : array_like, shape (M,)
        The scale of each nest, in (0, 1]; at 1 a nest changes nothing.

    Returns
    -------
    numpy.ndarray, shape (..., K)

    References
    ----------
    Train, K. E. (2009). Discrete choice methods with simulation (2nd ed.), chapter 4. Cambridge
    University Press.

    Examples
    --------
    Two buses that are much alike, and a car, all equally good: the second bus takes most of its
    passengers from the first.

    >>> from helpers.data import nested_logits, shares_on_menu
    >>> nest, everything = [0, 0, -1], [True, True, True]
    >>> shares_on_menu(nested_logits([0, 0, 0], everything, nest, [0.1]), everything).round(2)
    array([0.26, 0.26, 0.48])
    """
    logits, available = np.asarray(logits, dtype=float), np.asarray(available, dtype=bool)
    logits, available = np.broadcast_arrays(logits, available)
    out = logits.copy()
    for m, own in enumerate(np.asarray(scale, dtype=float)):
        members = np.flatnonzero(np.asarray(nest) == m)
        inside, on = logits[..., members] / own, available[..., members]
        # Where nothing of the nest is on the menu, its shares do not matter.
        on = on | ~on.any(axis=-1, keepdims=True)
        total = logsumexp(np.where(on, inside, -np.inf), axis=-1, keepdims=True)
        out[..., members] = inside + (own - 1) * total
    return out
