"""Standard deviations of all categories, with a common scale."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor import TensorVariable

__all__ = ["pooled_spreads"]


def pooled_spreads(name: str, dims: str | tuple[str, ...]) -> TensorVariable:
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
    # Not as s exp(z / 2): where data say much of each, s and all z would share a direction.
    return pm.LogNormal(name, pt.log(scale), 0.5, dims=dims)
