"""The pilot of attributes, and the coordinates that it gives."""

import numpy as np
import pymc as pm
import pytest
from oracles import PLAIN
from scipy import optimize
from scipy.special import logsumexp

from helpers import simulate_counts
from helpers.effects import Whitened, fit_attributes

TRUE = {"price": -1.0, "time": 0.5}


@pytest.fixture(scope="module")
def table():
    data, _ = simulate_counts(
        4, 8, 3, unavailable=(0.3, 0, 0), effects="intercepts", n_range=(50, 500),
        attribute_slope=TRUE, exposure=(0.5, 2.0), random_seed=2,
    )  # fmt: skip
    return data, np.stack(list(data.attributes.values()), axis=-1)


def pilot(data, z):
    cluster, exposure = data.cluster.codes, np.log(np.where(data.available, data.exposure, 1.0))
    return fit_attributes(data.counts, data.available, cluster, 4, 1, z, exposure)


def test_is_the_mode(table):
    """Against scipy's minimiser of the penalised likelihood written out."""
    data, z = table
    log_exposure = np.log(np.where(data.available, data.exposure, 1.0))

    def loss(x):
        intercept, slope = x[:8].reshape(4, 2), x[8:]
        eta = z @ slope + log_exposure
        eta[:, [0, 2]] += intercept[data.cluster.codes]
        total = logsumexp(np.where(data.available, eta, -np.inf), axis=1)
        centred = intercept - intercept.mean(axis=0)
        penalty = 0.125 * (centred**2).sum() + 0.005 * (slope**2).sum()
        return -(data.counts * (eta - total[:, None])).sum() + penalty

    best = optimize.minimize(loss, np.zeros(10), tol=1e-10).x[8:]
    found = pilot(data, z)
    np.testing.assert_allclose(found.slope, best, atol=1e-4)
    np.testing.assert_allclose(found.fitted, z @ found.slope)
    # The truth lies within what it takes for its uncertainty.
    away = found.slope - list(TRUE.values())
    assert away @ np.linalg.solve(found.covariance, away) < 14  # 0.999 of chi squared, 2


def test_of_clusters_adds_up(table):
    data, z = table
    found = pilot(data, z)
    h, b, _ = found.by_cluster
    assert h.shape == b.shape == (4, 2) and (h > 0).all()
    # At the mode of all, the clusters' gradients cancel, but for the penalty.
    np.testing.assert_allclose((b - h * found.slope).sum(axis=0), 0.01 * found.slope, atol=1e-4)


def test_whitened_changes_variables():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(3, 3))
    transform = Whitened(rng.normal(size=3), root @ root.T + np.eye(3))
    with pm.Model() as model:
        pm.Normal("x", 0, 2, shape=3, transform=transform)
    with pm.Model() as plain:
        pm.Normal("x", 0, 2, shape=3)
    t = rng.normal(size=3)
    x = transform.backward(t).eval()
    np.testing.assert_allclose(transform.forward(x).eval(), t)
    log_det = np.linalg.slogdet(np.linalg.cholesky(root @ root.T + np.eye(3)))[1]
    np.testing.assert_allclose(
        model.compile_logp(mode=PLAIN)({"x_whitened__": t}),
        plain.compile_logp(mode=PLAIN)({"x": x}) + log_det,
    )


def loss_of(counts, available, eta):
    total = logsumexp(np.where(available, eta, -np.inf), axis=1)
    return -(counts * (eta - total[:, None])).sum()


def test_of_slopes_that_vary_is_the_clusters_own():
    """With many choices, each cluster's slope is its own maximum of the likelihood, by scipy."""
    data, _ = simulate_counts(
        5, 30, 3, unavailable=(0.3, 0, 0), effects="intercepts", n_range=(2_000, 5_000),
        attribute_slope={"price": -1.0}, attribute_sd={"price": 1.5}, random_seed=3,
    )  # fmt: skip
    z, cluster = data.attributes["price"][..., None], data.cluster.codes
    found = fit_attributes(data.counts, data.available, cluster, 5, 1, z, varying=[0])
    h, b, _ = found.by_cluster

    def profile(slope, rows):
        """Least loss over the cluster's intercepts."""

        def loss(x):
            eta = z[rows, :, 0] * slope
            eta[:, [0, 2]] += x
            return loss_of(data.counts[rows], data.available[rows], eta)

        return optimize.minimize(loss, np.zeros(2), tol=1e-9).fun

    for c in range(5):
        rows = cluster == c
        best = optimize.minimize_scalar(profile, args=(rows,), tol=1e-7).x
        # Its level and spread are weak beside it: half of a thousandth of the slope at most.
        own = found.fitted[rows, 0] / z[rows, 0, 0]
        np.testing.assert_allclose(own, best, atol=2e-3)
        step = 0.05
        ends = [profile(best + s, rows) for s in (-step, 0.0, step)]
        np.testing.assert_allclose(h[c, 0], (ends[0] - 2 * ends[1] + ends[2]) / step**2, rtol=0.01)
        np.testing.assert_allclose(b[c, 0] / h[c, 0], best, atol=2e-3)


def test_pooled_intercepts_are_common():
    """The mode of one intercept for all clusters, and of a slope that all have in common."""
    data, _ = simulate_counts(
        4, 8, 3, effects="pooled", unavailable=(0.3, 0, 0), n_range=(50, 500),
        attribute_slope={"price": -1.0}, random_seed=4,
    )  # fmt: skip
    z = data.attributes["price"][..., None]

    def loss(x):
        eta = z[..., 0] * x[2]
        eta[:, [0, 2]] += x[:2]
        return loss_of(data.counts, data.available, eta) + 0.005 * (x**2).sum()

    best = optimize.minimize(loss, np.zeros(3), tol=1e-10)
    found = fit_attributes(data.counts, data.available, data.cluster.codes, 4, 1, z, pooled=True)
    np.testing.assert_allclose(found.slope, best.x[2:], atol=1e-4)
    numerical = optimize.approx_fprime(
        best.x, lambda x: optimize.approx_fprime(x, loss, 1e-4), 1e-4
    )
    np.testing.assert_allclose(found.covariance, np.linalg.inv(numerical)[2:, 2:], rtol=0.01)
