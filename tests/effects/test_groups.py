"""An effect that rows share, integrated out: against integrals over a line, and prior draws."""

import numpy as np
import pytest
from row_oracles import integrated
from scipy import stats
from scipy.special import logsumexp, softmax

from helpers.effects.groups import group_log_likelihood
from helpers.effects.rows import integrated_log_likelihood


def group(counts, available, eta, tau, shared, df=None, draws=40):
    """The same parameters in many draws, each with points of its own."""

    def same(x):
        return np.tile(x, (draws,) + (1,) * np.ndim(x))

    df = None if df is None else np.full(draws, df)
    return group_log_likelihood(
        counts, available, same(eta), same(tau), same(shared), df, random_seed=1
    )


@pytest.mark.slow
@pytest.mark.parametrize("df", [None, 4.0])
@pytest.mark.parametrize("n", [5, 20_000])
def test_of_two_categories_is_the_integral_over_a_line(n, df):
    """Only the difference of the shared effects counts, and that is one number."""
    tau, shared = np.array([0.2, 0.3]), np.array([0.6, 0.8])
    eta = np.array([[0.3, 0.0], [0.1, 0.0], [-0.4, 0.0]])
    counts = np.rint(n * softmax(eta + [[0.9, 0], [1.1, 0], [0.8, 0]], axis=1)).astype(int)
    sd = np.hypot(*tau)
    scatter = stats.norm(scale=sd) if df is None else stats.t(df, scale=sd)
    # A grid of the shared effect, and one of each row's logit: sums over both.
    v, x = np.linspace(-5, 5, 801), np.linspace(-6, 6, 6_001)
    log_f = stats.norm.logpdf(v, scale=np.hypot(*shared))
    for y, e in zip(counts, eta[:, 0], strict=True):
        seen = stats.binom.pmf(y[0], n, 1 / (1 + np.exp(-x)))
        log_f += np.log(scatter.pdf(x - e - v[:, None]) @ seen * (x[1] - x[0]))
    expected = logsumexp(log_f) + np.log(v[1] - v[0])
    found = group(counts, np.ones((3, 2), bool), eta, tau, shared, df, draws=15)
    se = found.log_likelihood.std() / np.sqrt(15)
    assert abs(found.log_likelihood.mean() - expected) < 0.01 + 4 * se
    assert found.log_likelihood.std() < 0.15 and found.efficiency.mean() > 0.7


@pytest.mark.parametrize("n", [3, 40])
def test_of_four_categories_is_the_mean_over_prior_draws(n):
    rng = np.random.default_rng(n)
    eta, tau, shared = rng.normal(size=(3, 4)), np.full(4, 0.3), np.array([0.3, 0.6, 0.4, 0.5])
    available = np.array([[1, 1, 0, 1], [1, 1, 1, 1], [0, 1, 1, 0]], bool)
    counts = rng.multinomial(n, softmax(np.where(available, eta + 0.3, -np.inf), axis=1))
    v = shared * rng.normal(size=(20_000, 4))
    ll = integrated_log_likelihood(
        counts, available, eta + v[:, None], np.tile(tau, (len(v), 1)), random_seed=2
    ).log_likelihood.sum(axis=1)
    w = np.exp(ll - ll.max())
    error = w.std() / w.mean() / np.sqrt(len(w))
    found = group(counts, available, eta, tau, shared)
    se = found.log_likelihood.std() / np.sqrt(40)
    expected = logsumexp(ll) - np.log(len(ll))
    assert abs(found.log_likelihood.mean() - expected) < 4 * np.hypot(error, se)


def test_points_find_the_effect_of_a_province_with_many_votes():
    """Thirteen rows of some 100,000: drawn from the population, no effect would fit."""
    rng = np.random.default_rng(5)
    tau, shared = np.geomspace(0.14, 0.7, 8), np.geomspace(0.2, 1, 8)
    eta, available = rng.normal(size=(13, 8)), rng.random((13, 8)) < 0.85
    x = eta + shared * rng.normal(size=8) + tau * rng.normal(size=(13, 8))
    counts = rng.multinomial(100_000, softmax(np.where(available, x, -np.inf), axis=1))
    found = group(counts, available, eta, tau, shared)
    assert found.efficiency.min() > 0.6 and found.log_likelihood.std() < 0.15


def test_without_a_spread_of_its_own_a_group_is_its_rows():
    counts, eta = [[40, 7, 0], [9, 3, 2]], np.array([[1.5, 0.0, 0.2], [1.0, 0.0, 0.1]])
    available, tau = [[1, 1, 0], [1, 1, 1]], np.array([0.3, 0.4, 0.2])
    expected = integrated(counts[0][:2], eta[0, :2], tau[:2]) + integrated(counts[1], eta[1], tau)
    found = group(counts, available, eta, tau, np.full(3, 1e-5))
    assert found.log_likelihood.mean() == pytest.approx(expected, abs=0.02)


def test_a_group_without_counts_says_nothing():
    found = group([[0, 0], [0, 5]], [[1, 1], [0, 1]], np.zeros((2, 2)), np.ones(2), np.ones(2))
    assert (found.log_likelihood == 0).all() and (found.efficiency == 1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"shared": [[1.0, 0.0]]}, "shared must be positive"), ({"points": 3}, "power of two")],
)
def test_refuses_what_cannot_be(change, message):
    given = {"counts": [[1, 2]], "available": [[1, 1]], "logits": np.zeros((1, 1, 2))}
    given |= {"spread": np.ones((1, 2)), "shared": np.ones((1, 2))}
    with pytest.raises(ValueError, match=message):
        group_log_likelihood(**given | change)
