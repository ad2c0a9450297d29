"""Clusters, priors and pilots that the tests of effects share."""

import numpy as np

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
