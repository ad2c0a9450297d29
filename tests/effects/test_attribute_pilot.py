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
