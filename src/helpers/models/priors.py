"""Default priors, and their replacement."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pymc as pm
from pytensor.tensor import TensorVariable

from helpers.data.messages import require_choice
from helpers.models.design import Design

__all__ = ["DEFAULT_PRIORS", "used_priors"]

type Prior = Callable[[str, str | Sequence[str] | None], TensorVariable]


def _effects_mean(name: str, dims: Sequence[str]) -> TensorVariable:
    """Prior of population means: that of an intercept first, that of slopes after it."""
    n_effects = len(pm.modelcontext(None).coords[dims[-1]])
    return pm.Normal(name, 0, np.array([2.0] + [1.0] * (n_effects - 1)), dims=dims)


# Logit scale. A logit of 2 is odds of about 7 to 1, and predictors are standardised. Chapter 2
# looks at what these say about shares before any data.
DEFAULT_PRIORS: dict[str, Callable] = {
    "intercept": partial(pm.Normal, mu=0, sigma=2),
    "intercept_mean": partial(pm.Normal, mu=0, sigma=2),
    "intercept_sd": partial(pm.Exponential, lam=1),
    "slope": partial(pm.Normal, mu=0, sigma=1),
    "effects_mean": _effects_mean,
    "effects_sd": partial(pm.Exponential, lam=1),
    "psi": partial(pm.Beta, alpha=1, beta=1),
    # Nine in ten between 4 and 2,700: two choices of a row correlated by 0.2 to 0.0004.
    "concentration": partial(pm.LogNormal, mu=np.log(100), sigma=2),
    "drift_sd": partial(pm.Exponential, lam=1),
}

_OF_EFFECTS = {
    "pooled": ["intercept"],
    "intercepts": ["intercept_mean", "intercept_sd"],
    "slopes": ["effects_mean", "effects_sd"],
}


def used_priors(given: Mapping[str, Callable] | None, design: Design) -> Prior:
    """
    Priors of a model's parameters: those given, and defaults for the rest.

    Parameters
    ----------
    given : mapping of str to callable or None
        Priors by parameter, each called as ``prior(name, dims=dims)``.
    design : Design
        What the model is for.

    Returns
    -------
    callable
        From a parameter's name and dims to its random variable.

    Raises
    ------
    ValueError
        If a prior is given for an unknown parameter, or for one that this model lacks.
    """
    given = dict(given or {})
    options = design.options
    used = list(_OF_EFFECTS[options.effects])
    if options.effects == "slopes" and options.covariance == "kronecker":
        # Standard deviations are products there, with priors of their own.
        used.remove("effects_sd")
    if options.effects != "slopes" and design.predictors is not None:
        used.append("slope")
    if options.availability == "unknown":
        used.append("psi")
    if options.likelihood == "dirichlet-multinomial":
        used.append("concentration")
    if options.drift is not None:
        used.append("drift_sd")
    for name in given:
        require_choice("a prior's name", name, tuple(DEFAULT_PRIORS))
        if name not in used:
            raise ValueError(
                f"This model has no parameter {name!r} to give a prior to: it has "
                f"{', '.join(used)}."
            )
    priors = DEFAULT_PRIORS | given
    return lambda name, dims: priors[name](name, dims=dims)
