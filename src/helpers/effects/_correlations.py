"""Priors of correlations between effects, and of standard deviations that come with them."""

from math import prod

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor import TensorVariable

from helpers.ops.triangular import columns, correlation_factor


def copy_of(dim: str) -> str:
    """Name of a dim's second copy, on the other side of a correlation matrix."""
    model = pm.modelcontext(None)
    copy = f"{dim}_bis"
    if copy not in model.coords:
        model.add_coord(copy, model.coords[dim])
    return copy


def kronecker_sd(name: str, category: str, effect: str) -> TensorVariable:
    """Standard deviations that are products of a category's and an effect's."""
    n_effects = len(pm.modelcontext(None).coords[effect])
    by_category = pm.Exponential(f"{name}_category_sd", 1, dims=category)
    if n_effects == 1:
        return pm.Deterministic(f"{name}_sd", by_category[:, None], dims=(category, effect))
    # Only products of the two are seen, so one of them is relative.
    shares = pm.Dirichlet(f"{name}_effect_share", 2 * np.ones(n_effects))
    scale = pm.Deterministic(f"{name}_effect_scale", n_effects * shares, dims=effect)
    return pm.Deterministic(f"{name}_sd", by_category[:, None] * scale, dims=(category, effect))


def correlations_by_category(
    name: str, eta: float, category: str, effect: str, correlated: bool
) -> TensorVariable:
    """Entries below the diagonal of each category's Cholesky factor; shape (K, P (P - 1) / 2)."""
    coords = pm.modelcontext(None).coords
    n_categories, n_effects = len(coords[category]), len(coords[effect])
    pairs = [(i, j) for i in range(n_effects) for j in range(i)]
    if not correlated or not pairs:
        return pt.zeros((n_categories, len(pairs)))
    # LKJ by partial correlations, that of effects i and j given those before j: independent, and
    # entry by entry, which compiles in a fraction of the time of a matrix's log-density.
    if n_effects == 2:
        half = pm.Beta(f"{name}_corr_beta", eta, eta, dims=category)
    else:
        by_pair = eta + np.array([(n_effects - 2 - j) / 2 for _, j in pairs])
        half = pm.Beta(f"{name}_corr_beta", by_pair, by_pair, shape=(n_categories, len(pairs)))
    halves = columns(half.reshape((n_categories, len(pairs))), len(pairs))
    partial = {pair: 2 * x - 1 for pair, x in zip(pairs, halves, strict=True)}
    entries = []
    for i, j in pairs:
        left = prod(pt.sqrt(1 - partial[i, k] ** 2) for k in range(j))
        entries.append(partial[i, j] * left)
    together = pt.specify_shape(pt.stack(entries, axis=-1), (n_categories, len(pairs)))
    register_correlations(f"{name}_corr", together, category, effect)
    return together


def register_correlations(name: str, entries: TensorVariable, category: str, effect: str) -> None:
    """Register each category's correlation matrix, given the entries of its Cholesky factor."""
    n_effects = len(pm.modelcontext(None).coords[effect])
    factor, corr = correlation_factor(columns(entries)), np.eye(n_effects)
    for i in range(n_effects):
        for j in range(i):
            r = sum(x * y for x, y in zip(factor[i], factor[j], strict=False))
            corr = corr + r[:, None, None] * _both_ways(i, j, n_effects)
    pm.Deterministic(name, corr, dims=(category, effect, copy_of(effect)))


def _both_ways(i, j, size):
    """Positions of the correlation of effects i and j in their matrix."""
    position = np.zeros((size, size))
    position[i, j] = position[j, i] = 1
    return position


def _lkj(name, eta, size):
    """Cholesky factor of one correlation matrix."""
    if size == 1:
        return pt.ones((1, 1))
    return pm.LKJCorr(f"{name}_chol", n=size, eta=eta)


def _times_transpose(matrix):
    """L L'; a sum, as in `couple`."""
    return pt.sum(matrix[:, None, :] * matrix, axis=-1)


def correlations_of_all(
    name: str, covariance: str, eta: float, category: str, effect: str
) -> TensorVariable:
    """Cholesky factor of the correlations of all effects, those of a category side by side."""
    coords = pm.modelcontext(None).coords
    n_categories, n_effects = len(coords[category]), len(coords[effect])
    size = n_categories * n_effects
    if covariance == "full":
        chol = _lkj(f"{name}_corr", eta, size)
        corr = _times_transpose(chol).reshape((n_categories, n_effects) * 2)
        corr_dims = (category, effect, copy_of(category), copy_of(effect))
        pm.Deterministic(f"{name}_corr", corr, dims=corr_dims)
        return chol
    between = _lkj(f"{name}_category_corr", eta, n_categories)
    within = _lkj(f"{name}_effect_corr", eta, n_effects)
    corr = _times_transpose(between)
    pm.Deterministic(f"{name}_category_corr", corr, dims=(category, copy_of(category)))
    pm.Deterministic(
        f"{name}_effect_corr", _times_transpose(within), dims=(effect, copy_of(effect))
    )
    return (between[:, None, :, None] * within[None, :, None, :]).reshape((size, size))
