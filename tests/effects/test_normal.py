"""Distributions of effects have the densities, moments and shapes of their plain relatives."""

import numpy as np
import pymc as pm
import pytest
from effect_oracles import (
    CATEGORIES,
    assert_moments,
    block_diagonal,
    correlation,
    entries_of,
    spd,
)
from oracles import PLAIN
from scipy import stats

from helpers.effects import ClusterNormal, CorrelatedNormal, JointNormal


class TestDistributions:
    @pytest.mark.parametrize("size", [1, 2, 3, 4])
    def test_correlated_normal_is_the_multivariate_one(self, size):
        """Density of several categories at once, each with another covariance."""
        rng = np.random.default_rng(size)
        mu, sd = rng.normal(size=(CATEGORIES, size)), rng.exponential(size=(CATEGORIES, size))
        corr = correlation(rng, size, CATEGORIES)
        entries = entries_of(np.linalg.cholesky(corr))
        value = rng.normal(size=(4, CATEGORIES, size))
        variable = CorrelatedNormal.dist(mu, sd, entries, shape=value.shape)
        logp = pm.logp(variable, value).eval(mode=PLAIN)
        expected = [
            stats.multivariate_normal.logpdf(value[:, k], mu[k], corr[k] * np.outer(sd[k], sd[k]))
            for k in range(CATEGORIES)
        ]
        np.testing.assert_allclose(logp, np.transpose(expected), rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize(("categories", "size"), [(1, 1), (1, 3), (3, 1), (3, 2)])
    def test_joint_normal_is_the_multivariate_one(self, categories, size):
        rng = np.random.default_rng(size)
        mu, covariance = rng.normal(size=(categories, size)), spd(rng, categories * size)
        value = rng.normal(size=(4, categories, size))
        variable = JointNormal.dist(mu, np.linalg.cholesky(covariance), shape=value.shape)
        logp = pm.logp(variable, value).eval(mode=PLAIN)
        expected = stats.multivariate_normal.logpdf(value.reshape(4, -1), mu.ravel(), covariance)
        np.testing.assert_allclose(logp, expected, rtol=1e-10)

    def test_cluster_normal_is_the_normal_one(self):
        value, mu, sd = np.random.default_rng(20).normal(size=(3, 4, 3))
        variable = ClusterNormal.dist(mu[0], np.exp(sd[0]), value + 5, shape=(4, 3))
        expected = stats.norm.logpdf(value, mu[0], np.exp(sd[0]))
        np.testing.assert_allclose(pm.logp(variable, value).eval(mode=PLAIN), expected, rtol=1e-12)
        variable = ClusterNormal.dist(mu[0], np.exp(sd[0]), value[0] + 5, shape=(20_000, 3))
        draws = pm.draw(variable, random_seed=1, mode=PLAIN)
        assert_moments(draws, mu[0], np.diag(np.exp(2 * sd[0])))

    def test_draws_have_the_mean_and_covariance(self):
        """Within 4.5 standard errors, by moment; sizes and shapes as asked for."""
        rng, n = np.random.default_rng(9), 20_000
        mu, sd, corr = rng.normal(size=(2, 3)), rng.exponential(size=(2, 3)), correlation(rng, 3, 2)
        entries = entries_of(np.linalg.cholesky(corr))
        separate = pm.draw(
            CorrelatedNormal.dist(mu, sd, entries, shape=(n, 2, 3)), random_seed=1, mode=PLAIN
        )
        joint_covariance = spd(rng, 6)
        chol = np.linalg.cholesky(joint_covariance)
        joint = pm.draw(JointNormal.dist(mu, chol, shape=(n, 2, 3)), random_seed=2, mode=PLAIN)
        assert separate.shape == joint.shape == (n, 2, 3)
        covariance = block_diagonal(corr * sd[..., None] * sd[:, None])
        for draws, sigma in ((separate, covariance), (joint, joint_covariance)):
            assert_moments(draws.reshape(n, 6), mu.ravel(), sigma)

    def test_size_and_support_point(self):
        one = CorrelatedNormal.dist([1.0, -1.0], [1.0, 2.0], [0.3], size=(7,))
        assert pm.draw(one, mode=PLAIN).shape == (7, 2)
        both = JointNormal.dist(np.array([[1.0], [2.0]]), np.eye(2), size=(4, 5))
        assert pm.draw(both, mode=PLAIN).shape == (4, 5, 2, 1)
        # Draws of a batch are not copies of one another.
        assert len(np.unique(pm.draw(both, mode=PLAIN))) == 40
        with pm.Model() as model:
            CorrelatedNormal("one", [1.0, -1.0], [1.0, 2.0], [0.3], shape=(7, 2))
            JointNormal("both", np.array([[1.0], [2.0]]), np.eye(2), shape=(4, 2, 1))
        point = model.initial_point()
        np.testing.assert_array_equal(point["one"], np.tile([1.0, -1.0], (7, 1)))
        np.testing.assert_array_equal(point["both"], np.tile([[1.0], [2.0]], (4, 1, 1)))
