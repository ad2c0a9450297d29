"""Logits of each row from the effects of its cluster."""

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor import TensorLike, TensorVariable

from helpers.ops._loop import Backward, Loop, as_doubles

__all__ = ["cluster_logits"]


def _logits_kernel(effects, cluster, design, reference):
    n_rows, n_effects = design.shape
    n_clusters, n_free, _ = effects.shape
    if cluster.shape[0] != n_rows or effects.shape[2] != n_effects:
        raise ValueError("Effects, cluster indices and design do not fit together.")
    logits = np.empty((n_rows, n_free + 1))
    for i in range(n_rows):
        c = cluster[i]
        if c < 0 or c >= n_clusters:
            raise IndexError("A row's cluster index is not that of a cluster.")
        for k in range(n_free):
            total = 0.0
            for p in range(n_effects):
                total += effects[c, k, p] * design[i, p]
            logits[i, k if k < reference else k + 1] = total
        logits[i, reference] = 0.0
    return logits


def _logits_backward_kernel(cotangent, effects, cluster, design, reference):
    n_rows, n_effects = design.shape
    n_free = effects.shape[1]
    gradient = np.zeros(effects.shape)
    for i in range(n_rows):
        c = cluster[i]
        for k in range(n_free):
            g = cotangent[i, k if k < reference else k + 1]
            for p in range(n_effects):
                gradient[c, k, p] += g * design[i, p]
    return gradient


class ClusterLogits(Loop):
    """See :func:`cluster_logits`."""

    kernel = staticmethod(_logits_kernel)

    @staticmethod
    def plain(effects, cluster, design, reference):
        by_row = pt.sum(effects[cluster] * design[:, None, :], axis=-1)
        column = pt.arange(effects.shape[1] + 1)
        # The reference has no column of its own: it takes a neighbour's, and is set to zero.
        source = pt.clip(column - pt.gt(column, reference), 0, effects.shape[1] - 1)
        return pt.switch(pt.eq(column, reference), 0.0, by_row[:, source])

    @property
    def backward(self) -> "ClusterLogitsBackward":
        return ClusterLogitsBackward()

    @staticmethod
    def shapes(effects, cluster, design, reference):
        n_free = effects[1]
        return [(cluster[0], None if n_free is None else n_free + 1)]


class ClusterLogitsBackward(Backward):
    """Gradient of :class:`ClusterLogits` in the effects."""

    kernel = staticmethod(_logits_backward_kernel)
    forward = ClusterLogits()


def cluster_logits(
    effects: TensorLike, cluster: TensorLike, design: TensorLike, reference: int
) -> TensorVariable:
    r"""
    Logits of each row from the effects of its cluster.

    :math:`\eta_{ik} = \sum_p x_{ip} \theta_{c(i)kp}`, and 0 for the reference category.

    Parameters
    ----------
    effects : tensor_like of float, shape (C, K - 1, P)
        Effects by cluster and category, without the reference.
    cluster : tensor_like of int, shape (R,)
        Cluster of each row, 0 to C - 1.
    design : tensor_like of float, shape (R, P)
        What multiplies each effect: ones for an intercept, a predictor for a slope.
    reference : int
        Position of the reference category.

    Returns
    -------
    TensorVariable
        Shape (R, K).

    Examples
    --------
    >>> from helpers.ops import cluster_logits
    >>> effects = [[[1.0, 2.0]], [[3.0, 4.0]]]  # two clusters, one category besides the reference
    >>> cluster_logits(effects, [0, 1], [[1.0, 0.0], [1.0, 10.0]], 1).eval()
    array([[ 1.,  0.],
           [43.,  0.]])
    """
    effects, design = as_doubles(effects, design)
    return ClusterLogits().outputs(effects, cluster, design, reference)[0]
