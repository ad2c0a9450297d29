"""Probabilities over each row's menu."""

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor import TensorLike, TensorVariable

from helpers.ops._loop import Loop, as_doubles, no_gradient

__all__ = [
    "masked_log_softmax",
    "masked_shares",
    "masked_softmax",
    "nested_logits",
    "sum_of_chosen",
]


def masked_softmax(logits: TensorLike, available: TensorLike) -> TensorVariable:
    """
    Probabilities over the menus, and 0 off them, in plain operations.

    Parameters
    ----------
    logits : tensor_like of float, shape (..., K)
        Logits; those of unavailable categories are ignored.
    available : tensor_like of bool, shape (..., K)
        Menus.

    Returns
    -------
    TensorVariable
        Shape (..., K). NaN in rows with an empty menu.

    Examples
    --------
    >>> from helpers.ops import masked_softmax
    >>> masked_softmax([0.0, 5.0, 0.0], [True, False, True]).eval()
    array([0.5, 0. , 0.5])
    """
    # Minus infinity is exact in value and in gradient.
    return pt.special.softmax(pt.switch(available, logits, -np.inf), axis=-1)


def masked_log_softmax(logits: TensorLike, available: TensorLike) -> TensorVariable:
    """
    Log-probabilities over the menus, and minus infinity off them, in plain operations.

    Parameters
    ----------
    logits : tensor_like of float, shape (..., K)
        Logits; those of unavailable categories are ignored.
    available : tensor_like of bool, shape (..., K)
        Menus.

    Returns
    -------
    TensorVariable
        Shape (..., K). NaN in rows with an empty menu.

    Examples
    --------
    >>> from helpers.ops import masked_log_softmax
    >>> masked_log_softmax([0.0, 5.0, 0.0], [True, False, True]).eval().round(4)
    array([-0.6931,    -inf, -0.6931])
    """
    return pt.special.log_softmax(pt.switch(available, logits, -np.inf), axis=-1)


def sum_of_chosen(value: TensorLike, log_p: TensorLike) -> TensorVariable:
    """
    Sum of counts times log-probabilities, in which 0 times minus infinity is 0.

    Parameters
    ----------
    value : tensor_like of int, shape (..., K)
        Counts.
    log_p : tensor_like of float, shape (..., K)
        Log-probabilities.

    Returns
    -------
    TensorVariable
        Shape (...).

    Examples
    --------
    >>> import numpy as np
    >>> from helpers.ops import sum_of_chosen
    >>> print(sum_of_chosen([0, 3], [-np.inf, -0.5]).eval())
    -1.5
    """
    value, log_p = pt.as_tensor(value), pt.as_tensor(log_p)
    return pt.sum(pt.switch(pt.gt(value, 0), value * log_p, 0.0), axis=-1)


def nested_logits(
    logits: TensorLike, available: TensorLike, nest: np.ndarray, scale: TensorLike
) -> TensorVariable:
    """
    Logits whose shares on the menu are those of a nested logit, in plain operations.

    Unlike :func:`helpers.data.nested_logits`, which has the formula, it can be differentiated.

    Parameters
    ----------
    logits : tensor_like of float, shape (R, K)
        Systematic utilities.
    available : tensor_like of bool, shape (R, K)
        Menus.
    nest : numpy.ndarray of int, shape (K,)
        The nest of each category, -1 for a category in none.
    scale : tensor_like, shape (M,)
        The scale of each nest, in (0, 1].

    Returns
    -------
    TensorVariable
        Shape (R, K).

    Examples
    --------
    >>> import numpy as np
    >>> from helpers.ops import nested_logits
    >>> everything = np.ones((1, 3), dtype=bool)
    >>> nested_logits(np.zeros((1, 3)), everything, np.array([0, 0, -1]), [0.5]).eval().round(3)
    array([[-0.347, -0.347,  0.   ]])
    """
    logits, available, scale = (pt.as_tensor(x) for x in (logits, available, scale))
    out = logits
    for m in range(int(np.max(nest)) + 1):
        members = np.flatnonzero(nest == m)
        inside, on = logits[:, members] / scale[m], available[:, members]
        on = pt.or_(on, pt.invert(on.any(axis=1, keepdims=True)))
        total = pt.logsumexp(pt.switch(on, inside, -np.inf), axis=1, keepdims=True)
        out = out[:, members].set(inside + (scale[m] - 1) * total)
    return out


def _shares_kernel(logits, available):
    n_rows, n_categories = logits.shape
    if available.shape != logits.shape:
        raise ValueError("Logits and menus do not have the same shape.")
    share = np.empty(logits.shape)
    for i in range(n_rows):
        top = -np.inf
        for k in range(n_categories):
            share[i, k] = logits[i, k] if available[i, k] else -np.inf
            top = share[i, k] if share[i, k] > top else top
        weight = 0.0
        for k in range(n_categories):
            share[i, k] = np.exp(share[i, k] - top)
            weight += share[i, k]
        for k in range(n_categories):
            share[i, k] /= weight
    return share


class MaskedShares(Loop):
    """See :func:`masked_shares`."""

    kernel = staticmethod(_shares_kernel)

    @staticmethod
    def plain(logits, available):
        return masked_softmax(logits, available)

    @staticmethod
    def shapes(logits, available):
        return [logits]

    def connection_pattern(self, node):
        return [[True], [False]]

    def pullback(self, inputs, outputs, cotangents):
        weighted = outputs[0] * cotangents[0]
        gradient = weighted - outputs[0] * pt.sum(weighted, axis=-1, keepdims=True)
        return no_gradient(inputs, [gradient])


def masked_shares(logits: TensorLike, available: TensorLike) -> TensorVariable:
    r"""
    Probabilities of the categories on each row's menu, and 0 for the others.

    Unlike :func:`masked_softmax`, whose maxima and sums over an axis take seconds to compile, it is
    one loop, for matrices only.

    Parameters
    ----------
    logits : tensor_like of float, shape (R, K)
        Logits; those of unavailable categories are ignored.
    available : tensor_like of bool, shape (R, K)
        Menus.

    Returns
    -------
    TensorVariable
        Shape (R, K); rows sum to 1. NaN in rows with an empty menu.

    Examples
    --------
    >>> from helpers.ops import masked_shares
    >>> masked_shares([[0.0, 5.0, 0.0]], [[True, False, True]]).eval()
    array([[0.5, 0. , 0.5]])
    """
    return MaskedShares().outputs(*as_doubles(logits), available)[0]
