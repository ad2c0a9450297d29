"""Scatter of rows: what is left of their logits besides clusters, predictors and dates."""

from typing import Any

import numpy as np
import pytensor.tensor as pt
from numpy.typing import ArrayLike
from pymc.distributions.distribution import Continuous
from pymc.logprob.abstract import _logprob
from pymc.logprob.transforms import Transform
from pytensor.graph.basic import Variable
from pytensor.tensor import TensorLike, TensorVariable

from helpers.effects.normal import EffectsRV
from helpers.ops.contrasts import contrast_distance
from helpers.ops.rows import row_scatter

__all__ = ["ConditionedRows", "RowScatter"]


class RowScatterRV(EffectsRV):
    name = "row_scatter"
    extended_signature = "[rng],[size],(f),(k),(k),()->[rng],(f)"
    _print_name = ("RowScatter", "\\operatorname{RowScatter}")
    options = ("reference", "heavy_tails")
    reference: int
    heavy_tails: bool

    @staticmethod
    def draw(rng, size, start, mean, sd, df, *, reference, heavy_tails):
        shape = pt.concatenate([size, [sd.shape[-1]]])
        rng, u = pt.random.normal(0, sd, size=shape, rng=rng, return_next_rng=True)
        if heavy_tails:
            rng, weight = pt.random.gamma(
                df / 2, scale=2 / df, size=size, rng=rng, return_next_rng=True
            )
            u = u / pt.sqrt(weight)[..., None]
        free = np.delete(np.arange(sd.type.shape[-1]), reference)
        return [rng, u[..., free] - u[..., [reference]]]


class RowScatter(Continuous):
    r"""
    Scatter of each row's logits, with a spread for each category.

    Unlike :class:`~helpers.MaskedDirichletMultinomial`, which ties how much a category scatters to
    its share, it lets a rare category scatter much and a common one little, or the other way
    round. Unlike :class:`pymc.MvStudentT` of the contrasts, it is the same whichever category is
    the reference:

    .. math::

       \varepsilon_{ik} = (u_{ik} - u_{i,\text{ref}}) / \sqrt{\lambda_i}, \qquad
       u_{ik} \sim N(0, \tau_k^2),

    with :math:`\lambda_i = 1`, or :math:`\lambda_i \sim \operatorname{Gamma}(\nu/2, \nu/2)`, one
    for each row, for heavy tails. Scales of rows are integrated out.

    Parameters
    ----------
    mean : tensor_like of float, shape (..., K)
        Logits without the scatter. They have no part in the density; :class:`ConditionedRows`
        needs them.
    sd : tensor_like of float, shape (K,)
        Spread of each category, the reference included (sd > 0).
    df : tensor_like of float, optional
        Degrees of freedom (df > 0), for heavy tails; normal if not given.
    reference : int
        Position of the reference among the K categories.
    start : tensor_like of float, shape (..., K - 1), optional
        Where sampling starts; 0 if not given.

    Returns
    -------
    TensorVariable
        The random variable, with the K - 1 contrasts on its last axis.

    References
    ----------
    Aitchison, J. (1982). The statistical analysis of compositional data. Journal of the Royal
    Statistical Society B, 44(2), 139-177.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc as pm
    >>> from helpers.effects import RowScatter
    >>> scatter = RowScatter.dist(np.zeros((100, 3)), [0.1, 0.2, 0.3], 4.0, reference=2)
    >>> pm.draw(scatter).shape
    (100, 2)
    """

    rv_type = RowScatterRV
    rv_op = RowScatterRV.rv_op

    @classmethod
    def dist(
        cls,
        mean: TensorLike,
        sd: TensorLike,
        df: TensorLike | None = None,
        *,
        reference: int,
        start: TensorLike | None = None,
        **kwargs: Any,
    ) -> TensorVariable:
        mean, sd = pt.as_tensor(mean, dtype="float64"), pt.as_tensor(sd, dtype="float64")
        if sd.ndim != 1 or sd.type.shape[0] is None:
            raise ValueError("Scatter needs one spread for each category, of a known shape (K,).")
        heavy_tails = df is not None
        degrees = pt.as_tensor(np.inf if df is None else df, dtype="float64")
        start = pt.zeros_like(mean)[..., 1:] if start is None else start
        return super().dist(
            [start, mean, sd, degrees], reference=reference, heavy_tails=heavy_tails, **kwargs
        )


