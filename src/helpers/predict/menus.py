"""What the counts say about menus that nobody recorded."""

import numpy as np
import pytensor.tensor as pt
import xarray as xr

from helpers.distributions._grouped import GroupedZeroInflatedMultinomialRV, grouped_logp
from helpers.distributions.pattern_mixture import (
    PatternMixtureMultinomial,
    PatternMixtureMultinomialRV,
)
from helpers.distributions.zero_inflated import ZeroInflatedMultinomial, ZeroInflatedMultinomialRV
from helpers.predict.draws import value_by_draw

__all__ = ["menu_probabilities"]


def menu_probabilities(idata, model, *, name="counts", draws=400):
    r"""
    Probability that each category was on each row's menu, given the counts.

    Unlike psi, which says how often a category is on a menu at all, this is about the rows at
    hand: near 0 where so many choices without a single one of a well-liked category can hardly be
    chance, near psi where there were too few choices to tell, and 1 where it was chosen.

    .. math::

       P(a_{ik} = 1 \mid y) = \psi_k \Big(1 + (1 - \psi_k) \frac{\partial \log L}
       {\partial \psi_{ik}}\Big), \qquad
       P(m \mid y_i) = w_m \frac{\partial \log L_i}{\partial w_{im}},

    for the likelihood is linear in each probability; the second line is for patterns. Both are
    averaged over the posterior.

    Parameters
    ----------
    idata : xarray.DataTree
        Draws from `model`, with all its free variables.
    model : pymc.Model
        A model with an observed :class:`~helpers.ZeroInflatedMultinomial` or
        :class:`~helpers.PatternMixtureMultinomial`, such as that of
        ``masked_regression(..., availability="unknown")``.
    name : str
        Name of the observed variable.
    draws : int
        Number of draws to average over, taken evenly from all chains (draws >= 1).

    Returns
    -------
    xarray.DataArray
        Dims (row, category), or those that the variable has in the model.

    Raises
    ------
    ValueError
        If the variable is of another kind or not observed, or the posterior lacks a variable.

    Examples
    --------
    Two places, the first with 40 choices and the second with 2, and none of the first category,
    which half of those would take who can:

    >>> import arviz as az
    >>> import numpy as np
    >>> import pymc as pm
    >>> from helpers import ZeroInflatedMultinomial, menu_probabilities
    >>> with pm.Model() as model:
    ...     psi = pm.Beta("psi", 1, 1)
    ...     counts = ZeroInflatedMultinomial(
    ...         "counts", [40, 2], p=[0.5, 0.5], psi=pm.math.stack([psi, 1.0]),
    ...         observed=[[0, 40], [0, 2]],
    ...     )
    >>> idata = az.from_dict({"posterior": {"psi": np.full((1, 1), 0.5)}})
    >>> print(menu_probabilities(idata, model).to_numpy().round(3))
    [[0.  1. ]
     [0.2 1. ]]
    """
    if name not in model.named_vars or model[name] not in model.observed_RVs:
        raise ValueError(f"The model has no observed variable {name!r}: give its name in `name`.")
    rv = model[name]
    posterior = idata["posterior"]
    total = posterior.sizes["chain"] * posterior.sizes["draw"]
    every = np.unique(np.linspace(0, total - 1, draws).astype(int))
    expression = _by_draw(rv, model.rvs_to_values[rv])
    mean = np.mean(list(value_by_draw(posterior, model, expression, every)), axis=0)
    dims = model.named_vars_to_dims.get(name)
    if dims is None:
        return xr.DataArray(mean, dims=("row", "category"), name="available")
    coords = {d: list(model.coords[d]) for d in dims if model.coords.get(d) is not None}
    return xr.DataArray(mean, dims=dims, coords=coords, name="available")


def _by_draw(rv, value):
    """Probabilities as an expression in the model's variables."""
    op, inputs = rv.owner.op, rv.owner.inputs
    if isinstance(op, ZeroInflatedMultinomialRV):
        n, logits, psi, available, method, _ = inputs[2:]
        psi = _cells(psi, available, value)
        logp = ZeroInflatedMultinomial.logp(
            value, n, logits, psi, np.nan * pt.ones_like(psi), method, pt.constant(True)
        )
    elif isinstance(op, GroupedZeroInflatedMultinomialRV):
        n, logits, psi, available, group, first, _ = inputs[2:]
        psi = _cells(psi, available, value)
        unknown = pt.constant(np.full(value.type.shape, np.nan))
        logp = grouped_logp(value, n, logits, psi, unknown, group, first, pt.constant(True))
    elif isinstance(op, PatternMixtureMultinomialRV):
        n, logits, patterns, weights = inputs[2:]
        weights = pt.broadcast_to(weights, (*value.shape[:-1], weights.shape[-1]))
        logp = PatternMixtureMultinomial.logp(value, n, logits, patterns, weights)
        share = weights * pt.grad(pt.sum(logp), weights)
        return pt.sum(share[..., None] * patterns, axis=-2)
    else:
        raise ValueError(
            f"{rv.name!r} has no unknown menus: it must be a ZeroInflatedMultinomial or a "
            "PatternMixtureMultinomial."
        )
    # As likely as the data are with an empty menu allowed, in which every psi is linear.
    whole = psi if isinstance(op, ZeroInflatedMultinomialRV) else psi[first.data]
    logp = logp + pt.log1p(-pt.prod(1 - whole, axis=-1))
    gradient = pt.grad(pt.sum(logp), psi)
    out = psi * (1 + (1 - psi) * gradient)
    return out if isinstance(op, ZeroInflatedMultinomialRV) else out[first.data][group.data]


def _cells(psi, available, value):
    """One probability for each cell, what is known put in."""
    return pt.broadcast_to(pt.switch(pt.isnan(available), psi, available), value.shape)
