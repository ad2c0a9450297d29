"""What the counts say about menus that nobody recorded."""

import numpy as np
import pymc as pm
import xarray as xr

from helpers.distributions.menu_posterior import menu_posterior
from helpers.predict._scatter import require_stored_scatter
from helpers.predict.draws import value_by_draw

__all__ = ["menu_probabilities"]


def menu_probabilities(
    idata: xr.DataTree, model: pm.Model, *, name: str = "counts", draws: int = 400
) -> xr.DataArray:
    r"""
    Probability that each category was on each row's menu, given the counts.

    Unlike psi, which says how often a category is on a menu at all, this is about the rows at
    hand: near 0 where a popular category received none of so many choices that chance can hardly
    explain it, near psi where there were too few choices to tell, and 1 where it was chosen.

    .. math::

       P(a_{ik} = 1 \mid y) = \psi_k \Big(1 + (1 - \psi_k) \frac{\partial \log L}
       {\partial \psi_{ik}}\Big), \qquad
       P(m \mid y_i) = w_m \frac{\partial \log L_i}{\partial w_{im}},

    as the likelihood is linear in each probability; the second is for patterns. Both are averaged
    over the posterior.

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
        If the variable is of another kind or not observed, or the posterior lacks a variable, such
        as the scatter of rows: store it with
        ``var_names=[*parameter_names(model), "scatter"]``.

    Examples
    --------
    One row has 40 choices, another has 2, and none of them is of the first category, which half
    of those who can would choose:

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
    posterior = idata["posterior"].to_dataset()
    require_stored_scatter(model, posterior)
    total = posterior.sizes["chain"] * posterior.sizes["draw"]
    every = np.unique(np.linspace(0, total - 1, draws).astype(int))
    expression = menu_posterior(rv, model.rvs_to_values[rv])
    by_draw = value_by_draw(posterior, model, expression, every)
    mean = np.mean(list(by_draw), axis=0)
    dims = model.named_vars_to_dims.get(name)
    if dims is None:
        return xr.DataArray(mean, dims=("row", "category"), name="available")
    coords = {d: list(model.coords[d]) for d in dims if model.coords.get(d) is not None}
    return xr.DataArray(mean, dims=dims, coords=coords, name="available")
