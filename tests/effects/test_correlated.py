"""Effects have the density they are said to have, in every parametrisation."""

import itertools

import arviz as az
import numpy as np
import nutpie
import pymc as pm
import pytensor.tensor as pt
import pytest
from effect_oracles import (
    CATEGORIES,
    CLUSTERS,
    LABELS,
    PILOTS,
    assert_moments,
    block_diagonal,
    correlation,
    expansions,
)
from oracles import PLAIN
from pymc.initial_point import make_initial_point_fn
from pymc.model.transform.conditioning import do
from pymc.model.transform.optimization import freeze_dims_and_data
from scipy import stats
from scipy.special import betaln, expit, gammaln

from helpers import correlated_effects
from helpers.effects import cluster_intercepts, expand_likelihood


def three_clusters(centring, information=None):
    """Three clusters with Poisson counts: a likelihood that is not quadratic."""
    with pm.Model(coords={"cluster": range(3)}) as model:
        mean, sd = pm.Normal("mean"), pm.HalfNormal("sd")
        theta = cluster_intercepts(
            "theta", mean, sd, dims=("cluster",), centring=centring, information=information
        )
        pm.Poisson("y", pt.exp(theta), observed=[3, 0, 40], dims="cluster")
    return model


class TestClusterIntercepts:
    @pytest.mark.parametrize("which", PILOTS)
    def test_conditioned_density_is_the_centred_one_after_a_change_of_variables(self, which):
        h, b = PILOTS[which]
        conditioned = three_clusters("conditioned", (h, b)).compile_logp(jacobian=True)
        rng = np.random.default_rng(1)
        for _ in range(20):
            mean, log_sd, t = rng.normal(), rng.normal(), rng.normal(size=3)
            sd = np.exp(log_sd)
            q = h + sd**-2
            theta = (b + mean / sd**2) / q + t / np.sqrt(q)
            y = np.array([3, 0, 40])
            expected = (
                stats.norm.logpdf(mean)
                + stats.halfnorm.logpdf(sd)
                + log_sd
                + stats.norm.logpdf(theta, mean, sd).sum()
                + (y * theta - np.exp(theta) - gammaln(y + 1)).sum()
                - 0.5 * np.log(q).sum()
            )
            point = {"mean": mean, "sd_log__": log_sd, "theta_conditioned__": t}
            np.testing.assert_allclose(conditioned(point), expected, rtol=1e-11)

    @pytest.mark.parametrize("centring", ["auto", "centred", "noncentred"])
    def test_density_of_the_other_forms(self, centring):
        model = three_clusters(centring)
        names = [v.name for v in model.free_RVs]
        mean, sd, z = 0.3, 1.7, np.array([-0.5, 0.0, 1.2])
        theta, y = mean + sd * z, np.array([3, 0, 40])
        likelihood = stats.poisson.logpmf(y, np.exp(theta)).sum()
        hyper = stats.norm.logpdf(mean) + stats.halfnorm.logpdf(sd)
        point = {"mean": mean, "sd_log__": np.log(sd)}
        if centring == "centred":
            assert names == ["mean", "sd", "theta"]
            point["theta"], prior = theta, stats.norm.logpdf(theta, mean, sd).sum()
        else:
            assert names == ["mean", "sd", "theta_z"]
            point["theta_z"], prior = z, stats.norm.logpdf(z).sum()
        logp = model.compile_logp(jacobian=False)(point)
        assert logp == pytest.approx(hyper + likelihood + prior, rel=1e-12)

    def test_auto_conditions_where_there_is_a_pilot(self):
        model = three_clusters("auto", PILOTS["right"])
        assert [v.name for v in model.value_vars] == ["mean", "sd_log__", "theta_conditioned__"]

    def test_prior_draws_are_those_of_the_plain_model(self):
        with pm.Model(coords={"cluster": range(3)}):
            theta = cluster_intercepts(
                "theta", 2.0, 0.5, dims=("cluster",), information=PILOTS["absurd"]
            )
            draws = pm.draw(theta, 4_000, random_seed=1)
        for k in range(3):
            assert stats.kstest(draws[:, k], stats.norm(2.0, 0.5).cdf).pvalue > 1e-3

    def test_unknown_and_impossible_choices_are_refused(self):
        with pytest.raises(
            ValueError, match="'conditioned', 'centred', 'noncentred', not 'centered'"
        ):
            three_clusters("centered")
        with pytest.raises(ValueError, match="needs a pilot"):
            three_clusters("conditioned")


