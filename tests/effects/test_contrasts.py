"""Effects of every category, of which differences are seen: densities, draws, what is sampled."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from effect_oracles import (
    CLUSTERS,
    assert_changes_variables,
    assert_moments,
    correlation,
    covariance_of_contrasts,
    entries_of,
    expansions,
)
from oracles import PLAIN
from pymc.testing import BaseTestDistributionRandom, assert_support_point_is_expected
from scipy import stats

from helpers.effects import (
    Conditioned,
    ConditionedLevel,
    ContrastNormal,
    CorrelatedContrasts,
    cluster_intercepts,
    correlated_effects,
    pooled_spreads,
)

# Of four categories, and the means of three contrasts.
SD = np.array([0.5, 1.5, 0.8, 1.1])
MU = np.array([0.3, -1.0, 2.0])
EXPANSIONS = ["right", "none", "absurd"]


def parameters(size, seed=1):
    """Means, deviations and correlations of P effects."""
    rng = np.random.default_rng(seed)
    corr = correlation(rng, size, 4)
    return rng.normal(size=(3, size)), rng.exponential(size=(4, size)) + 0.2, corr


def log_density(value, mu, sd, reference, corr=None):
    """From scipy, of clusters on the first axis."""
    away = (value - mu).reshape(len(value), -1)
    covariance = covariance_of_contrasts(sd.reshape(4, -1), reference, corr)
    return stats.multivariate_normal.logpdf(away, None, covariance)


class TestContrastNormal:
    @pytest.mark.parametrize("reference", range(4))
    @pytest.mark.parametrize("batch", [(), (6,), (2, 3)])
    def test_is_the_multivariate_normal(self, reference, batch):
        value = np.random.default_rng(2).normal(size=(*batch, 3))
        variable = ContrastNormal.dist(MU, SD, reference=reference, shape=value.shape)
        logp = pm.logp(variable, value).eval(mode=PLAIN)
        expected = log_density(value.reshape(-1, 3), MU, SD, reference)
        np.testing.assert_allclose(logp, np.reshape(expected, batch), rtol=1e-10)

    def test_means_may_differ_along_the_batch(self):
        value, mu = np.random.default_rng(3).normal(size=(2, 2, 5, 3))
        variable = ContrastNormal.dist(mu, SD, reference=1)
        logp = pm.logp(variable, value).eval(mode=PLAIN)
        expected = log_density(value.reshape(-1, 3), mu.reshape(-1, 3), SD, 1)
        np.testing.assert_allclose(logp, np.reshape(expected, (2, 5)), rtol=1e-10)

    @pytest.mark.parametrize("reference", [0, 2])
    def test_draws_have_the_mean_and_covariance(self, reference):
        variable = ContrastNormal.dist(MU, SD, reference=reference, size=20_000)
        draws = pm.draw(variable, random_seed=1, mode=PLAIN)
        assert_moments(draws, MU, covariance_of_contrasts(SD[:, None], reference))

    def test_sampling_starts_at_the_mean_or_where_it_is_told_to(self):
        with pm.Model() as model:
            ContrastNormal("x", MU, SD, reference=0, size=2)
        assert_support_point_is_expected(model, np.tile(MU, (2, 1)))
        with pm.Model() as model:
            ContrastNormal("x", MU, SD, reference=0, start=MU + 5)
        assert_support_point_is_expected(model, MU + 5)

    @pytest.mark.parametrize(
        ("sd", "reference", "message"),
        [
            (SD[None], 0, r"one set of standard deviations.*\(K,\)"),
            (pt.vector("sd"), 0, "of a known shape"),
            (SD, 4, "reference 4 is none of 4"),
            (SD, -1, "reference -1 is none of 4"),
        ],
    )
    def test_impossible_parameters_are_refused(self, sd, reference, message):
        with pytest.raises(ValueError, match=message):
            ContrastNormal.dist(MU, sd, reference=reference)


class TestContrastNormalRandom(BaseTestDistributionRandom):
    pymc_dist = ContrastNormal
    pymc_dist_params = {"mu": MU, "sd": SD, "reference": 2}
    expected_rv_op_params = {"start": MU, "lower_sd": SD, "mu": MU, "sd": SD}
    sizes_to_check = [None, (), 1, (4, 5)]
    sizes_expected = [(3,), (3,), (1, 3), (4, 5, 3)]
    checks_to_run = ["check_pymc_params_match_rv_op", "check_rv_size"]


class TestCorrelatedContrasts:
    @pytest.mark.parametrize("reference", [0, 3])
    @pytest.mark.parametrize("size", [1, 2, 3])
    @pytest.mark.parametrize("batch", [(), (6,), (2, 3)])
    def test_is_the_multivariate_normal(self, reference, size, batch):
        mu, sd, corr = parameters(size)
        entries = entries_of(np.linalg.cholesky(corr))
        value = np.random.default_rng(2).normal(size=(*batch, 3, size))
        variable = CorrelatedContrasts.dist(mu, sd, entries, reference=reference, shape=value.shape)
        logp = pm.logp(variable, value).eval(mode=PLAIN)
        expected = log_density(value.reshape(-1, 3, size), mu, sd, reference, corr)
        np.testing.assert_allclose(logp, np.reshape(expected, batch), rtol=1e-10)

    @pytest.mark.parametrize("size", [1, 3])
    def test_draws_have_the_mean_and_covariance(self, size):
        mu, sd, corr = parameters(size)
        entries = entries_of(np.linalg.cholesky(corr))
        variable = CorrelatedContrasts.dist(mu, sd, entries, reference=1, size=20_000)
        draws = pm.draw(variable, random_seed=1, mode=PLAIN).reshape(20_000, -1)
        assert_moments(draws, mu.ravel(), covariance_of_contrasts(sd, 1, corr))

    def test_sampling_starts_at_the_mean_or_where_it_is_told_to(self):
        mu, sd, _ = parameters(2)
        with pm.Model() as model:
            CorrelatedContrasts("x", mu, sd, np.zeros((4, 1)), reference=0, size=2)
        assert_support_point_is_expected(model, np.tile(mu, (2, 1, 1)))
        with pm.Model() as model:
            CorrelatedContrasts("x", mu, sd, np.zeros((4, 1)), reference=0, start=mu + 5)
        assert_support_point_is_expected(model, mu + 5)

    def test_a_batch_of_deviations_is_refused(self):
        mu, sd, _ = parameters(2)
        with pytest.raises(ValueError, match=r"\(K, P\)"):
            CorrelatedContrasts.dist(mu, sd[None], np.zeros((4, 1)), reference=0)


class TestPooledSpreads:
    def test_are_shrunk_towards_a_scale_of_their_own(self):
        with pm.Model(coords={"category": list("abc"), "effect": list("xy")}):
            sd = pooled_spreads("sd", ("category", "effect"))
        draws = pm.draw(sd, 4_000, random_seed=1, mode=PLAIN)
        rng = np.random.default_rng(2)
        s = np.abs(rng.normal(size=(4_000, 1, 2)))
        expected = s * np.exp(rng.normal(0, 0.5, (4_000, 3, 2)))
        for k, p in np.ndindex(3, 2):
            assert stats.ks_2samp(draws[:, k, p], expected[:, k, p]).pvalue > 1e-3
        # The scale is one for the categories of an effect, and effects have their own.
        log = np.log(draws)
        # The variance of log |N(0, 1)| is pi^2 / 8.
        shared = np.pi**2 / 8 / (np.pi**2 / 8 + 0.25)
        assert np.corrcoef(log[:, 0, 0], log[:, 1, 0])[0, 1] == pytest.approx(shared, abs=0.03)
        assert abs(np.corrcoef(log[:, 0, 0], log[:, 1, 1])[0, 1]) < 4.5 / np.sqrt(4_000)
        ratio = log[:, 0, 0] - log[:, 1, 0]
        assert stats.kstest(ratio, stats.norm(0, np.sqrt(0.5)).cdf).pvalue > 1e-3

    def test_of_two_categories_are_one(self):
        with pm.Model(coords={"category": list("ab")}) as model:
            sd = pooled_spreads("sd", "category")
        draws = pm.draw(sd, 2_000, random_seed=1, mode=PLAIN)
        assert [rv.name for rv in model.free_RVs] == ["sd_scale"]
        assert (draws[:, 0] == draws[:, 1]).all()
        assert stats.kstest(draws[:, 0], stats.halfnorm.cdf).pvalue > 1e-3


def expansion(size, which, coupled):
    """Of five clusters and three contrasts; single effects without an axis of their own."""
    h, b = expansions(1 if size == "single" else size)[which]
    if size == "single":
        h, b = h[..., 0, 0], b[..., 0]
    if not coupled:
        return h, b
    width = b[0].size
    return h, b, np.random.default_rng(13).normal(size=(CLUSTERS, width, width))


# Each size is compiled by itself.
SLOW_SIZES = [pytest.param(size, marks=pytest.mark.slow) for size in (2, 3)]


@pytest.mark.parametrize("which", EXPANSIONS)
class TestConditioned:
    @pytest.mark.parametrize("coupled", [False, True])
    @pytest.mark.parametrize("reference", [0, 2])
    @pytest.mark.parametrize("size", ["single", 1, *SLOW_SIZES])
    def test_any_pilot_gives_the_same_density(self, size, reference, coupled, which):
        pilot = expansion(size, which, coupled)
        transform = Conditioned(*pilot, reference=reference)
        options = {"reference": reference, "transform": transform, "start": transform.start}
        with pm.Model() as model:
            if size == "single":
                mu, sd, corr = MU, SD, None
                ContrastNormal("x", mu, sd, size=CLUSTERS, **options)
            else:
                mu, sd, corr = parameters(size)
                entries = entries_of(np.linalg.cholesky(corr))
                CorrelatedContrasts("x", mu, sd, entries, size=CLUSTERS, **options)
        assert_changes_variables(
            model, "x", lambda x: log_density(x, mu, sd, reference, corr).sum(), rtol=1e-8
        )

    @pytest.mark.parametrize("size", ["single", 2])
    def test_level(self, size, which):
        h, b = expansions(1 if size == "single" else size)[which]
        transform = ConditionedLevel(h, b, 2, single=size == "single")
        options = {"reference": 2, "transform": transform, "lower_sd": 0.3 * np.ones((4, 2))}
        with pm.Model() as model:
            if size == "single":
                mu, sd, corr = MU, SD, None
                options["lower_sd"] = 0.7 * SD
                ContrastNormal("x", mu, sd, **options)
            else:
                mu, sd, corr = parameters(size)
                entries = entries_of(np.linalg.cholesky(corr))
                CorrelatedContrasts("x", mu, sd, entries, **options)
        assert_changes_variables(model, "x", lambda x: log_density(x[None], mu, sd, 2, corr))


def test_conditioned_without_information_is_scaled_by_each_contrasts_own_deviation():
    """At 0 the means, and one step of what is sampled is one standard deviation."""
    transform = Conditioned(np.zeros((CLUSTERS, 3)), np.zeros((CLUSTERS, 3)), reference=1)
    inputs = pt.as_tensor(MU), pt.as_tensor(SD)
    ones = pt.as_tensor(np.ones((CLUSTERS, 3)))
    got = [transform.backward(x, *inputs).eval(mode=PLAIN)[0] for x in (0 * ones, ones)]
    np.testing.assert_allclose(got[0], MU, rtol=1e-12)
    np.testing.assert_allclose(got[1] - got[0], np.hypot(SD[[0, 2, 3]], SD[1]), rtol=1e-12)


@pytest.mark.parametrize("informed", [False, True])
def test_level_is_scaled_by_the_covariance_of_contrasts(informed):
    """That of the prior where clusters say nothing; else that of the average of the clusters."""
    h = np.full((CLUSTERS, 3, 1, 1), 1e12 if informed else 0.0)
    transform = ConditionedLevel(h, np.zeros((CLUSTERS, 3, 1)), 1, single=True)
    of_clusters, prior = SD, np.full(4, 1e5) if informed else 0.7 * SD
    inputs = [None] * 3 + [pt.as_tensor(x) for x in (of_clusters, MU, prior)]
    at = [transform.backward(pt.as_tensor(x), *inputs) for x in (np.zeros(3), *np.eye(3))]
    centre, *units = [x.eval(mode=PLAIN) for x in at]
    a = np.transpose(units) - centre[:, None]
    sd = SD / np.sqrt(CLUSTERS) if informed else prior
    want = np.diag(sd[[0, 2, 3]] ** 2) + sd[1] ** 2
    np.testing.assert_allclose(a @ a.T, want, rtol=1e-5)


def linear_map(model, name, of):
    """Matrix from what is sampled to a variable, which must be linear in it, and its constant."""
    value = model.rvs_to_values[model[of]]
    (outcome,) = model.replace_rvs_by_values([model[name]])
    function = model.compile_fn(outcome, inputs=[value], point_fn=False, mode=PLAIN)
    at = np.zeros(np.shape(model.initial_point()[value.name]))
    centre = function(at)
    units = np.eye(at.size).reshape(-1, *at.shape)
    return np.transpose([(function(u) - centre).ravel() for u in units]), centre


COORDS = {
    "cluster": range(CLUSTERS),
    "contrast": list("abc"),
    "category": list("abcd"),
    "effect": ["intercept", "x"],
}


class TestParametrisations:
    """With a reference: the same distribution, whatever is sampled."""

    @pytest.mark.parametrize("centring", ["auto", "centred", "conditioned"])
    def test_intercepts_have_the_density_of_contrasts(self, centring):
        h, b = expansion("single", "right", False)
        pilot = None if centring == "centred" else (h, b)
        with pm.Model(coords=COORDS) as model:
            cluster_intercepts(
                "x", MU, SD, dims=("cluster", "contrast"), centring=centring,
                information=pilot, reference=1,
            )  # fmt: skip
        at = np.random.default_rng(4).normal(size=(CLUSTERS, 3))
        if centring != "centred":
            assert_changes_variables(model, "x", lambda x: log_density(x, MU, SD, 1).sum())
        else:
            got = model.compile_logp(mode=PLAIN)({"x": at})
            assert got == pytest.approx(log_density(at, MU, SD, 1).sum(), rel=1e-10)

    def test_noncentred_intercepts_have_the_covariance_of_contrasts(self):
        """Of independent standard normals of each category: the linear map, times its transpose."""
        with pm.Model(coords=COORDS) as model:
            cluster_intercepts("x", MU, SD, dims=("cluster", "contrast"), reference=1)
        assert model.named_vars_to_dims["x_z"] == ("cluster", "category")
        by_z, centre = linear_map(model, "x", of="x_z")
        np.testing.assert_allclose(centre, np.tile(MU, (CLUSTERS, 1)))
        expected = np.kron(np.eye(CLUSTERS), covariance_of_contrasts(SD[:, None], 1))
        np.testing.assert_allclose(by_z @ by_z.T, expected, rtol=1e-12, atol=1e-14)

    def effects(self, centring, covariance="category"):
        mu, sd, _ = parameters(2)
        with pm.Model(coords=COORDS) as model:
            correlated_effects(
                "x", dims=("cluster", "contrast", "effect"), eta=2.5, mean=mu, sd=sd,
                covariance=covariance, centring=centring, reference=1,
                information=expansion(2, "right", True) if centring == "conditioned" else None,
            )  # fmt: skip
        return model, mu, sd

    @pytest.mark.parametrize("centring", ["centred", "noncentred", "conditioned"])
    def test_correlated_effects_have_the_density_of_contrasts(self, centring):
        """Given correlations, and with what their prior adds."""
        model, mu, sd = self.effects(centring)
        r = np.array([0.3, -0.5, 0.7, 0.1])
        corr = np.eye(2) + r[:, None, None] * (1 - np.eye(2))
        held = pm.do(model, {"x_spread_corr_beta": (1 + r) / 2})
        if centring == "noncentred":
            by_z, centre = linear_map(held, "x", of="x_z")
            np.testing.assert_allclose(centre, np.tile(mu, (CLUSTERS, 1, 1)))
            expected = np.kron(np.eye(CLUSTERS), covariance_of_contrasts(sd, 1, corr))
            np.testing.assert_allclose(by_z @ by_z.T, expected, rtol=1e-11, atol=1e-13)
        elif centring == "conditioned":
            assert_changes_variables(
                held, "x", lambda x: log_density(x, mu, sd, 1, corr).sum(), rtol=1e-8
            )
        else:
            at = np.random.default_rng(4).normal(size=(CLUSTERS, 3, 2))
            got = model.compile_logp(jacobian=False, mode=PLAIN)(
                {"x": at, "x_spread_corr_beta_logodds__": np.log((1 + r) / (1 - r))}
            )
            expected = log_density(at, mu, sd, 1, corr).sum()
            expected += stats.beta.logpdf((1 + r) / 2, 2.5, 2.5).sum()
            # PyTensor takes the constant 2.5 of the Beta in single precision.
            assert got == pytest.approx(expected, rel=1e-8)

    def test_what_is_registered_for_contrasts_is_that_of_contrasts(self):
        model, _, sd = self.effects("centred")
        r = np.array([0.3, -0.5, 0.7, 0.1])
        held = pm.do(model, {"x_spread_corr_beta": (1 + r) / 2})
        got_sd, got_corr = pm.draw([held["x_sd"], held["x_corr"]], mode=PLAIN)
        corr = np.eye(2) + r[:, None, None] * (1 - np.eye(2))
        covariance = covariance_of_contrasts(sd, 1, corr).reshape(3, 2, 3, 2)
        for k in range(3):
            of_one = covariance[k, :, k]
            np.testing.assert_allclose(got_sd[k] ** 2, np.diag(of_one), rtol=1e-11)
            np.testing.assert_allclose(
                got_corr[k] * np.outer(got_sd[k], got_sd[k]), of_one, rtol=1e-11
            )

    @pytest.mark.parametrize("covariance", ["full", "kronecker"])
    def test_covariances_of_contrasts_are_refused(self, covariance):
        with pytest.raises(ValueError, match=f'"{covariance}" is of contrasts'):
            self.effects("centred", covariance)
