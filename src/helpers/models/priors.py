"""Default priors, and their replacement."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pymc as pm
from pytensor.tensor import TensorVariable

from helpers.data.messages import require_choice
from helpers.effects.contrasts import ContrastNormal, CorrelatedContrasts
from helpers.effects.spreads import pooled_spreads
from helpers.models.design import Design

__all__ = ["BY_CONTRAST", "DEFAULT_PRIORS", "Priors", "used_priors"]

# Standard deviations of these are of contrasts, and depend on which category is the reference.
BY_CONTRAST = ("intercept_sd", "effects_sd", "drift_sd")


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
    "intercept_spread": pooled_spreads,
    "effects_spread": pooled_spreads,
    "drift_spread": pooled_spreads,
    "scatter_sd": pooled_spreads,
    "nest_scale": partial(pm.Beta, alpha=1, beta=1),
    # Per standard deviation of the attribute.
    "attribute_slope": partial(pm.Normal, mu=0, sigma=1),
    "attribute_sd": partial(pm.Exponential, lam=1),
    # Juárez & Steel (2010): tails from very heavy to nearly normal.
    "scatter_df": partial(pm.Gamma, alpha=2, beta=0.1),
}

_LEVELS = {"pooled": "intercept", "intercepts": "intercept_mean", "slopes": "effects_mean"}


@dataclass(frozen=True)
class Priors:
    """
    Priors of a model's parameters.

    Attributes
    ----------
    by_name : mapping of str to callable
        Each is called as ``prior(name, dims=dims)``.
    given : frozenset of str
        Those that replace a default.
    design : Design
        What the model is for.
    """

    by_name: Mapping[str, Callable]
    given: frozenset[str]
    design: Design

    def __call__(
        self,
        name: str,
        dims: str | Sequence[str] | None,
        *,
        under: str | None = None,
        **of_default: Any,
    ) -> TensorVariable:
        """
        Register a parameter.

        Parameters
        ----------
        name : str
            Its name.
        dims : str or sequence of str or None
            Its dims.
        under : str, optional
            Another name to register it under.
        **of_default
            How to sample it, if its prior is the default, such as ``transform``.

        Returns
        -------
        TensorVariable
        """
        options = {} if name in self.given else of_default
        return self.by_name[name](under or name, dims=dims, **options)

    def mean(
        self,
        name: str,
        dims: str | tuple[str, ...],
        first: TensorVariable | None = None,
        **of_clusters: Any,
    ) -> TensorVariable:
        """
        Register population means or common slopes.

        By default their prior does not know the reference: the same normal for every category.

        Parameters
        ----------
        name : str
            Name of the parameter.
        dims : str or tuple of str
            Its dims.
        first : TensorVariable, shape (K - 1,), optional
            The drift at the first date. The prior is that of the levels then: those on average
            over a category's dates have another meaning for each category.
        **of_clusters
            `lower_sd` and `transform`, where the level is sampled relative to what clusters say of
            it, see :class:`~helpers.effects.ConditionedLevel`.

        Returns
        -------
        TensorVariable
        """
        if name in self.given or not self.design.symmetric:
            return self(name, dims)
        reference, n_categories = self.design.reference, len(self.design.data.categories)
        scale = np.sqrt(0.5)  # of each of the two categories of a contrast
        if name != "effects_mean":
            shift = np.zeros(n_categories - 1) if first is None else -first
            sd = np.full(n_categories, scale * (1.0 if name == "slope" else 2.0))
            return ContrastNormal(name, shift, sd, reference=reference, dims=dims, **of_clusters)
        n_effects = len(pm.modelcontext(None).coords["effect"])
        is_intercept = np.arange(n_effects) == 0
        shift = np.zeros((n_categories - 1, n_effects))
        if first is not None:
            shift = shift - first[:, None] * is_intercept
        sd = np.tile(scale * (1.0 + is_intercept), (n_categories, 1))
        no_entries = np.zeros((n_categories, n_effects * (n_effects - 1) // 2))
        return CorrelatedContrasts(
            name, shift, sd, no_entries, reference=reference, dims=dims, **of_clusters
        )


def used_priors(given: Mapping[str, Callable] | None, design: Design) -> Priors:
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
    Priors

    Raises
    ------
    ValueError
        If a prior is given for an unknown parameter, or for one that this model lacks.
    """
    given = dict(given or {})
    options = design.options
    used = [_LEVELS[options.effects]]
    # Standard deviations of a Kronecker product are products, with priors of their own.
    if options.effects != "pooled" and (
        options.effects == "intercepts" or options.covariance != "kronecker"
    ):
        kind = "spread" if design.symmetric_effects else "sd"
        used.append(f"{_LEVELS[options.effects].removesuffix('_mean')}_{kind}")
    if options.effects != "slopes" and design.predictors is not None:
        used.append("slope")
    if design.nest is not None:
        used.append("nest_scale")
    if design.attributes is not None:
        used += ["attribute_slope"] + ["attribute_sd"] * (len(design.varying_attributes) > 0)
    if options.availability == "unknown":
        used.append("psi")
    if options.likelihood == "dirichlet-multinomial":
        used.append("concentration")
    if options.likelihood == "logistic-normal":
        used += ["scatter_sd"] + ["scatter_df"] * (options.scatter == "t")
    if options.drift is not None:
        used.append("drift_spread" if design.symmetric else "drift_sd")
    for name in given:
        require_choice("a prior's name", name, tuple(DEFAULT_PRIORS))
        if name not in used:
            raise ValueError(
                f"This model has no parameter {name!r} to give a prior to: it has "
                f"{', '.join(used)}."
            )
    return Priors(DEFAULT_PRIORS | given, frozenset(given), design)