def one_effect(information):
    with pm.Model(coords={"cluster": range(3)}) as model:
        sd = pm.Exponential("theta_sd", 1)
        cluster_intercepts("theta", 0.0, sd, dims=("cluster",), information=information)
    return model


def two_effects(information, covariance):
    coords = {"cluster": range(CLUSTERS), "category": range(CATEGORIES), "effect": range(2)}
    with pm.Model(coords=coords) as model:
        correlated_effects("theta", covariance=covariance, information=information)
    return model


class TestStart:
    @pytest.mark.slow
    @pytest.mark.parametrize("which", ["one effect", "category", "full"])
    def test_is_where_the_data_are(self, which):
        """At the centre under a standard normal prior, also in a model that was taken apart."""
        if which == "one effect":
            h, b = PILOTS["absurd"]
            model, centre = one_effect((h, b)), b / (h + 1)
        else:
            h, b = expansions(2)["right"]
            model = two_effects((h, b), which)
            centre = np.linalg.solve(h + np.eye(2), b[..., None])[..., 0]
        sd = np.ones(model["theta_sd"].shape.eval())
        for each in (model, do(model, {"theta_sd": sd})):
            start = make_initial_point_fn(model=each, return_transformed=False)(1)
            np.testing.assert_allclose(start["theta"], centre, rtol=1e-9)


def build(covariance, size, *, centring="centred", categories=CATEGORIES, eta=2.5, **rest):
    """Correlated effects with every default prior, and data that depend on all of them."""
    coords = {
        "cluster": range(CLUSTERS),
        "category": list("abcdefghij")[:categories],
        "effect": LABELS[:size],
    }
    with pm.Model(coords=coords) as model:
        theta = correlated_effects(
            "theta", covariance=covariance, centring=centring, eta=eta, **rest
        )
        weights = np.arange(1.0, size + 1)
        pm.Normal("y", (theta * weights).sum(axis=-1), 0.7, observed=OBSERVED[:, :categories])
    return model


OBSERVED = np.random.default_rng(0).normal(size=(CLUSTERS, 10))


def likelihood(theta):
    """Of the data in `build`."""
    eta = (theta * np.arange(1.0, theta.shape[-1] + 1)).sum(axis=-1)
    return stats.norm.logpdf(OBSERVED[:, : theta.shape[1]], eta, 0.7).sum()


def lkj(chol, eta):
    """Log-density of a correlation matrix's Cholesky factor (Lewandowski et al. 2009, eq. 16)."""
    d = len(chol)
    log_constant = 0.0
    for k in range(1, d):
        a = eta + (d - k - 1) / 2
        log_constant += (2 * eta - 2 + d - k) * (d - k) * np.log(2) + (d - k) * betaln(a, a)
    # det R = prod L_ii^2, and the entries of R move as prod L_ii^(d - i) those of L.
    power = 2 * (eta - 1) + d - np.arange(1, d + 1)
    return (power * np.log(np.diagonal(chol))).sum() - log_constant


def lkj_of_three(corr, eta):
    """Density of 3 correlations from the vine: Beta correlations and one Beta partial one."""
    r12, r13, r23 = corr[0, 1], corr[0, 2], corr[1, 2]
    root = np.sqrt((1 - r12**2) * (1 - r13**2))
    partial = (r23 - r12 * r13) / root
    a = eta + 0.5
    out = stats.beta.logpdf((1 + r12) / 2, a, a) + stats.beta.logpdf((1 + r13) / 2, a, a)
    return out + stats.beta.logpdf((1 + partial) / 2, eta, eta) - np.log(root) - 3 * np.log(2)


def mean_prior(mean):
    """PyMC rounds the constant log 2 to single precision, and so must we."""
    exact = stats.norm.logpdf(mean, 0, 2) + np.log(2)
    return (exact - np.log(np.float32(2), dtype=np.float32)).sum()


def random_points(model, n=3, seed=1, scale=0.7):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        yield {k: scale * rng.normal(size=v.shape) for k, v in model.initial_point().items()}


def constrained(model, names):
    """Function from a point of value variables to named variables, in plain numpy."""
    outputs = model.replace_rvs_by_values([model[name] for name in names])
    return model.compile_fn(outputs, inputs=model.value_vars, mode=PLAIN, on_unused_input="ignore")


