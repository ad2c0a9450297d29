"""
The graphs that the benchmarks compare.

Run as a script it compiles one of them and prints the seconds that took, so that a benchmark can
start it in a process of its own with an empty compile cache:

    python tests/benchmarks/graphs.py loop
"""

import sys
import time

import numba
import numpy as np
import pymc as pm
import pytensor.tensor as pt

from helpers import masked_regression, simulate_counts


def loop(data):
    """The model of the original question: a covariance for each category in a Python loop."""
    x = data.predictors["x"].to_numpy()
    x = (x - x.mean()) / x.std()
    cluster = data.cluster.codes.astype(int)
    with pm.Model() as model:
        columns = []
        for k in range(data.counts.shape[1] - 1):
            sd = pm.Exponential.dist(1)
            chol, *_ = pm.LKJCholeskyCov(f"chol_{k}", n=2, eta=4, sd_dist=sd)
            mean = pm.Normal(f"mean_{k}", 0, [2.0, 1.0])
            shape = (len(data.cluster.categories), 2)
            effects = pm.MvNormal(f"effects_{k}", mean, chol=chol, shape=shape)
            columns.append(effects[cluster, 0] + effects[cluster, 1] * x)
        columns.append(pt.zeros(len(data)))
        p = data.available * pm.math.softmax(pt.stack(columns, axis=1), axis=1)
        p = p / p.sum(axis=1, keepdims=True)
        pm.Multinomial("counts", n=data.n, p=p, observed=data.counts)
    return model


def batch(data):
    """The same density with one covariance variable."""
    return masked_regression(data, centring="centred", reference=data.categories[-1])


def conditioned(data):
    """What `masked_regression` does if nothing else is asked for."""
    return masked_regression(data)


GRAPHS = {"loop": loop, "batch": batch, "conditioned": conditioned}


def value_and_gradient(model, mode="NUMBA"):
    """Compile log-density and gradient, data and dims as constants; return it with a point."""
    model = pm.model.transform.optimization.freeze_dims_and_data(model)
    function = model.logp_dlogp_function(ravel_inputs=True, mode=mode)
    function.set_extra_values({})
    point = pm.blocking.DictToArrayBijection.map(model.initial_point()).data
    compiled = function._pytensor_function
    compiled(point)  # numba and JAX compile at the first call
    return compiled, point


@numba.njit(error_model="numpy")
def by_hand(effects, cluster, x, counts, available, n, gradient):
    """
    Masked multinomial log-likelihood and its gradient in the effects, in one scalar loop.

    What its author would write for speed: each exponential is taken once and kept, nothing is
    worked out twice. The last category is the reference. Log-factorials are left out. `effects`
    and `gradient` have shape (cluster, contrast, 2).
    """
    n_rows, n_categories = counts.shape
    eta = np.zeros(n_categories)
    gradient[:] = 0.0
    total = 0.0
    for i in range(n_rows):
        c = cluster[i]
        top = -np.inf
        for k in range(n_categories - 1):
            eta[k] = effects[c, k, 0] + effects[c, k, 1] * x[i]
        eta[n_categories - 1] = 0.0
        for k in range(n_categories):
            if available[i, k] and eta[k] > top:
                top = eta[k]
        weight = 0.0
        for k in range(n_categories):
            if available[i, k]:
                total += counts[i, k] * (eta[k] - top)
                eta[k] = np.exp(eta[k] - top)
                weight += eta[k]
        total -= n[i] * np.log(weight)
        scale = n[i] / weight
        for k in range(n_categories - 1):
            if available[i, k]:
                residual = counts[i, k] - scale * eta[k]
                gradient[c, k, 0] += residual
                gradient[c, k, 1] += residual * x[i]
    return total


if __name__ == "__main__":
    model = GRAPHS[sys.argv[1]](simulate_counts(random_seed=1)[0])
    start = time.perf_counter()
    value_and_gradient(model)
    print(time.perf_counter() - start)
