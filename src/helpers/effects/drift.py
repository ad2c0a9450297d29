"""Drift over dates: a random walk of the logits, the same in all clusters."""

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import ArrayLike
from pymc.logprob.transforms import Transform
from pytensor.graph.basic import Variable
from pytensor.tensor import TensorVariable

from helpers.data.messages import require_choice
from helpers.effects.conditioned import Quadratic
from helpers.effects.contrasts import ContrastNormal
from helpers.effects.correlated import CENTRINGS, cluster_intercepts
from helpers.ops.contrasts import variance_of_contrasts

__all__ = ["ConditionedSteps", "date_gaps", "random_walk", "walk_at"]


def date_gaps(dates: ArrayLike) -> np.ndarray:
    """
    Distances between consecutive dates, in units of their mean.

    Parameters
    ----------
    dates : array_like, length D
        Dates, numbers or labels, in order and distinct. Labels that are neither dates nor numbers
        are taken as equally far apart.

    Returns
    -------
    numpy.ndarray, shape (D - 1,)
        With mean 1.

    Examples
    --------
    >>> from helpers.effects import date_gaps
    >>> date_gaps([1977, 1979, 1985]).tolist()
    [0.5, 1.5]
    >>> date_gaps(["spring", "summer", "autumn"]).tolist()
    [1.0, 1.0]
    """
    index: pd.Index = pd.Index(dates)  # type: ignore[arg-type]
    numbers = _numbers(index)
    gaps = np.ones(len(index) - 1) if numbers is None else np.diff(numbers)
    if not (gaps > 0).all():
        raise ValueError("Dates must be distinct and in order.")
    return gaps / gaps.mean() if len(gaps) else gaps


