"""Standard deviations of all categories, with a common scale."""

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform
from pytensor.tensor import TensorVariable

__all__ = ["PartlyCentred", "location_weight", "pooled_spreads"]


class PartlyCentred(Transform):
    r"""
    Sample log-normal values relative to a part of their location, :math:`x = \exp(t + w\mu)`.

    With w = 0 this is the logarithm. Where data say little of x, t is best free of the location,
    w = 1; where they say much, x has nothing to do with it, w = 0. A change of variables: *any*
    weight gives the same posterior (Papaspiliopoulos, Roberts & Sköld, 2007).

    Parameters
    ----------
    weight : numpy.ndarray
        w, from 0 to 1, of the location's shape.
    """

    name = "log"
    ndim_supp = 0

    def __init__(self, weight: np.ndarray) -> None:
        self.weight = weight

    def _log(self, value: TensorVariable, inputs: tuple[Any, ...]) -> TensorVariable:
        return value + self.weight * inputs[2]

    def forward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        """t from x."""
        return pt.log(value) - self.weight * inputs[2]

    def backward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        """x from t."""
        return pt.exp(self._log(value, inputs))

    def log_jac_det(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        """Logarithm of the derivative."""
        return self._log(value, inputs)


def location_weight(information: np.ndarray, score: np.ndarray) -> np.ndarray:
    r"""
    By how much spreads should be sampled relative to their common scale.

    Of n groups whose effects are known, the logarithm of a standard deviation has a standard error
    of :math:`1 / \sqrt{2 n}`, beside a prior of 0.5. A group counts by how well its effect is
    known, :math:`h v / (1 + h v)` for an information h and a variance v between groups.

    Parameters
    ----------
    information, score : numpy.ndarray, shape (C, K - 1, ...)
        Expansion of the groups' log-likelihood, without axes between effects.

    Returns
    -------
    numpy.ndarray, shape (...)
        The weight for :class:`PartlyCentred`, from 0 to 1.

    Examples
    --------
    Hundred groups whose effects are far apart, and hundred that hardly differ:

    >>> import numpy as np
    >>> from helpers.effects import location_weight
    >>> effects = np.random.default_rng(1).normal(size=(100, 2))
    >>> h = np.full((100, 2), 400.0)
    >>> noise = 0.05 * np.random.default_rng(2).normal(size=(100, 2))
    >>> location_weight(h, h * (effects + noise)).round(2), location_weight(h, h * noise).round(2)
    (np.float64(0.02), np.float64(1.0))
    """
    h = np.maximum(information, 1e-12)
    estimate = score / h
    known = h / (1 + h)
    mean = (known * estimate).sum(axis=0) / known.sum(axis=0)
    # Squares less what chance makes of them, weighted by what is known.
    excess = (h * (estimate - mean) ** 2 - 1).sum(axis=0) / h.sum(axis=0)
    variance = np.maximum(excess, 0.0)
    groups = (h * variance / (1 + h * variance)) ** 2
    return 1 / (1 + groups.sum(axis=0).mean(axis=0) / 2)


def pooled_spreads(
    name: str, dims: str | tuple[str, ...], weight: np.ndarray | float = 0.0
) -> TensorVariable:
    r"""
    Standard deviations that have a common scale, so that small data do not scatter them.

    Unlike independent priors, they are shrunk towards each other, and remain exchangeable between
    categories:

    .. math::

       \log \sigma_k \sim N(\log s, 0.5^2), \qquad s \sim \operatorname{HalfNormal}(1),

    with a scale for each effect where there are several.

    Parameters
    ----------
    name : str
        Name of the standard deviations; their scale s is ``{name}_scale``, over the dims after the
        first.
    dims : str or tuple of str
        Their dims, that of categories first. With two categories only the variance of their
        difference is seen, and both have the same standard deviation, s.
    weight : numpy.ndarray or float
        How they are sampled, see :class:`PartlyCentred`; of the dims after the first.

    Returns
    -------
    TensorVariable
        The standard deviations.

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers.effects import pooled_spreads
    >>> with pm.Model(coords={"category": list("abc")}) as model:
    ...     sd = pooled_spreads("sd", "category")
    >>> [v.name for v in model.free_RVs], sd.eval().shape
    (['sd_scale', 'sd'], (3,))
    """
    dims = (dims,) if isinstance(dims, str) else tuple(dims)
    coords = pm.modelcontext(None).coords
    shape = tuple(len(coords[dim]) for dim in dims)
    scale = pm.HalfNormal(f"{name}_scale", 1, dims=dims[1:])
    if shape[0] == 2:
        return pm.Deterministic(name, scale * np.ones(shape), dims=dims)
    # Not always as s exp(z / 2): where data say much of each, s and all z would share a direction.
    transform = PartlyCentred(np.broadcast_to(np.asarray(weight, dtype=float), shape).copy())
    return pm.LogNormal(name, pt.log(scale), 0.5, dims=dims, default_transform=transform)
