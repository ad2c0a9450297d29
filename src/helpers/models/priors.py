"""Default priors."""

from functools import partial

import numpy as np
import pymc as pm

from helpers.models.choices import _require

# Logit scale. A logit of 2 is odds of about 7 to 1, and predictors are standardised. Chapter 2
# looks at what these say about shares before any data.
DEFAULT_PRIORS = {
    "intercept": partial(pm.Normal, mu=0, sigma=2),
    "intercept_mean": partial(pm.Normal, mu=0, sigma=2),
    "intercept_sd": partial(pm.Exponential, lam=1),
    "slope": partial(pm.Normal, mu=0, sigma=1),
    "effects_sd": partial(pm.Exponential, lam=1),
    "psi": partial(pm.Beta, alpha=1, beta=1),
    # Nine in ten between 4 and 2,700: two choices of a row correlated by 0.2 to 0.0004.
    "concentration": partial(pm.LogNormal, mu=np.log(100), sigma=2),
    "drift_sd": partial(pm.Exponential, lam=1),
}


def _effects_mean(name, dims):
    """Prior of population means: that of an intercept first, that of slopes after it."""
    n_effects = len(pm.modelcontext(None).coords[dims[-1]])
    return pm.Normal(name, 0, np.array([2.0] + [1.0] * (n_effects - 1)), dims=dims)


DEFAULT_PRIORS["effects_mean"] = _effects_mean


def _check_priors(priors, effects, n_predictors, covariance, unknown, overdispersed, drift):
    """Refuse priors of parameters that there are not, or that this model does not have."""
    for name in priors:
        _require("a prior's name", name, tuple(DEFAULT_PRIORS))
    used = {
        "pooled": ["intercept"],
        "intercepts": ["intercept_mean", "intercept_sd"],
        "slopes": ["effects_mean", "effects_sd"],
    }[effects]
    if n_predictors and effects != "slopes":
        used.append("slope")
    if unknown:
        used.append("psi")
    if overdispersed:
        used.append("concentration")
    if drift is not None:
        used.append("drift_sd")
    if covariance == "kronecker" and effects == "slopes":
        # Standard deviations are products there, with priors of their own.
        used.remove("effects_sd")
    for name in priors:
        if name not in used:
            raise ValueError(
                f"There is a prior for {name!r}, which this model does not have: its own are "
                f"{', '.join(used)}."
            )