def random_walk(
    name: str,
    sd: TensorVariable | np.ndarray,
    gaps: np.ndarray,
    *,
    dims: tuple[str, str],
    weights: np.ndarray | None = None,
    centring: str = "auto",
    information: Quadratic | tuple | None = None,
    reference: int | None = None,
    categories: str = "category",
) -> TensorVariable:
    r"""
    Random walk over dates for each category, with mean zero over dates.

    Unlike :class:`pymc.GaussianRandomWalk`, the dates may be unevenly apart, the level is left to
    the intercepts, and what is sampled is nearly uncorrelated given the data:

    .. math::

       w_{d+1,k} - w_{d,k} \sim N(0, \sigma_k^2 \Delta_d), \qquad
       \sum_d g_{dk} w_{dk} = 0.

    With :math:`w_k = A_k u_k`, the steps :math:`u_k` are independent normals of one standard
    deviation, and so is any rotation :math:`V_k` of them: :math:`w_k = A_k V_k v_k` is the same
    walk. Where the log-likelihood is about :math:`b'w - \tfrac12 w' \operatorname{diag}(h) w`, the
    eigenvectors of :math:`A_k' \operatorname{diag}(h) A_k` give the rotation in which the
    :math:`v_{jk}` are nearly independent given the data, too, and each is sampled as in
    :class:`~helpers.effects.Conditioned`.

    Parameters
    ----------
    name : str
        Name of the walk; what is sampled is called ``{name}_steps``.
    sd : tensor_like of float, shape (contrast,)
        Standard deviation of the step over a gap of 1 (sd > 0).
    gaps : numpy.ndarray, shape (D - 1,)
        Distances between consecutive dates, as from :func:`date_gaps`.
    dims : tuple of two str
        Dims of dates and contrasts, both with coordinates in the model.
    weights : numpy.ndarray, shape (D, contrast), optional
        g, how much each date counts in the mean that is zero; all alike if not given. A date
        without data of a category should count nothing: the level would depend on a guess.
    centring : {"auto", "conditioned", "centred", "noncentred"}
        Parametrisation of the steps, as in :func:`~helpers.effects.cluster_intercepts`.
    information : Quadratic or tuple of numpy.ndarray, optional
        h and b, each of shape (D, contrast), as from :func:`~helpers.effects.expand_likelihood`.
    reference : int, optional
        Given, `sd`, shape (K,), is of all categories, the reference included, and the walk is that
        of their contrasts with it: the same whichever is the reference, see
        :class:`~helpers.effects.ContrastNormal`. The steps, ``{name}_steps``, then have the dims
        of steps and contrasts, in this order.
    categories : str
        The dim of all categories; needed for ``"noncentred"`` with a reference.

    Returns
    -------
    TensorVariable
        The walk, with the given dims.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc as pm
    >>> from helpers.effects import random_walk
    >>> coords = {"date": [1977, 1979, 1985], "contrast": ["left", "right"]}
    >>> with pm.Model(coords=coords):
    ...     walk = random_walk("walk", np.ones(2), np.array([0.5, 1.5]), dims=("date", "contrast"))
    >>> bool(np.allclose(pm.draw(walk, 100).sum(axis=1), 0))
    True
    """
    date, contrast = dims
    model = pm.modelcontext(None)
    n_contrasts = len(model.coords[contrast])
    # The walk from its steps: sums of them, without their mean over dates.
    sums = np.tril(np.ones((len(gaps) + 1, len(gaps))), -1) * np.sqrt(gaps)
    if weights is None:
        weights = np.ones((len(gaps) + 1, n_contrasts))
    weights = np.asarray(weights, dtype=float).T / np.sum(weights, axis=0)[:, None]
    design = sums - (weights @ sums)[:, None, :]
    step = f"{date}_step"
    if step not in model.coords:
        model.add_coord(step, range(1, len(gaps) + 1))
    rotated, rotation = None, None
    if information is not None:
        h, b = (np.asarray(x, dtype=float).T for x in information[:2])
        values, rotation = np.linalg.eigh(design.mT @ (h[:, :, None] * design))
        score = ((design @ rotation).mT @ b[:, :, None])[:, :, 0]
        rotated = Quadratic(np.clip(values, 0, None), score)
    if reference is not None:
        steps = _steps_of_contrasts(
            f"{name}_steps",
            sd,
            (step, contrast),
            centring,
            (rotated, rotation),
            reference,
            categories,
        )
        walk = pt.sum(np.moveaxis(design, 0, 1) * steps.T[None], axis=-1)
        return pm.Deterministic(name, walk, dims=dims)
    if rotation is not None:
        design = design @ rotation
    steps = cluster_intercepts(
        f"{name}_steps",
        0.0,
        sd[:, None],
        dims=(contrast, step),
        centring=centring,
        information=rotated,
    )
    walk = pt.sum(design * steps[:, None, :], axis=-1).T
    return pm.Deterministic(name, walk, dims=dims)


def _steps_of_contrasts(name, sd, dims, centring, pilot, reference, categories):
    """Steps of all contrasts, independent from one gap to the next."""
    require_choice("centring", centring, CENTRINGS)
    rotated, rotation = pilot
    if rotated is None or centring in ("centred", "noncentred"):
        return cluster_intercepts(
            name, 0.0, sd, dims=dims, centring=centring, reference=reference, categories=categories
        )
    transform = ConditionedSteps(rotated.information, rotated.score, rotation, reference)
    zero = np.zeros(len(transform.information))
    return ContrastNormal(
        name,
        zero,
        sd,
        reference=reference,
        dims=dims,
        transform=transform,
        start=transform.start,
    )