def normal_rows(theta, mean, covariance):
    """All effects of a cluster in one row, those of a category side by side."""
    flat = theta.reshape(len(theta), -1)
    return stats.multivariate_normal.logpdf(flat, mean.ravel(), covariance).sum()


class TestDensity:
    """Centred, without the Jacobians of the sampler's coordinates, against scipy."""

    @pytest.mark.parametrize("eta", [1.0, 4.3])
    @pytest.mark.parametrize("size", [2, 3])
    def test_by_category(self, size, eta):
        model = build("category", size, eta=eta)
        density = model.compile_logp(jacobian=False, mode=PLAIN)
        values = constrained(model, ["theta_corr", "theta_sd"])
        for point in random_points(model):
            corr, sd = values(point)
            theta, mean = point["theta"], point["theta_mean"]
            np.testing.assert_allclose(sd, np.exp(point["theta_sd_log__"]), rtol=1e-12)
            expected = mean_prior(mean) + stats.expon.logpdf(sd).sum()
            for k in range(CATEGORIES):
                if size == 2:
                    half = expit(point["theta_corr_beta_logodds__"][k])
                    r = 2 * half - 1
                    np.testing.assert_allclose(corr[k], [[1, r], [r, 1]], rtol=1e-12)
                    # (1 + r) / 2 ~ Beta(eta, eta): density of r proportional to
                    # (1 - r^2)^(eta - 1); what is sampled is (1 + r) / 2 itself.
                    expected += stats.beta.logpdf(half, eta, eta)
                else:
                    # Of r12, r13, and of r23 given the first, (1 + r) / 2 is what is sampled.
                    half = expit(point["theta_corr_beta_logodds__"][k])
                    r12, r13, given = 2 * half - 1
                    root = np.sqrt((1 - r12**2) * (1 - r13**2))
                    np.testing.assert_allclose(corr[k][0], [1, r12, r13], rtol=1e-12)
                    assert corr[k][1, 2] == pytest.approx(r12 * r13 + given * root, rel=1e-11)
                    expected += lkj_of_three(corr[k], eta) + np.log(root) + 3 * np.log(2)
                covariance = corr[k] * np.outer(sd[k], sd[k])
                expected += stats.multivariate_normal.logpdf(theta[:, k], mean[k], covariance).sum()
            assert density(point) == pytest.approx(expected + likelihood(theta), rel=1e-10)

    @pytest.mark.parametrize("size", [2, 3])
    def test_by_category_is_the_loop_over_categories(self, size):
        """PyMC's LKJCholeskyCov and MvNormal for each category, as one would write it."""
        ours, eta = build("category", size), 2.5
        with pm.Model() as loop:
            for k in range(CATEGORIES):
                mean = pm.Normal(f"mean{k}", 0, 2, shape=size)
                chol, _, _ = pm.LKJCholeskyCov(
                    f"chol{k}", n=size, eta=eta, sd_dist=pm.Exponential.dist(1, shape=size)
                )
                theta = pm.MvNormal(f"theta{k}", mean, chol=chol, shape=(CLUSTERS, size))
                weights = np.arange(1.0, size + 1)
                pm.Normal(f"y{k}", theta @ weights, 0.7, observed=OBSERVED[:, k])
        densities = [m.compile_logp(jacobian=False, mode=PLAIN) for m in (ours, loop)]
        values = constrained(ours, ["theta_corr", "theta_sd"])
        for point in random_points(ours):
            corr, sd = values(point)
            same, shift = {}, 0.0
            for k in range(CATEGORIES):
                chol = np.linalg.cholesky(corr[k])
                rows, columns = np.tril_indices(size)
                packed = (sd[k][:, None] * chol)[rows, columns]
                packed[rows == columns] = np.log(packed[rows == columns])
                same |= {
                    f"mean{k}": point["theta_mean"][k],
                    f"chol{k}_cholesky-cov-packed__": packed,
                    f"theta{k}": point["theta"][:, k],
                }
                # Row i of the factor of the covariance is sd_i times a unit vector with i free
                # entries (from 0): its volume is sd_i^i / L_ii for each of (sd, entries of L).
                shift += (np.log(np.diagonal(chol)) - np.arange(size) * np.log(sd[k])).sum()
                # We sample (1 + r) / 2. Each r is an entry of L, but for the partial correlation
                # of three effects: that one is L21 / sqrt(1 - L20^2).
                shift -= np.log(2) * size * (size - 1) / 2
                if size == 3:
                    shift -= np.log(1 - chol[2, 0] ** 2) / 2
            at = densities[0](point) + shift
            assert at == pytest.approx(densities[1](same), rel=1e-9)

    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_independent(self, size):
        model = build("independent", size)
        assert [v.name for v in model.free_RVs] == ["theta_mean", "theta_sd", "theta"]
        density = model.compile_logp(jacobian=False, mode=PLAIN)
        for point in random_points(model):
            theta, mean, sd = point["theta"], point["theta_mean"], np.exp(point["theta_sd_log__"])
            expected = mean_prior(mean) + stats.expon.logpdf(sd).sum()
            expected += stats.norm.logpdf(theta, mean, sd).sum() + likelihood(theta)
            assert density(point) == pytest.approx(expected, rel=1e-11)

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [1, 2])
    def test_full(self, size):
        model, total = build("full", size), CATEGORIES * size
        density = model.compile_logp(jacobian=False, mode=PLAIN)
        values = constrained(model, ["theta_corr", "theta_sd"])
        for point in random_points(model):
            corr, sd = values(point)
            theta, mean, flat = point["theta"], point["theta_mean"], corr.reshape(total, total)
            covariance = np.diag(sd.ravel()) @ flat @ np.diag(sd.ravel())
            expected = mean_prior(mean) + stats.expon.logpdf(sd).sum()
            expected += lkj(np.linalg.cholesky(flat), 2.5)
            expected += normal_rows(theta, mean, covariance) + likelihood(theta)
            assert density(point) == pytest.approx(expected, rel=1e-10)

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_kronecker(self, size):
        model = build("kronecker", size)
        density = model.compile_logp(jacobian=False, mode=PLAIN)
        names = ["theta_category_corr", "theta_effect_corr", "theta_category_sd", "theta_sd"]
        values = constrained(model, names + (["theta_effect_scale"] if size > 1 else []))
        for point in random_points(model):
            between, within, category_sd, sd, *scale = values(point)
            theta, mean = point["theta"], point["theta_mean"]
            expected = mean_prior(mean) + stats.expon.logpdf(category_sd).sum()
            expected += lkj(np.linalg.cholesky(between), 2.5)
            effect_sd = np.ones(1)
            if size > 1:
                effect_sd = scale[0]
                assert effect_sd.sum() == pytest.approx(size)
                expected += stats.dirichlet.logpdf(effect_sd / size, 2 * np.ones(size))
                expected += lkj(np.linalg.cholesky(within), 2.5)
            np.testing.assert_allclose(sd, np.outer(category_sd, effect_sd), rtol=1e-12)
            covariance = np.kron(
                between * np.outer(category_sd, category_sd),
                within * np.outer(effect_sd, effect_sd),
            )
            expected += normal_rows(theta, mean, covariance) + likelihood(theta)
            assert density(point) == pytest.approx(expected, rel=1e-10)

    def test_given_mean_and_sd_take_the_priors_place(self):
        rng = np.random.default_rng(2)
        mean, sd = rng.normal(size=(CATEGORIES, 2)), rng.exponential(size=(CATEGORIES, 2))
        for covariance in ("independent", "kronecker"):
            model = build(covariance, 2, mean=mean, sd=sd)
            assert not {"theta_mean", "theta_sd", "theta_category_sd"} & set(model.named_vars)
        model = build("independent", 2, mean=mean, sd=sd)
        theta = rng.normal(size=(CLUSTERS, CATEGORIES, 2))
        logp = model.compile_logp(jacobian=False, mode=PLAIN)({"theta": theta})
        expected = stats.norm.logpdf(theta, mean, sd).sum() + likelihood(theta)
        assert logp == pytest.approx(expected, rel=1e-11)

    def test_correlations_have_numpyros_density(self):
        distributions = pytest.importorskip("numpyro.distributions")
        corr = correlation(np.random.default_rng(3), 4)
        chol = np.linalg.cholesky(corr)
        theirs = float(distributions.LKJCholesky(4, 2.5).log_prob(chol))
        assert lkj(chol, 2.5) == pytest.approx(theirs, rel=1e-5)  # numpyro's single precision

    def test_lkj_by_hand_agrees_with_the_vine(self):
        """The two oracles against each other."""
        corr = correlation(np.random.default_rng(4), 3)
        chol = np.linalg.cholesky(corr)
        expected = lkj_of_three(corr, 1.7) + np.log(chol[1, 1])
        assert lkj(chol, 1.7) == pytest.approx(expected, rel=1e-10)