@_logprob.register(RowScatterRV)
def _logp_of_scatter(op, values, rng, size, start, mean, sd, df, **kwargs):
    (value,) = values
    rows = value.reshape((-1, value.shape[-1]))[..., None] if value.ndim != 2 else value[..., None]
    n_free = sd.type.shape[-1] - 1
    no_mean, no_entries = np.zeros((1, n_free, 1)), np.zeros((n_free + 1, 0))
    squares, log_scale = contrast_distance(rows, no_mean, sd[:, None], no_entries, op.reference)
    if op.heavy_tails:
        half = (df + n_free) / 2
        constant = pt.gammaln(half) - pt.gammaln(df / 2) - 0.5 * n_free * pt.log(df * np.pi)
        log_density = constant - log_scale - half * pt.log1p(squares / df)
    else:
        log_density = -0.5 * (squares + n_free * np.log(2 * np.pi)) - log_scale
    return log_density if value.ndim == 2 else log_density.reshape(value.shape[:-1])


class ConditionedRows(Transform):
    r"""
    Sample the scatter of rows relative to what each row's own counts say about its logits.

    The :class:`~helpers.effects.Conditioned` of single rows: where a row's counts are many, what is
    sampled is nearly its logits, and where they are few, its scatter in units of the spread. Each
    row has its own coordinates, see :func:`~helpers.ops.row_scatter`.

    Parameters
    ----------
    information, score : numpy.ndarray, shape (R, K - 1)
        h and b of the row's logits of the categories but its base, against that. *Any* values
        give the same posterior (information >= 0).
    base : numpy.ndarray of int, shape (R,)
        A category of each row's menu that was often chosen in it.
    reference : int
        Position of the model's reference.
    along : numpy.ndarray, shape (R, K - 1), optional
        a, the direction in which all coordinates of a row move together: with it, what is sampled
        is s in :math:`t = s + a a's`. It is constant, and any a gives the same posterior.

    Raises
    ------
    ValueError
        If the pilot is not finite, or its shapes do not match.
    """

    name = "conditioned"
    ndim_supp = 1

    def __init__(
        self,
        information: ArrayLike,
        score: ArrayLike,
        base: ArrayLike,
        reference: int,
        along: ArrayLike | None = None,
    ) -> None:
        self.information = np.asarray(information, dtype=float)
        self.score, self.base = np.asarray(score, dtype=float), np.asarray(base, dtype=np.int64)
        self.reference = reference
        if self.information.shape != self.score.shape or self.base.shape != self.score.shape[:1]:
            raise ValueError(
                "The pilot's information and score must have shape (R, K - 1) and its base (R,): "
                f"they have {self.information.shape}, {self.score.shape} and {self.base.shape}."
            )
        self.along = None if along is None else np.asarray(along, dtype=float)
        if self.along is not None and self.along.shape != self.score.shape:
            raise ValueError(
                f"The pilot's direction must have shape {self.score.shape}, not {self.along.shape}."
            )
        if not (np.isfinite(self.score).all() and (self.information >= 0).all()):
            raise ValueError("The pilot of rows must be finite, its information 0 or more.")
        column = np.arange(self.score.shape[1])
        #: The categories but each row's base.
        self.free = column + (column >= self.base[:, None])

    def _loop(
        self, value: TensorVariable, inputs: tuple[Any, ...]
    ) -> tuple[TensorVariable, TensorVariable]:
        mean, sd = inputs[-3], inputs[-2]
        pilot = self.information, self.score, self.base
        if self.along is None:
            return row_scatter(value, mean, sd, *pilot, self.reference)
        value = value + self.along * pt.sum(self.along * value, axis=-1, keepdims=True)
        scatter, log_det = row_scatter(value, mean, sd, *pilot, self.reference)
        return scatter, log_det + np.log1p((self.along**2).sum(axis=1))

    def backward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        return self._loop(value, inputs)[0]

    def forward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        mean, sd = inputs[-3], inputs[-2]
        column = np.arange(self.score.shape[1])
        logits = pt.inc_subtensor(mean[:, column + (column >= self.reference)], value)
        row = np.arange(len(self.base))
        of_base = logits[row, self.base][:, None]
        weight = 1 / (sd[self.free] ** 2 + sd[self.base][:, None] ** 2)
        q = self.information + weight
        from_base = mean[row[:, None], self.free] - mean[row, self.base][:, None]
        own = logits[row[:, None], self.free] - of_base
        value = (own - (self.score + from_base * weight) / q) * pt.sqrt(q)
        if self.along is None:
            return value
        share = self.along / (1 + (self.along**2).sum(axis=1, keepdims=True))
        return value - share * pt.sum(self.along * value, axis=-1, keepdims=True)

    def log_jac_det(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        return self._loop(value, inputs)[1]
