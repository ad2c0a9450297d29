"""The conditioned parametrisation is exact whatever its constants; the pilot is what it says."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import optimize, stats
from scipy.special import gammaln

from helpers.effects import ConditionedNormal, cluster_intercepts, pilot_intercepts

PILOTS = {
    "right": (np.array([4.0, 0.3, 50.0]), np.array([2.0, -0.1, -60.0])),
    "none": (np.zeros(3), np.zeros(3)),
    "absurd": (np.array([1e6, 1e-8, 3.0]), np.array([-1e7, 1.0, 20.0])),
}


@pytest.fixture(scope="module", params=PILOTS)
def transform(request):
    """The transform, and its three methods compiled for values, mean and sd."""
    conditioned = ConditionedNormal(*PILOTS[request.param])
    value, mu, sigma = pt.dvector("value"), pt.dscalar("mu"), pt.dscalar("sigma")
    inputs = (None, None, mu, sigma)  # as a normal variable's: rng, size, mu, sigma
    outputs = [
        conditioned.forward(value, *inputs),
        conditioned.backward(value, *inputs),
        conditioned.log_jac_det(value, *inputs),
    ]
    return pytensor.function([value, mu, sigma], outputs)


class TestConditionedNormal:
    @pytest.mark.parametrize("sigma", [1e-3, 1.0, 30.0])
    def test_backward_undoes_forward(self, transform, sigma):
        theta = np.array([-2.0, 0.1, 1.5])
        t = transform(theta, 0.7, sigma)[0]
        np.testing.assert_allclose(transform(t, 0.7, sigma)[1], theta, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("sigma", [0.2, 1.0, 30.0])
    def test_jacobian_is_the_derivative_of_backward(self, transform, sigma):
        t, step = np.array([-1.0, 0.3, 2.0]), 0.5
        up, down = transform(t + step, -0.4, sigma)[1], transform(t - step, -0.4, sigma)[1]
        # backward is linear in t, so a wide difference is exact but for rounding.
        scale = np.abs(up) + np.abs(down)
        slope = np.exp(transform(t, -0.4, sigma)[2])
        assert (np.abs((up - down) / (2 * step) - slope) <= 1e-14 * scale + 1e-12 * slope).all()

    def test_good_constants_make_it_standard_normal(self):
        """With a normal likelihood the expansion is exact, and t ~ N(0, 1) a posteriori."""
        h, b, mu, sigma = 4.0, 2.0, 0.5, 0.8
        mean, sd = (b + mu / sigma**2) / (h + sigma**-2), (h + sigma**-2) ** -0.5
        conditioned = ConditionedNormal([h], [b])
        t = conditioned.forward(pt.constant([mean, mean + sd, mean - 2 * sd]), mu, sigma).eval()
        np.testing.assert_allclose(t, [0, 1, -2], atol=1e-14)

    def test_no_information_is_the_noncentred_form(self):
        conditioned = ConditionedNormal(np.zeros(2), np.zeros(2))
        theta = conditioned.backward(pt.constant([1.0, -2.0]), 0.5, 3.0).eval()
        np.testing.assert_allclose(theta, [3.5, -5.5], rtol=1e-15)

    @pytest.mark.parametrize(
        ("information", "score", "message"),
        [
            ([1.0, -0.1], [0.0, 0.0], "negative"),
            ([1.0, np.nan], [0.0, 0.0], "finite"),
            ([1.0, 1.0], [0.0, np.inf], "finite"),
        ],
    )
    def test_impossible_constants_are_refused(self, information, score, message):
        with pytest.raises(ValueError, match=message):
            ConditionedNormal(information, score)


def three_clusters(centring, pilot=None):
    """Three clusters with Poisson counts: a likelihood that is not quadratic."""
    with pm.Model(coords={"cluster": range(3)}) as model:
        mean, sd = pm.Normal("mean"), pm.HalfNormal("sd")
        theta = cluster_intercepts(
            "theta", mean, sd, dims=("cluster",), centring=centring, pilot=pilot
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
            theta = cluster_intercepts("theta", 2.0, 0.5, dims=("cluster",), pilot=PILOTS["absurd"])
            draws = pm.draw(theta, 4_000, random_seed=1)
        for k in range(3):
            assert stats.kstest(draws[:, k], stats.norm(2.0, 0.5).cdf).pvalue > 1e-3

    def test_unknown_and_impossible_choices_are_refused(self):
        with pytest.raises(ValueError, match="conditioned, centred, noncentred, not 'centered'"):
            three_clusters("centered")
        with pytest.raises(ValueError, match="needs a pilot"):
            three_clusters("conditioned")


def simulated(n=40, seed=1, strength=1.0):
    """Counts of 12 rows, 4 clusters, 4 categories, one predictor; category 1 the reference."""
    rng = np.random.default_rng(seed)
    available = rng.random((12, 4)) < 0.75
    available[:, 2] = True
    cluster, x = np.repeat(np.arange(4), 3), rng.normal(size=(12, 1))
    logits = np.array([0.5, 0.0, 1.0, -1.0]) + x * np.array([0.3, 0.0, -0.2, 0.5])
    weights = np.exp(strength * logits) * available
    p = weights / weights.sum(axis=1, keepdims=True)
    counts = np.array([rng.multinomial(n, row) for row in p])
    return counts, available, cluster, x


def log_likelihood(intercept, slope, counts, available, x):
    """Masked multinomial of some rows in plain numpy, the reference second."""
    logits = np.insert(intercept + x @ slope, 1, 0.0, axis=1)
    masked = np.where(available, logits, -np.inf)
    top = masked.max(axis=1, keepdims=True)
    log_p = masked - top - np.log(np.exp(masked - top).sum(axis=1, keepdims=True))
    return (counts * np.where(counts > 0, log_p, 0.0)).sum()


def penalised_optimum(counts, available, cluster, x, prior_sd=1.0):
    """The pilot's estimate by scipy: pooled first, then each cluster's intercepts."""
    n_slopes = 3 * x.shape[1]

    def pooled(theta):
        logp = log_likelihood(theta[None, :3], theta[3:].reshape(-1, 3), counts, available, x)
        return -logp + (theta**2).sum() / (2 * (10 * prior_sd) ** 2)

    best = optimize.minimize(pooled, np.zeros(3 + n_slopes), tol=1e-10).x
    slope, estimate = best[3:].reshape(-1, 3), []
    for c in np.unique(cluster):
        rows = cluster == c

        def one(theta, rows=rows):
            logp = log_likelihood(theta[None], slope, counts[rows], available[rows], x[rows])
            return -logp + ((theta - best[:3]) ** 2).sum() / (2 * prior_sd**2)

        estimate.append(optimize.minimize(one, best[:3], tol=1e-10).x)
    return np.array(estimate), slope


class TestPilot:
    @pytest.mark.parametrize(("n", "strength"), [(5, 1.0), (40, 1.0), (3_000, 4.0)])
    def test_is_the_expansion_at_the_penalised_optimum(self, n, strength):
        """h and b against second and first differences at the estimate that scipy finds."""
        counts, available, cluster, x = simulated(n, strength=strength)
        h, b = pilot_intercepts(counts, available, cluster, 4, 1, x)
        estimate, slope = penalised_optimum(counts, available, cluster, x)
        step = 1e-3
        for c in range(4):
            rows = cluster == c
            args = (slope, counts[rows], available[rows], x[rows])
            for k in range(3):
                shift = step * np.eye(3)[k]
                up, at, down = (
                    log_likelihood((estimate[c] + s * shift)[None], *args) for s in (1, 0, -1)
                )
                curvature = -(up - 2 * at + down) / step**2
                gradient = (up - down) / (2 * step)
                assert h[c, k] == pytest.approx(curvature, rel=1e-4, abs=1e-4)
                # At the optimum the likelihood's gradient balances the penalty's.
                expected = h[c, k] * estimate[c, k] + gradient
                assert b[c, k] == pytest.approx(expected, rel=1e-3, abs=1e-3)

    def test_two_categories_by_hand(self):
        """Counts 30 and 10, a penalty too wide to matter: h = n p (1 - p), b = h logit(p)."""
        h, b = pilot_intercepts(
            np.array([[30, 10]]), np.ones((1, 2)), np.array([0]), 1, 0, prior_sd=1e4
        )
        assert h[0, 0] == pytest.approx(40 * 0.25 * 0.75, rel=1e-6)
        assert b[0, 0] == pytest.approx(7.5 * np.log(10 / 30), rel=1e-6)

    def test_more_rows_of_the_same_add_up(self):
        counts, available = np.array([[300, 500, 200]]), np.ones((1, 3))
        one, _ = pilot_intercepts(counts * 10, available, np.array([0]), 1, 0)
        ten, _ = pilot_intercepts(
            np.repeat(counts, 10, axis=0), np.ones((10, 3)), np.zeros(10, int), 1, 0
        )
        np.testing.assert_allclose(ten, one, rtol=1e-10)

    @pytest.mark.parametrize(
        "change",
        ["never chosen", "never on the menu", "zero totals", "one row each", "huge", "outlier"],
    )
    def test_is_finite_and_not_negative_where_data_are_poor_or_extreme(self, change):
        counts, available, cluster, x = simulated()
        available = available | True
        n_clusters = 4
        if change == "never chosen":
            counts[:, 0] = 0
        elif change == "never on the menu":
            counts[cluster == 0, 3], available[cluster == 0, 3] = 0, False
        elif change == "zero totals":
            counts[cluster <= 1] = 0
        elif change == "one row each":
            cluster, n_clusters = np.arange(12), 13  # and one cluster without rows
        elif change == "huge":
            counts = counts * 10**8 // 4
            counts[::2, [0, 3]] = 0
        else:
            x[0] = 1e6
        h, b = pilot_intercepts(counts, available, cluster, n_clusters, 1, x)
        assert h.shape == b.shape == (n_clusters, 3)
        assert np.isfinite(h).all() and np.isfinite(b).all()
        assert (h >= 0).all()
        if change == "never on the menu":
            assert h[0, 2] == b[0, 2] == 0
        if change == "one row each":
            assert (h[12] == 0).all() and (b[12] == 0).all()
        if change == "zero totals":
            assert (h[:2] == 0).all() and (b[:2] == 0).all()

    @pytest.mark.parametrize("reference", range(4))
    def test_any_category_may_be_the_reference(self, reference):
        """Where the reference is off the menu in every row of a cluster, too."""
        counts, available, cluster, _ = simulated()
        counts[cluster == 2, reference], available[cluster == 2, reference] = 0, False
        h, b = pilot_intercepts(counts, available, cluster, 4, reference)
        assert np.isfinite(h).all() and np.isfinite(b).all()
        # h is a sum of n p (1 - p) <= n / 4 over the rows where the category is on the menu.
        free = np.arange(4) != reference
        n = (counts.sum(axis=1, keepdims=True) * available)[:, free]
        limit = np.array([n[cluster == c].sum(axis=0) / 4 for c in range(4)])
        assert (h <= limit + 1e-12).all()
