"""Speed of the sum over unknown menus: one by one, or as an integral.

Run with `make bench`.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from graphs import value_and_gradient

from helpers import ZeroInflatedMultinomial


def model(n_rows, n_categories, in_doubt, method):
    """Counts of 1,000 choices a row; the first `in_doubt` categories on half of the menus."""
    rng = np.random.default_rng(1)
    psi = np.where(np.arange(n_categories) < in_doubt, 0.5, 1.0)
    weight = np.exp(rng.normal(size=n_categories)) * (rng.uniform(size=(n_rows, len(psi))) < psi)
    counts = rng.multinomial(1_000, weight / weight.sum(axis=1, keepdims=True))
    with pm.Model() as out:
        logits = pm.Normal("logits", 0, 2, shape=(n_rows, n_categories))
        doubt = pm.Beta("psi", 1, 1, shape=in_doubt)
        ZeroInflatedMultinomial(
            "counts",
            1_000,
            logits,
            psi=pt.concatenate([doubt, np.ones(n_categories - in_doubt)]),
            observed=counts,
            method=method,
        )
    return out


@pytest.mark.parametrize("in_doubt", [2, 4, 6, 8])
@pytest.mark.parametrize("method", ["enumerate", "quadrature"])
def test_method(benchmark, in_doubt, method):
    benchmark.group = f"unknown menus, 200 rows, {in_doubt} categories in doubt: gradient"
    benchmark.extra_info["what"] = method
    benchmark(*value_and_gradient(model(200, 10, in_doubt, method)))


def test_a_hundred_categories(benchmark):
    benchmark.group = "unknown menus, 200 rows, 99 categories in doubt: gradient"
    benchmark.extra_info["what"] = "quadrature"
    benchmark(*value_and_gradient(model(200, 100, 99, "quadrature")))