class TestParametrisations:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("covariance", "size"),
        [
            ("category", 2),
            ("category", 3),
            ("independent", 1),
            ("full", 2),
            ("kronecker", 2),
        ],
    )
    def test_densities_differ_by_the_change_of_variables(self, covariance, size, coupling):
        """Conditioned and non-centred against centred, the map and its Jacobian in numpy."""
        total = CATEGORIES * size
        centred = build(covariance, size)
        density = centred.compile_logp(jacobian=True, mode=PLAIN)
        correlated = size > 1 and covariance != "independent"
        names = ["theta_mean", "theta_sd"]
        if covariance == "kronecker":
            names += ["theta_category_corr", "theta_effect_corr"]
        elif correlated:
            names += ["theta_corr"]
        values = constrained(centred, names)
        constants = expansions(size)
        if size == 2:
            constants["coupled"] = (*constants.pop("right"), coupling)
        others = {"noncentred": build(covariance, size, centring="noncentred")} | {
            which: build(covariance, size, centring="conditioned", information=information)
            for which, information in constants.items()
        }
        for which, other in others.items():
            theirs = other.compile_logp(jacobian=True, mode=PLAIN)
            name = "theta_z" if which == "noncentred" else "theta_conditioned__"
            for point in random_points(other, n=1):
                t = point.pop(name)
                assert sorted(point) == sorted(
                    v.name for v in centred.value_vars if v.name != "theta"
                )
                mean, sd, *corrs = values(point | {"theta": t})
                if covariance == "kronecker":
                    corr = np.kron(*corrs)
                elif covariance == "full":
                    corr = corrs[0].reshape(total, total)
                else:
                    corr = block_diagonal(
                        corrs[0] if correlated else np.tile(np.eye(size), (CATEGORIES, 1, 1))
                    )
                sigma = corr * np.outer(sd.ravel(), sd.ravel())
                theta, log_jac = np.empty_like(t), 0.0
                if which == "noncentred":
                    # A lower factor of the covariance in the order of effects within categories.
                    chol = np.linalg.cholesky(sigma)
                    theta = mean + (t.reshape(CLUSTERS, total) @ chol.T).reshape(t.shape)
                    log_jac = CLUSTERS * np.log(np.diagonal(chol)).sum()
                else:
                    h, b = constants[which][:2]
                    if which == "coupled":
                        in_one_row = t.reshape(CLUSTERS, total, 1)
                        coupled = (coupling @ in_one_row).reshape(t.shape)
                        log_jac += np.linalg.slogdet(coupling)[1].sum()
                    else:
                        coupled = t
                    for c, k in np.ndindex(CLUSTERS, CATEGORIES):
                        block = slice(k * size, (k + 1) * size)
                        precision = np.linalg.inv(sigma[block, block])
                        chol = np.linalg.cholesky(h[c, k] + precision)
                        u = np.linalg.solve(chol, b[c, k] + precision @ mean[k])
                        theta[c, k] = np.linalg.solve(chol.T, coupled[c, k] + u)
                        log_jac -= np.log(np.diagonal(chol)).sum()
                expected = density(point | {"theta": theta}) + log_jac
                assert np.isfinite(expected)
                # Absurd constants make theta and its density large; rounding grows with cond(Q).
                rel = 1e-6 if which == "absurd" else 1e-9
                assert theirs(point | {name: t}) == pytest.approx(expected, rel=rel)

    @pytest.mark.parametrize("centring", ["centred", "noncentred", "conditioned"])
    @pytest.mark.parametrize(
        ("covariance", "size"), [("category", 2), ("category", 3), ("full", 2), ("kronecker", 2)]
    )
    @pytest.mark.slow
    def test_prior_draws_have_the_mean_and_covariance(self, covariance, size, centring):
        """
        Given their own draw of correlations, means and sds, effects are white once those are
        taken out; so prior draws do not see the pilot, which here is absurd.
        """
        information = expansions(size)["absurd"] if centring == "conditioned" else None
        rng = np.random.default_rng(5)
        given = {
            "mean": 10 * rng.normal(size=(CATEGORIES, size)),
            "sd": rng.exponential(size=(CATEGORIES, size)) + 0.1,
        }
        model = build(
            covariance, size, centring=centring, information=information, eta=0.8, **given
        )
        names = ["theta"]
        if covariance == "kronecker":
            names += ["theta_category_corr", "theta_effect_corr"]
        else:
            names += ["theta_corr"]
        theta, *corrs = pm.draw([model[n] for n in names], 600, random_seed=1, mode=PLAIN)
        total = CATEGORIES * size
        if covariance == "kronecker":
            corr = np.array([np.kron(a, b) for a, b in zip(*corrs, strict=True)])
        elif covariance == "full":
            corr = corrs[0].reshape(-1, total, total)
        else:
            corr = np.array([block_diagonal(one) for one in corrs[0]])
        z = ((theta - given["mean"]) / given["sd"]).reshape(600, CLUSTERS, total)
        white = np.linalg.solve(np.linalg.cholesky(corr)[:, None], z[..., None])[..., 0]
        assert_moments(white.reshape(-1, total), 0.0, np.eye(total))
        # ... and the correlations are really there: without taking them out they show.
        unwhite = np.einsum("dci,dcj->dij", z, z) / CLUSTERS
        off = ~np.eye(total, dtype=bool)
        assert np.corrcoef(unwhite[:, off].ravel(), corr[:, off].ravel())[0, 1] > 0.3

    @pytest.mark.parametrize("size", [2, 3, 4])
    def test_prior_correlations_have_the_lkj_variance(self, size):
        """E r = 0 and E r^2 = 1 / (2 eta - 1 + P), within 4.5 standard errors."""
        with pm.Model(coords={"c": range(1), "k": range(40), "e": range(size)}) as model:
            correlated_effects("theta", dims=("c", "k", "e"), eta=1.5)
        corr = pm.draw(model["theta_corr"], 250, random_seed=2, mode=PLAIN)
        np.testing.assert_allclose(np.diagonal(corr, axis1=-1, axis2=-2), 1, rtol=1e-12)
        np.testing.assert_allclose(corr, np.swapaxes(corr, -1, -2), rtol=1e-12, atol=1e-15)
        r = corr.reshape(-1, size, size)
        for i, j in itertools.combinations(range(size), 2):
            for got, expected in ((r[:, i, j], 0.0), (r[:, i, j] ** 2, 1 / (2 + size))):
                error = got.std() / np.sqrt(len(r))
                assert abs(got.mean() - expected) < 4.5 * error
        if size == 2:
            assert stats.kstest((1 + r[:, 0, 1]) / 2, stats.beta(1.5, 1.5).cdf).pvalue > 1e-3
        # Categories are drawn one by one, not one for all.
        assert len(np.unique(r[:, 0, 1])) == len(r)

    @pytest.mark.parametrize(("covariance", "size"), [("full", 2), ("kronecker", 3)])
    def test_prior_correlations_of_the_joint_forms(self, covariance, size):
        model = build(covariance, size, eta=3.0)
        names = ["theta_corr"]
        if covariance == "kronecker":
            names = ["theta_category_corr", "theta_effect_corr"]
        for corr in pm.draw([model[n] for n in names], 1_500, random_seed=3, mode=PLAIN):
            d = int(np.sqrt(corr[0].size))
            flat = corr.reshape(-1, d, d)
            np.testing.assert_allclose(np.diagonal(flat, axis1=1, axis2=2), 1, rtol=1e-12)
            np.testing.assert_allclose(flat, flat.mT, rtol=1e-12, atol=1e-15)
            for i, j in itertools.combinations(range(d), 2):
                square = flat[:, i, j] ** 2
                error = square.std() / np.sqrt(len(square))
                assert abs(square.mean() - 1 / (5 + d)) < 4.5 * error

    @pytest.mark.parametrize("centring", ["centred", "noncentred", "conditioned"])
    def test_no_choice_draws_a_warning(self, centring, recwarn):
        information = expansions(2)["right"] if centring == "conditioned" else None
        build("category", 2, centring=centring, information=information)
        with pm.Model(coords={"cluster": range(3)}):
            information = PILOTS["right"] if centring == "conditioned" else None
            cluster_intercepts(
                "theta", 0.0, 1.0, dims=("cluster",), centring=centring, information=information
            )
        assert not [str(w.message) for w in recwarn]

    def test_auto_conditions_where_there_is_information(self):
        model = build("category", 2, centring="auto")
        assert "theta_z" in [v.name for v in model.free_RVs]
        model = build("category", 2, centring="auto", information=expansions(2)["right"])
        assert model.value_vars[-1].name == "theta_conditioned__"


