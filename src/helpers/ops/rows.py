"""The scatter of rows from what is sampled for it, relative to each row's own counts."""

from collections.abc import Sequence

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply, Variable
from pytensor.tensor import TensorLike, TensorVariable

from helpers.ops._loop import Backward, Loop, as_doubles, is_connected, no_gradient

__all__ = ["row_scatter"]


def _scatter_kernel(value, mean, sd, information, score, base, reference):
    n_rows, n_free = value.shape
    if mean.shape != (n_rows, n_free + 1) or sd.shape[0] != n_free + 1:
        raise ValueError("What is sampled for rows does not fit their means or spreads.")
    if information.shape != value.shape or score.shape != value.shape or len(base) != n_rows:
        raise ValueError("The pilot is not for these rows.")
    if reference < 0 or reference > n_free:
        raise IndexError("The reference is none of the categories.")
    scatter = np.empty((n_rows, n_free))
    log_det = np.empty(n_rows)
    total = np.empty(n_free + 1)
    for i in range(n_rows):
        b = base[i]
        if b < 0 or b > n_free:
            raise IndexError("A row's base is none of the categories.")
        total[b] = 0.0
        log_q = 0.0
        for j in range(n_free):
            k = j if j < b else j + 1
            weight = 1.0 / (sd[k] * sd[k] + sd[b] * sd[b])
            q = information[i, j] + weight
            centre = (score[i, j] + (mean[i, k] - mean[i, b]) * weight) / q
            total[k] = centre + value[i, j] / np.sqrt(q)
            log_q += np.log(q)
        log_det[i] = -0.5 * log_q
        at_reference = total[reference] - mean[i, reference]
        for j in range(n_free):
            k = j if j < reference else j + 1
            scatter[i, j] = total[k] - mean[i, k] - at_reference
    return scatter, log_det


def _scatter_backward_kernel(
    by_scatter, by_log_det, value, mean, sd, information, score, base, reference
):
    n_rows, n_free = value.shape
    by_value = np.empty(value.shape)
    by_mean = np.empty(mean.shape)
    by_sd = np.zeros(sd.shape[0])
    by_total = np.empty(n_free + 1)
    for i in range(n_rows):
        b = base[i]
        by_total[reference] = 0.0
        for j in range(n_free):
            k = j if j < reference else j + 1
            by_total[k] = by_scatter[i, j]
            by_total[reference] -= by_scatter[i, j]
        for k in range(n_free + 1):
            by_mean[i, k] = -by_total[k]
        for j in range(n_free):
            k = j if j < b else j + 1
            weight = 1.0 / (sd[k] * sd[k] + sd[b] * sd[b])
            q = information[i, j] + weight
            root = 1.0 / np.sqrt(q)
            from_base = mean[i, k] - mean[i, b]
            centre = (score[i, j] + from_base * weight) / q
            g = by_total[k]
            by_value[i, j] = g * root
            through = g * weight / q
            by_mean[i, k] += through
            by_mean[i, b] -= through
            by_weight = (
                g * (from_base - centre - 0.5 * value[i, j] * root) - 0.5 * by_log_det[i]
            ) / q
            by_variance = -by_weight * weight * weight
            by_sd[k] += 2.0 * by_variance * sd[k]
            by_sd[b] += 2.0 * by_variance * sd[b]
    return by_value, by_mean, by_sd


class RowScatter(Loop):
    """See :func:`row_scatter`."""

    kernel = staticmethod(_scatter_kernel)
    dtypes = ("float64", "float64")

    @staticmethod
    def plain(value, mean, sd, information, score, base, reference):
        n_free = value.shape[1]
        column, row = pt.arange(n_free), pt.arange(value.shape[0])
        free = column + pt.ge(column, base[:, None])  # the categories but the row's base
        weight = 1 / (sd[free] ** 2 + sd[base][:, None] ** 2)
        q = information + weight
        from_base = mean[row[:, None], free] - mean[row, base][:, None]
        own = (score + from_base * weight) / q + value / pt.sqrt(q)
        total = pt.zeros_like(mean)[row[:, None], free].set(own)
        away = total - mean
        away = away - away[:, reference][:, None]
        scatter = away[:, column + pt.ge(column, reference)]
        return scatter, -0.5 * pt.log(q).sum(axis=-1)

    @staticmethod
    def shapes(value, mean, sd, information, score, base, reference):
        return [value, (value[0],)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True, False], [True, False], [True, True]] + [[False, False]] * 4

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence
    ) -> list[Variable]:
        given = [
            x if is_connected(x) else pt.zeros_like(output)
            for x, output in zip(cotangents, outputs, strict=True)
        ]
        gradients: list[Variable] = list(RowScatterBackward().outputs(*given, *inputs))
        if not is_connected(cotangents[0]):  # the determinant knows neither value nor mean
            gradients = [disconnected_type(), disconnected_type(), gradients[2]]
        return no_gradient(inputs, gradients)


class RowScatterBackward(Backward):
    """Gradients of :class:`RowScatter`."""

    kernel = staticmethod(_scatter_backward_kernel)
    forward = RowScatter()
    n_cotangents = 2
    dtypes = ("float64",) * 3


def row_scatter(
    value: TensorLike,
    mean: TensorLike,
    sd: TensorLike,
    information: TensorLike,
    score: TensorLike,
    base: TensorLike,
    reference: int,
) -> tuple[TensorVariable, TensorVariable]:
    r"""
    Scatter of rows from what is sampled for it in the form conditioned on the rows' counts.

    Each row has coordinates of its own: its logits against a category that is often chosen in it,
    the base. For another category, with the expansion :math:`b\eta - \tfrac12 h\eta^2` of the
    row's log-likelihood, the mean m of the logit, and :math:`v = \tau_k^2 + \tau_{\text{base}}^2`,

    .. math::

       \eta = \frac{b + m / v}{q} + \frac{t}{\sqrt{q}}, \qquad q = h + \frac1v,

    and the scatter is :math:`\eta - m`, against the reference of the model.

    Parameters
    ----------
    value : tensor_like of float, shape (R, K - 1)
        t, for R rows and the categories but the row's base.
    mean : tensor_like of float, shape (R, K)
        Logits without scatter.
    sd : tensor_like of float, shape (K,)
        Spread of each category, the reference included (sd > 0).
    information, score : tensor_like of float, shape (R, K - 1)
        h and b, for the categories but the row's base.
    base : tensor_like of int, shape (R,)
        Base of each row.
    reference : int
        Position of the reference.

    Returns
    -------
    scatter : TensorVariable, shape (R, K - 1)
        What is added to the logits of the categories but the reference.
    log_det : TensorVariable, shape (R,)
        What the change of variables adds to the log-density.

    Examples
    --------
    Without information it is the non-centred form:

    >>> import numpy as np
    >>> from helpers.ops import row_scatter
    >>> zero = np.zeros((1, 1))
    >>> scatter, _ = row_scatter([[1.0]], np.zeros((1, 2)), [3.0, 4.0], zero, zero, [0], 0)
    >>> scatter.eval()
    array([[5.]])
    """
    value, mean, sd, information, score = as_doubles(value, mean, sd, information, score)
    scatter, log_det = RowScatter().outputs(value, mean, sd, information, score, base, reference)
    return scatter, log_det
