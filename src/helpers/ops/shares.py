"""Probabilities over each row's menu."""

import numpy as np
import pytensor.tensor as pt

from helpers.ops.loop import Loop, _as_doubles, _no_gradient

__all__ = ["masked_shares"]


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
        return pt.special.softmax(pt.switch(available, logits, -np.inf), axis=-1)

    @staticmethod
    def shapes(logits, available):
        return [logits]

    def connection_pattern(self, node):
        return [[True], [False]]

    def pullback(self, inputs, outputs, cotangents):
        weighted = outputs[0] * cotangents[0]
        gradient = weighted - outputs[0] * pt.sum(weighted, axis=-1, keepdims=True)
        return _no_gradient(inputs, [gradient])


def masked_shares(logits, available):
    r"""
    Probabilities of the categories on each row's menu, and 0 for the others.

    Unlike :func:`pytensor.tensor.special.softmax`, whose maxima and sums over an axis take seconds
    to compile, it is one loop.

    Parameters
    ----------
    logits : tensor_like of float, shape (R, K)
        Logits; those of unavailable categories are not looked at.
    available : tensor_like of bool, shape (R, K)
        Menus.

    Returns
    -------
    TensorVariable
        Shape (R, K); rows sum to 1. A row without a menu is not a number.

    Examples
    --------
    >>> from helpers.ops import masked_shares
    >>> masked_shares([[0.0, 5.0, 0.0]], [[True, False, True]]).eval()
    array([[0.5, 0. , 0.5]])
    """
    return MaskedShares()(*_as_doubles(logits), available)