def names_and_dims(model):
    dims = {k: v for k, v in model.named_vars_to_dims.items() if k.startswith("theta")}
    return {k: dims.get(k, ()) for k in model.named_vars if k.startswith("theta")}


class TestNames:
    @pytest.mark.parametrize("centring", ["centred", "noncentred", "conditioned"])
    @pytest.mark.parametrize("covariance", ["category", "full", "kronecker", "independent"])
    def test_variables_and_dims_are_the_documented_ones(self, covariance, centring):
        information = expansions(2)["right"] if centring == "conditioned" else None
        model = build(covariance, 2, centring=centring, information=information)
        dims = names_and_dims(model)
        all_dims = ("cluster", "category", "effect")
        expected = {
            "theta": all_dims,
            "theta_mean": ("category", "effect"),
            "theta_sd": ("category", "effect"),
        }
        if centring == "noncentred":
            expected["theta_z"] = all_dims
        sampled = set()
        if covariance == "category":
            expected["theta_corr"] = ("category", "effect", "effect_bis")
            sampled = {"theta_corr_beta"}
        elif covariance == "full":
            expected["theta_corr"] = ("category", "effect", "category_bis", "effect_bis")
            sampled = {"theta_corr_chol"}
        elif covariance == "kronecker":
            expected["theta_category_sd"] = ("category",)
            expected["theta_effect_scale"] = ("effect",)
            expected["theta_category_corr"] = ("category", "category_bis")
            expected["theta_effect_corr"] = ("effect", "effect_bis")
            sampled = {"theta_category_corr_chol", "theta_effect_corr_chol", "theta_effect_share"}
        assert {k: v for k, v in dims.items() if k not in sampled} == expected
        assert sampled <= set(dims)
        for name in expected:
            assert model[name].type.ndim == len(expected[name])
        point = constrained(model, list(expected))(model.initial_point())
        for name, value in zip(expected, point, strict=True):
            assert value.shape == tuple(len(model.coords[d]) for d in expected[name])
        for name in ("category_bis", "effect_bis"):
            if name in model.coords:
                assert model.coords[name] == model.coords[name.removesuffix("_bis")]

    @pytest.mark.parametrize("covariance", ["category", "full", "kronecker", "independent"])
    @pytest.mark.parametrize(("categories", "size"), [(1, 1), (1, 2), (3, 1)])
    @pytest.mark.slow
    def test_one_category_or_one_effect_builds_and_draws(self, covariance, categories, size):
        information = expansions(size, categories)["right"]
        model = build(
            covariance, size, categories=categories, centring="conditioned", information=information
        )
        assert np.isfinite(model.compile_logp(mode=PLAIN)(model.initial_point()))
        other = build(covariance, size, categories=categories, centring="noncentred")
        for theta in (model["theta"], other["theta"]):
            draw = pm.draw(theta, random_seed=1, mode=PLAIN)
            assert draw.shape == (CLUSTERS, categories, size)
        if covariance == "category" and size == 1:
            assert not [n for n in model.named_vars if "corr" in n]

    def test_twice_in_one_model(self):
        """Two sets of effects share their dims' copies."""
        coords = {"cluster": range(2), "category": list("ab"), "effect": LABELS[:2]}
        with pm.Model(coords=coords) as model:
            for name in ("one", "two"):
                correlated_effects(name)
        assert model.named_vars_to_dims["two_corr"] == ("category", "effect", "effect_bis")

    @pytest.mark.parametrize(
        ("choice", "message"),
        [
            ({"covariance": "diagonal"}, "'full', 'kronecker', 'independent', not 'diagonal'"),
            ({"centring": "centered"}, "'centred', 'noncentred', not 'centered'"),
            ({"centring": "conditioned"}, "needs a pilot"),
            ({"dims": ("cluster", "category")}, "clusters, categories and effects"),
            ({"dims": ("cluster", "category", "slope")}, "no coordinate 'slope'"),
            ({"information": (np.zeros((5, 3, 2)), np.zeros((5, 3, 2)))}, "shapes"),
            ({"information": (np.zeros((3, 5, 2, 2)), np.zeros((3, 5, 2)))}, "shapes"),
        ],
    )
    def test_impossible_choices_are_refused(self, choice, message):
        coords = {"cluster": range(5), "category": range(3), "effect": LABELS[:2]}
        with pm.Model(coords=coords), pytest.raises(ValueError, match=message):
            correlated_effects("theta", **choice)


