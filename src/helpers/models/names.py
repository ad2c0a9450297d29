"""Names of a model's variables."""

import pymc as pm

__all__ = ["parameter_names"]


def parameter_names(model: pm.Model) -> list[str]:
    """
    Name the variables that do not grow with the rows.

    Unlike the default of :func:`pymc.sample`, which stores every deterministic, these are all
    that is needed to compute the row-level ones again: give them as ``var_names`` when there are
    many rows. The scatter of rows, which grows with them, is left out, too: predictions draw it
    again from the rows' counts.

    Parameters
    ----------
    model : pymc.Model
        A model with a dim called ``row``.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from helpers import masked_regression, parameter_names, simulate_counts
    >>> data, _ = simulate_counts(n_clusters=3, n_dates=2, random_seed=1)
    >>> model = masked_regression(data, effects="pooled", likelihood="logistic-normal")
    >>> parameter_names(model)
    ['intercept', 'slope', 'scatter_sd_scale', 'scatter_sd']
    """
    named = model.free_RVs + model.deterministics
    return [v.name for v in named if "row" not in (model.named_vars_to_dims.get(v.name) or ())]