class ConditionedSteps(Transform):
    r"""
    Sample the steps of a walk relative to what the dates say about it, in rotated coordinates.

    The :class:`~helpers.effects.Conditioned` of walks: the steps of contrast k are
    :math:`V_k v_k`, and each :math:`v_{jk}` is sampled as there, with the variance
    :math:`\sigma_k^2 + \sigma_{\text{ref}}^2` of a step of the contrast by itself. A change of
    variables: *any* constants give the same posterior.

    Parameters
    ----------
    information, score : numpy.ndarray, shape (contrast, step)
        h and b of the rotated steps (information >= 0).
    rotation : numpy.ndarray, shape (contrast, step, step)
        Orthogonal matrices V.
    reference : int
        Position of the reference among all categories.
    """

    name = "conditioned"
    ndim_supp = 1

    def __init__(
        self, information: np.ndarray, score: np.ndarray, rotation: np.ndarray, reference: int
    ) -> None:
        self.information, self.score, self.rotation = information, score, rotation
        self.reference = reference
        in_rotated = score / (information + 1)
        self.start = np.einsum("ksj,kj->sk", rotation, in_rotated)

    def _precision(self, inputs: tuple) -> TensorVariable:
        """Precision of each rotated step, (step, contrast)."""
        return self.information.T + 1 / variance_of_contrasts(inputs[-1] ** 2, self.reference)

    def backward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        q = self._precision(inputs)
        rotated = self.score.T / q + value / pt.sqrt(q)
        return pt.sum(np.moveaxis(self.rotation, 0, 1) * rotated.T[None], axis=-1)

    def forward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        q = self._precision(inputs)
        rotated = pt.sum(self.rotation.transpose(2, 0, 1) * value.T[None], axis=-1)
        return (rotated - self.score.T / q) * pt.sqrt(q)

    def log_jac_det(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        # Rotations preserve volume.
        return -0.5 * pt.sum(pt.log(self._precision(inputs)), axis=-1)


def walk_at(
    walk: np.ndarray, sd: np.ndarray, dates: pd.Index, new: pd.Index, rng: np.random.Generator
) -> np.ndarray:
    """
    Draw a random walk at dates without data, given its values at others.

    Parameters
    ----------
    walk : numpy.ndarray, shape (D, K)
        The walk at `dates`.
    sd : numpy.ndarray, shape (K,)
        Standard deviation of its step over the mean gap between `dates`.
    dates : pandas.Index, length D
        Dates or numbers, in order.
    new : pandas.Index, length M
        Other dates, each once: between `dates` or outside them.
    rng : numpy.random.Generator
        Generator.

    Returns
    -------
    numpy.ndarray, shape (M, K)

    Raises
    ------
    ValueError
        For labels, which say nothing of how far apart they are.

    Examples
    --------
    Half way between two dates the walk lies between them, on average:

    >>> import numpy as np
    >>> import pandas as pd
    >>> from helpers.effects import walk_at
    >>> walk, rng = np.array([[0.0], [2.0]]), np.random.default_rng(1)
    >>> middle = [walk_at(walk, 0.1, pd.Index([1, 3]), pd.Index([2]), rng) for _ in range(500)]
    >>> print(np.mean(middle).round(1), np.std(middle).round(2))
    1.0 0.05
    """
    at, at_new = _numbers(dates), _numbers(new)
    if at is None or at_new is None:
        raise ValueError(
            f"Dates without data must be dates or numbers, as those with data: {list(new[:5])} are "
            "labels, which do not say how far they are from others."
        )
    unit = np.diff(at).mean()
    positions, values = list(at), list(walk)
    out = np.empty((len(at_new), np.shape(walk)[1]))
    for i in np.argsort(at_new):
        position = int(np.searchsorted(positions, at_new[i]))
        before, after = max(position - 1, 0), min(position, len(positions) - 1)
        if before == after:  # outside: a step from the nearest end
            mean, variance = values[after], abs(at_new[i] - positions[after]) / unit
        else:  # between two: a bridge
            part = (at_new[i] - positions[before]) / (positions[after] - positions[before])
            mean = (1 - part) * values[before] + part * values[after]
            variance = part * (positions[after] - at_new[i]) / unit
        out[i] = mean + sd * np.sqrt(variance) * rng.normal(size=out.shape[1])
        positions.insert(position, at_new[i])
        values.insert(position, out[i])
    return out


def _numbers(dates):
    """Dates as numbers, or None if they are labels."""
    if isinstance(dates, pd.DatetimeIndex):
        return dates.as_unit("ns").asi8.astype(float)
    return dates.to_numpy(dtype=float) if pd.api.types.is_numeric_dtype(dates) else None
