"""Scatter of rows: normal and t densities of scipy, one scale for each row, what is sampled."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from effect_oracles import assert_changes_variables, assert_moments, covariance_of_contrasts
from oracles import PLAIN
from pymc.testing import assert_support_point_is_expected
from scipy import stats

from helpers.effects import ConditionedRows, RowScatter

ROWS, CATEGORIES = 6, 4
SD = np.array([0.5, 1.5, 0.8, 1.1])
MEAN = np.random.default_rng(1).normal(size=(ROWS, CATEGORIES))


def log_density(value, reference, df=None, sd=SD):
    """From scipy, of contrasts on the last axis."""
    covariance = covariance_of_contrasts(sd[:, None], reference)
    origin = np.zeros(len(covariance))
    if df is None:
        return stats.multivariate_normal.logpdf(value, origin, covariance)
    return stats.multivariate_t.logpdf(value, origin, covariance, df=df)


class TestRowScatter:
    @pytest.mark.parametrize("df", [None, 1.0, 4.5])
    @pytest.mark.parametrize("reference", range(CATEGORIES))
    @pytest.mark.parametrize("batch", [(), (ROWS,), (2, ROWS)])
    def test_is_scipys(self, batch, reference, df):
        value = np.random.default_rng(2).normal(size=(*batch, CATEGORIES - 1))
        mean = np.broadcast_to(MEAN if batch else MEAN[0], (*batch, CATEGORIES))
        variable = RowScatter.dist(mean, SD, df, reference=reference)
        logp = pm.logp(variable, value).eval(mode=PLAIN)
        assert logp.shape == batch
        np.testing.assert_allclose(logp, log_density(value, reference, df), rtol=1e-10)

    @pytest.mark.parametrize("df", [None, 3.0])
    def test_of_two_categories(self, df):
        """The difference of two spreads."""
        value = np.random.default_rng(2).normal(size=(ROWS, 1))
        variable = RowScatter.dist(np.zeros((ROWS, 2)), [0.3, 0.4], df, reference=0)
        one = stats.norm(0, 0.5) if df is None else stats.t(df, 0, 0.5)
        logp = pm.logp(variable, value).eval(mode=PLAIN)
        np.testing.assert_allclose(logp, one.logpdf(value[:, 0]), rtol=1e-10)

    def test_many_degrees_of_freedom_are_the_normal(self):
        value = np.random.default_rng(2).normal(size=(ROWS, CATEGORIES - 1))
        normal, nearly = (
            pm.logp(RowScatter.dist(MEAN, SD, df, reference=1), value).eval(mode=PLAIN)
            for df in (None, 1e7)
        )
        np.testing.assert_allclose(nearly, normal, rtol=1e-5)

    @pytest.mark.parametrize("reference", [0, 2])
    def test_normal_draws_have_the_covariance(self, reference):
        variable = RowScatter.dist(np.zeros((20_000, CATEGORIES)), SD, reference=reference)
        draws = pm.draw(variable, random_seed=1, mode=PLAIN)
        covariance = covariance_of_contrasts(SD[:, None], reference)
        assert_moments(draws, np.zeros(CATEGORIES - 1), covariance)

    @pytest.mark.parametrize("reference", [0, 2])
    def test_heavy_tails_have_one_scale_for_a_row(self, reference):
        """Squared distances over K - 1 are F with K - 1 and df; with scales apart they are not."""
        variable = RowScatter.dist(np.zeros((5_000, CATEGORIES)), SD, 3.0, reference=reference)
        draws = pm.draw(variable, random_seed=1, mode=PLAIN)
        covariance = covariance_of_contrasts(SD[:, None], reference)
        squares = np.einsum("ri,ij,rj->r", draws, np.linalg.inv(covariance), draws)
        n_free = CATEGORIES - 1
        assert stats.kstest(squares / n_free, stats.f(n_free, 3.0).cdf).pvalue > 1e-3
        for k in range(n_free):
            one = stats.t(3.0, 0, np.sqrt(covariance[k, k]))
            assert stats.kstest(draws[:, k], one.cdf).pvalue > 1e-3

    @pytest.mark.slow
    def test_sampling_starts_at_nothing_or_where_it_is_told_to(self):
        with pm.Model() as model:
            RowScatter("x", MEAN, SD, reference=0)
        assert_support_point_is_expected(model, np.zeros((ROWS, CATEGORIES - 1)))
        with pm.Model() as model:
            RowScatter("x", MEAN, SD, 4.0, reference=0, start=MEAN[:, 1:])
        assert_support_point_is_expected(model, MEAN[:, 1:])

    @pytest.mark.parametrize("sd", [SD[None], pt.vector("sd")])
    def test_needs_one_spread_for_each_category(self, sd):
        with pytest.raises(ValueError, match=r"one spread for each category.*\(K,\)"):
            RowScatter.dist(MEAN, sd, reference=0)


def pilot(which):
    """What rows say of themselves: about right, nothing, and far from any data."""
    rng = np.random.default_rng(5)
    shape = ROWS, CATEGORIES - 1
    base = rng.integers(0, CATEGORIES, ROWS)
    if which == "none":
        return np.zeros(shape), np.zeros(shape), base
    h = rng.gamma(2, 10, shape) if which == "right" else 10 ** rng.uniform(-8, 6, shape)
    return h, h * rng.normal(size=shape) if which == "right" else 1e3 * rng.normal(size=shape), base


class TestConditionedRows:
    @pytest.mark.parametrize("which", ["right", "none", "absurd"])
    @pytest.mark.parametrize("df", [None, 4.5])
    @pytest.mark.parametrize("reference", range(CATEGORIES))
    def test_any_pilot_gives_the_same_density(self, reference, df, which):
        transform = ConditionedRows(*pilot(which), reference)
        with pm.Model() as model:
            RowScatter("x", MEAN, SD, df, reference=reference, transform=transform)
        assert_changes_variables(model, "x", lambda x: log_density(x, reference, df).sum())

    @pytest.mark.parametrize("df", [None, 4.5])
    def test_and_so_does_any_direction(self, df):
        along = np.random.default_rng(6).normal(size=(ROWS, CATEGORIES - 1))
        transform = ConditionedRows(*pilot("right"), 1, along)
        with pm.Model() as model:
            RowScatter("x", MEAN, SD, df, reference=1, transform=transform)
        assert_changes_variables(model, "x", lambda x: log_density(x, 1, df).sum())

    def test_good_constants_make_it_standard_normal(self):
        """Of two categories the expansion, if exact, gives N(0, 1) a posteriori."""
        h, b, mean, v = 4.0, 2.0, 0.7, 0.25
        centre, sd = (b + mean / v) / (h + 1 / v), (h + 1 / v) ** -0.5
        transform = ConditionedRows([[h]] * 3, [[b]] * 3, [0] * 3, 0)
        logits = np.array([[centre], [centre + sd], [centre - 2 * sd]])
        inputs = np.tile([0.0, mean], (3, 1)), pt.as_tensor([0.3, 0.4]), np.inf
        got = transform.forward(pt.as_tensor(logits - mean), *map(pt.as_tensor, inputs))
        np.testing.assert_allclose(got.eval(mode=PLAIN)[:, 0], [0, 1, -2], atol=1e-12)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda h, b, base: (h[:, :2], b, base), "shape"),
            (lambda h, b, base: (h, b, base[:2]), "shape"),
            (lambda h, b, base: (-h, b, base), "0 or more"),
            (lambda h, b, base: (h, b * np.nan, base), "finite"),
            (lambda h, b, base: (h * np.nan, b, base), "finite"),
        ],
    )
    def test_impossible_pilots_are_refused(self, change, message):
        with pytest.raises(ValueError, match=message):
            ConditionedRows(*change(*pilot("right")), 0)

    def test_a_direction_of_another_shape_is_refused(self):
        with pytest.raises(ValueError, match="direction must have shape"):
            ConditionedRows(*pilot("right"), 0, np.ones((ROWS, CATEGORIES)))
