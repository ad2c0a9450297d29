"""Speed of the masked multinomial and of the intercept models, as ratios within one run.

Run with `make bench`. Each group compares ways to do the same thing; the figures in brackets are
ratios to the fastest of the group.
"""

import logging

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest

from helpers import (
    MaskedMultinomial,
    check_convergence,
    masked_regression,
    parameter_names,
    simulate_counts,
)

logging.getLogger("pymc").setLevel("ERROR")


def plain(data):
    eta = pm.Normal("eta", 0, 2, shape=data.counts.shape)
    pm.Multinomial("counts", n=data.n, p=pm.math.softmax(eta, axis=1), observed=data.counts)


def masked_softmax(data):
    eta = pt.where(data.available, pm.Normal("eta", 0, 2, shape=data.counts.shape), -np.inf)
    pm.Multinomial("counts", n=data.n, p=pm.math.softmax(eta, axis=1), observed=data.counts)


def masked_multinomial(data):
    eta = pm.Normal("eta", 0, 2, shape=data.counts.shape)
    MaskedMultinomial(
        "counts", n=data.n, logits=eta, available=data.available, observed=data.counts
    )


@pytest.mark.parametrize("n_clusters", [20, 750], ids=["80 rows", "3000 rows"])
@pytest.mark.parametrize("likelihood", [plain, masked_softmax, masked_multinomial])
def test_gradient(benchmark, likelihood, n_clusters):
    data, _ = simulate_counts(n_clusters=n_clusters, effects="pooled", random_seed=1)
    benchmark.group = f"value and gradient, {len(data)} rows"
    with pm.Model() as model:
        likelihood(data)
    function = model.logp_dlogp_function(ravel_inputs=True)
    function.set_extra_values({})
    point = np.zeros(data.counts.size)
    function(point)
    benchmark(function, point)


@pytest.mark.parametrize("centring", ["conditioned", "centred", "noncentred"])
def test_intercepts_at_the_origins_scale(benchmark, centring):
    """Compile and draw 4 x (1,000 + 1,000); the origin waited two minutes."""
    data, _ = simulate_counts(effects="intercepts", random_seed=1)
    benchmark.group = "intercept model, 80 rows: build, compile, sample"

    def fit():
        model = masked_regression(data, effects="intercepts", centring=centring)
        with model:
            return pm.sample(
                1_000,
                tune=1_000,
                chains=4,
                nuts_sampler="nutpie",
                random_seed=1,
                progressbar=False,
                var_names=parameter_names(model),
            )

    # The first round fills the compile cache.
    slow = centring == "noncentred"
    idata = benchmark.pedantic(fit, rounds=1 if slow else 3, warmup_rounds=0 if slow else 1)
    benchmark.extra_info["sampling seconds"] = idata["posterior"].attrs["sampling_time"]
    benchmark.extra_info["gradient steps a draw"] = idata["sample_stats"]["n_steps"].mean().item()
    # With so many counts the non-centred form need not converge: its time is a lower bound.
    if not slow:
        check_convergence(idata)