class TestSurgery:
    def test_do_holds_the_effects_and_frees_nothing_else(self):
        for centring in ("conditioned", "noncentred"):
            model = build("category", 2, centring=centring, information=expansions(2)["right"])
            theta = np.random.default_rng(1).normal(size=(CLUSTERS, CATEGORIES, 2))
            held = do(model, {"theta": theta})
            drawn = pm.draw(held["y"], 2_000, random_seed=1, mode=PLAIN)
            expected = theta @ [1.0, 2.0]
            # 15 means of standard error 0.7 / sqrt(2000).
            assert np.abs(drawn.mean(axis=0) - expected).max() < 4.5 * 0.7 / np.sqrt(2_000)

    def test_frozen_density_is_the_same(self):
        model = build("category", 2, centring="conditioned", information=expansions(2)["right"])
        frozen = freeze_dims_and_data(model)
        densities = [m.compile_logp(mode=PLAIN) for m in (model, frozen)]
        for point in random_points(model, n=2):
            values = [f(point) for f in densities]
            assert values[0] == pytest.approx(values[1], rel=1e-12)


@pytest.fixture(scope="module")
def few_counts():
    """6 clusters x 4 rows x 3 categories with about 30 counts, and the pilot's H and b."""
    rng = np.random.default_rng(11)
    cluster, x = np.repeat(np.arange(6), 4), rng.normal(size=24)
    theta = np.array([[0.5, 0.4], [-0.5, -0.3]]) + 0.5 * rng.normal(size=(6, 2, 2))
    eta = np.insert(theta[cluster, :, 0] + theta[cluster, :, 1] * x[:, None], 0, 0.0, axis=1)
    p = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
    n = rng.integers(20, 40, 24)
    counts = rng.multinomial(n, p)
    design = np.column_stack([np.ones(24), x])
    pilot = expand_likelihood(counts, np.ones((24, 3), bool), cluster, 6, 0, design).by_cluster
    return counts, cluster, x, pilot


