"""Clusters, priors and pilots that the tests of effects share."""

import numpy as np
import pytensor.tensor as pt
from oracles import PLAIN

EPS = np.finfo(float).eps

PILOTS = {
    "right": (np.array([4.0, 0.3, 50.0]), np.array([2.0, -0.1, -60.0])),
    "none": (np.zeros(3), np.zeros(3)),
    "absurd": (np.array([1e6, 1e-8, 3.0]), np.array([-1e7, 1.0, 20.0])),
}

CLUSTERS, CATEGORIES = 5, 3
LABELS = ["intercept", "x", "y"]


def spd(rng, *shape):
    """Random symmetric positive definite matrices."""
    a = rng.normal(size=(*shape, shape[-1]))
    return a @ np.swapaxes(a, -1, -2) + 0.2 * np.eye(shape[-1])


def expansions(size, categories=CATEGORIES):
    """H and b that are right for some data, say nothing, and are far from any data."""
    rng = np.random.default_rng(size)
    shape = CLUSTERS, categories, size
    singular = np.ones((size, size)) * np.array([1e7, 1e-7, 1.0])[:categories, None, None]
    return {
        "right": (spd(rng, *shape), rng.normal(size=shape)),
        "none": (np.zeros((*shape, size)), np.zeros(shape)),
        "absurd": (np.tile(singular, (CLUSTERS, 1, 1, 1)), 1e3 * rng.normal(size=shape)),
    }


def correlation(rng, size, categories=None):
    """Random correlation matrices, of one or several categories."""
    s = spd(rng, *(() if categories is None else (categories,)), size)
    d = np.sqrt(np.diagonal(s, axis1=-1, axis2=-2))
    return s / (d[..., :, None] * d[..., None, :])


def entries_of(chol):
    """Entries below the diagonal, row by row."""
    rows, columns = np.tril_indices(chol.shape[-1], -1)
    return chol[..., rows, columns]


def block_diagonal(blocks):
    k, p, _ = blocks.shape
    out = np.zeros((k, p, k, p))
    out[np.arange(k), :, np.arange(k)] = blocks
    return out.reshape(k * p, k * p)


def assert_moments(draws, mean, covariance, sds=4.5):
    """Means and second moments within so many standard errors, each from its own scatter."""
    n = len(draws)
    centred = draws - mean
    products = centred[:, :, None] * centred[:, None]
    for got, expected in ((centred, 0.0), (products, covariance)):
        error = got.std(axis=0) / np.sqrt(n)
        assert (np.abs(got.mean(axis=0) - expected) < sds * error).all()


def covariance_of_contrasts(sd, reference, corr=None):
    """Of contrasts of independent categories, (K P, K P), given deviations (K + 1, P)."""
    size = sd.shape[1]
    corr = np.eye(size) if corr is None else corr
    blocks = corr * sd[..., None] * sd[:, None]
    free = np.delete(np.arange(len(sd)), reference)
    return block_diagonal(blocks[free]) + np.kron(np.ones((len(free),) * 2), blocks[reference])


def assert_changes_variables(model, name, log_density, rtol=1e-9):
    """
    The density of what is sampled is that of the variable and the determinant of their map.

    The map must be linear, all other parameters held: then differences of one are exact.
    """
    rv = model[name]
    value = model.rvs_to_values[rv]
    (natural,) = model.replace_rvs_by_values([rv])
    to_natural = model.compile_fn(natural, inputs=[value], point_fn=False, mode=PLAIN)
    at = np.random.default_rng(1).normal(size=np.shape(model.initial_point()[value.name]))
    theta = to_natural(at)
    units = np.eye(at.size).reshape(-1, *at.shape)
    columns = [(to_natural(at + u) - to_natural(at - u)).ravel() / 2 for u in units]
    sign, jacobian = np.linalg.slogdet(np.transpose(columns))
    assert sign != 0
    got = model.compile_logp(jacobian=True, mode=PLAIN)({value.name: at})
    np.testing.assert_allclose(got, log_density(theta) + jacobian, rtol=rtol)
    back = model.rvs_to_transforms[rv].forward(pt.as_tensor(theta), *rv.owner.inputs)
    # Rounding grows with the numbers whose difference it is, and with the map's condition.
    scale = 1 + np.abs(np.linalg.inv(columns)).max() * np.abs(theta).max()
    tolerance = min(1e-4, 100 * EPS * scale * np.linalg.cond(columns))
    np.testing.assert_allclose(back.eval(mode=PLAIN), at, rtol=0, atol=tolerance)
