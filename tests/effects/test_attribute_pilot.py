"""The pilot of attributes, and the coordinates that it gives."""

import numpy as np
import pymc as pm
import pytest
from oracles import PLAIN
from scipy import optimize
from scipy.special import logsumexp

from helpers import simulate_counts
from helpers.effects import PartlyCentred, Whitened, fit_attributes, location_weight, pooled_spreads

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


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_spreads_have_one_density_in_all_coordinates(weight):
    def model(weight):
        with pm.Model(coords={"category": list("abc")}) as model:
            pooled_spreads("sd", "category", weight)
        return model

    scale, sd = 0.4, np.array([0.2, 0.5, 0.9])
    t = np.log(sd) - weight * np.log(scale)
    plain = model(0.0).compile_logp(mode=PLAIN)(
        {"sd_scale_log__": np.log(scale), "sd_log__": np.log(sd)}
    )
    # t differs from log(sd) by what does not depend on it: the Jacobian is the same.
    other = model(weight).compile_logp(mode=PLAIN)({"sd_scale_log__": np.log(scale), "sd_log__": t})
    np.testing.assert_allclose(other, plain)
    transform = PartlyCentred(np.asarray(weight))
    inputs = None, None, np.log(scale), 0.5
    np.testing.assert_allclose(transform.backward(t, *inputs).eval(), sd)
    np.testing.assert_allclose(transform.forward(sd, *inputs).eval(), t)


def test_weight_of_the_location_says_how_much_is_known():
    rng = np.random.default_rng(3)
    h = np.full((30, 4), 100.0)
    noise = rng.normal(size=h.shape) / 10
    apart = location_weight(h, h * (rng.normal(size=h.shape) + noise))
    alike = location_weight(h, h * (3.0 + noise))
    unknown = location_weight(1e-6 * h, 1e-6 * h * noise)
    assert apart < 0.1 and alike > 0.5 and unknown > 0.99