class TestPosterior:
    @pytest.mark.slow
    def test_is_the_same_whatever_the_information(self, few_counts):
        """Means and sds within Monte Carlo error of the non-centred form's."""
        counts, cluster, x, right = few_counts
        rng = np.random.default_rng(12)
        # Ten to a hundred times too much or too little, and about effects of 3 or -3.
        weight = np.exp(rng.choice([-3.0, 3.0], size=(6, 2, 1, 1)))
        h = 20 * weight * np.array([[1.0, 0.9], [0.9, 1.0]])
        wrong = h, np.einsum("ckpq,ckq->ckp", h, rng.choice([-3.0, 3.0], size=(6, 2, 2)))
        choices = {"noncentred": None, "right": right, "wrong": wrong}
        fits = {}
        coords = {"cluster": range(6), "category": list("bc"), "effect": ["intercept", "x"]}
        for which, information in choices.items():
            with pm.Model(coords=coords) as model:
                theta = correlated_effects("theta", information=information)
                eta = theta[cluster, :, 0] + theta[cluster, :, 1] * x[:, None]
                eta = pt.concatenate([pt.zeros((24, 1)), eta], axis=1)
                pm.Multinomial("y", counts.sum(axis=1), pt.special.softmax(eta, 1), observed=counts)
            draws = nutpie.sample(
                nutpie.compile_pymc_model(model),
                draws=1_500,
                tune=800,
                chains=4,
                cores=2,
                seed=1,
                progress_bar=False,
            )["posterior"].to_dataset()
            fits[which] = draws[["theta", "theta_mean", "theta_sd", "theta_corr_beta"]]
        for kind in ("mean", "sd"):
            values = {k: getattr(v, KINDS[kind])(("chain", "draw")) for k, v in fits.items()}
            errors = {k: az.mcse(v, method=kind) for k, v in fits.items()}
            for which in ("right", "wrong"):
                for name in fits[which].data_vars:
                    error = np.hypot(errors[which][name], errors["noncentred"][name])
                    z = (values[which][name] - values["noncentred"][name]) / error
                    # The largest of 136 standard normals passes 4.5 once in 1,000 times.
                    assert float(np.abs(z).max()) < 4.5, (which, kind, name)


KINDS = {"mean": "mean", "sd": "std"}
