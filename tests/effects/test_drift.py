"""Drift over dates: the walk's covariance, its parametrisations, dates without data, recovery."""

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from effect_oracles import assert_changes_variables, covariance_of_contrasts
from oracles import PLAIN
from pymc.model.transform.conditioning import remove_value_transforms
from scipy import stats
from scipy.special import softmax

from helpers import (
    CategoryCounts,
    check_convergence,
    check_recovery,
    draw_counts,
    masked_regression,
    parameter_names,
)
from helpers.effects import ConditionedSteps, date_gaps, expand_likelihood, random_walk, walk_at

DATES = [1977, 1979, 1985, 1986]
GAPS = np.array([2, 6, 1]) / 3
WEIGHTS = np.array([[1, 1], [0, 1], [1, 2], [1, 0.5]])


def covariance(sd, weights):
    """Of a walk with these gaps from 0, without its weighted mean: from the definition."""
    at = np.r_[0, np.cumsum(GAPS)]
    plain = sd**2 * np.minimum(at[:, None], at)
    g = weights / weights.sum()
    centre = np.eye(4) - np.ones((4, 1)) * g
    return centre @ plain @ centre.T


def model_of_walk(centring, information=None, weights=WEIGHTS):
    with pm.Model(coords={"date": DATES, "contrast": ["a", "b"]}) as model:
        sd = pm.Exponential("sd", 1, dims="contrast")
        random_walk(
            "walk",
            sd,
            GAPS,
            dims=("date", "contrast"),
            weights=weights,
            centring=centring,
            information=information,
        )
    return model


class TestGaps:
    def test_are_relative_to_their_mean(self):
        np.testing.assert_allclose(date_gaps(DATES), GAPS)
        days = pd.to_datetime(["2020-01-01", "2020-01-03", "2020-01-09", "2020-01-10"])
        np.testing.assert_allclose(date_gaps(days), GAPS)

    def test_of_labels_are_equal(self):
        assert date_gaps(["a", "b", "c"]).tolist() == [1, 1]

    @pytest.mark.parametrize("dates", [[1, 3, 2], [1, 1, 2]])
    def test_need_order(self, dates):
        with pytest.raises(ValueError, match="distinct and in order"):
            date_gaps(dates)


class TestWalk:
    INFORMATION = np.array([[5.0, 0.0], [50.0, 3.0], [0.0, 9.0], [700.0, 1.0]]), np.ones((4, 2))

    @pytest.mark.parametrize("centring", ["centred", "noncentred", "conditioned"])
    def test_has_the_covariance_of_its_definition(self, centring):
        information = self.INFORMATION if centring == "conditioned" else None
        model = pm.do(model_of_walk(centring, information), {"sd": np.array([0.5, 2.0])})
        draws = pm.draw(model["walk"], 20_000, random_seed=1, mode=PLAIN)
        for k, sd in enumerate([0.5, 2.0]):
            expected = covariance(sd, WEIGHTS[:, k])
            error = np.cov(draws[:, :, k].T) - expected
            size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)) + expected**2)
            assert (np.abs(error) <= 4.5 * size / np.sqrt(len(draws)) + 1e-12).all()
            assert np.abs(draws[:, :, k] @ WEIGHTS[:, k]).max() < 1e-10
        cross = np.cov(draws[:, 0, 0], draws[:, 0, 1])[0, 1]
        assert abs(cross) < 0.1

    @pytest.mark.parametrize("centring", ["noncentred", "conditioned"])
    def test_density_is_that_of_the_centred_one_after_a_change_of_variables(self, centring):
        """With the Jacobian from differences: the map to the walk's steps is linear."""
        information = self.INFORMATION if centring == "conditioned" else None
        model = model_of_walk(centring, information)
        steps = model.value_vars[1]
        to_steps = model.compile_fn(
            model.replace_rvs_by_values([model["walk"]])[0],
            inputs=model.value_vars,
            mode=PLAIN,
        )
        point = {"sd_log__": np.log([0.5, 2.0])}
        rng = np.random.default_rng(1)
        at = rng.normal(size=(2, 3))
        walk = to_steps(point | {steps.name: at})
        jacobian = 0.0
        for k, sd in enumerate([0.5, 2.0]):
            columns = []
            for j in range(3):
                unit = np.zeros((2, 3))
                unit[k, j] = 1
                columns.append((to_steps(point | {steps.name: at + unit}) - walk)[:, k])
            # The walk lies in 3 of 4 dimensions: of its steps, which are differences.
            change = np.diff(np.array(columns).T, axis=0)
            jacobian += np.linalg.slogdet(change)[1]
            del sd
        expected = sum(
            stats.norm.logpdf(np.diff(walk[:, k]), 0, sd * np.sqrt(GAPS)).sum()
            for k, sd in enumerate([0.5, 2.0])
        )
        prior_of_sd = stats.expon.logpdf([0.5, 2.0]).sum() + np.log([0.5, 2.0]).sum()
        got = model.compile_logp(mode=PLAIN)(point | {steps.name: at})
        assert got == pytest.approx(expected + jacobian + prior_of_sd, rel=1e-10)


class TestWalkOfContrasts:
    """With a reference: steps of every category, of which differences are seen."""

    SD = np.array([0.5, 1.5, 0.8])
    INFORMATION = TestWalk.INFORMATION
    ABSURD = 10 ** np.linspace(-6, 6, 8).reshape(4, 2), np.full((4, 2), 1e3)

    def model(self, centring, reference, information=None):
        coords = {"date": DATES, "contrast": ["a", "b"], "category": ["a", "b", "c"]}
        with pm.Model(coords=coords) as model:
            random_walk(
                "walk", self.SD, GAPS, dims=("date", "contrast"), weights=WEIGHTS,
                centring=centring, reference=reference, information=information,
            )  # fmt: skip
        return model

    def steps(self, value, reference):
        """Log-density of steps, one gap to the next."""
        covariance = covariance_of_contrasts(self.SD[:, None], reference)
        return stats.multivariate_normal.logpdf(value, None, covariance).sum()

    @pytest.mark.parametrize("reference", range(3))
    @pytest.mark.parametrize("centring", ["centred", "noncentred", "conditioned"])
    def test_has_the_covariance_of_its_definition(self, centring, reference):
        """As a linear map of steps, or of what stands for them, with a known covariance."""
        information = self.INFORMATION if centring == "conditioned" else None
        model = self.model(centring, reference, information)
        of = "walk_steps_z" if centring == "noncentred" else "walk_steps"
        natural = remove_value_transforms(model)
        walk = natural.replace_rvs_by_values([natural["walk"]])
        function = natural.compile_fn(walk[0], point_fn=False, mode=PLAIN)
        shape = np.shape(natural.initial_point()[of])
        assert shape == (3, 3 if centring == "noncentred" else 2)
        units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
        design = np.transpose([function(u).ravel() for u in units])
        between = covariance_of_contrasts(self.SD[:, None], reference)
        of_steps = np.eye(9) if centring == "noncentred" else np.kron(np.eye(3), between)
        got = (design @ of_steps @ design.T).reshape(4, 2, 4, 2)
        at = np.r_[0, np.cumsum(GAPS)]
        centre = np.eye(4) - WEIGHTS.T[:, None] / WEIGHTS.sum(axis=0)[:, None, None]
        for k, other in np.ndindex(2, 2):
            plain = between[k, other] * np.minimum(at[:, None], at)
            expected = centre[k] @ plain @ centre[other].T
            np.testing.assert_allclose(got[:, k, :, other], expected, rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize("reference", range(3))
    def test_centred_steps_have_the_density_of_contrasts(self, reference):
        value = np.random.default_rng(1).normal(size=(3, 2))
        got = self.model("centred", reference).compile_logp(mode=PLAIN)({"walk_steps": value})
        assert got == pytest.approx(self.steps(value, reference), rel=1e-10)

    @pytest.mark.parametrize("pilot", ["right", "none", "absurd"])
    @pytest.mark.parametrize("reference", range(3))
    def test_any_pilot_gives_the_same_density(self, reference, pilot):
        nothing = np.zeros((4, 2)), np.zeros((4, 2))
        pilots = {"right": self.INFORMATION, "none": nothing, "absurd": self.ABSURD}
        model = self.model("auto", reference, pilots[pilot])
        assert isinstance(model.rvs_to_transforms[model["walk_steps"]], ConditionedSteps)
        assert_changes_variables(model, "walk_steps", lambda x: self.steps(x, reference))


class TestOtherDates:
    def test_between_and_beyond_have_the_moments_of_a_brownian_motion(self):
        rng = np.random.default_rng(1)
        dates, new = pd.Index(DATES), pd.Index([1990, 1981, 1974, 1983])
        walk = np.array([[0.0], [1.0], [4.0], [3.0]])
        draws = np.array([walk_at(walk, 0.5, dates, new, rng)[:, 0] for _ in range(20_000)])
        unit = 3.0
        mean = [3.0, 2.0, 0.0, 3.0]
        # A bridge of length 6 from 1979: t (6 - t) / 6 at 2 and at 4, covariance s (6 - t) / 6.
        variance = 0.25 / unit * np.array([4, 2 * 4 / 6, 3, 4 * 2 / 6])
        error = np.sqrt(variance / len(draws))
        assert (np.abs(draws.mean(axis=0) - mean) < 4.5 * error).all()
        np.testing.assert_allclose(draws.var(axis=0), variance, rtol=0.05)
        both = np.cov(draws[:, 1], draws[:, 3])[0, 1]
        assert both == pytest.approx(0.25 / unit * 2 * 2 / 6, rel=0.1)

    def test_labels_have_no_place_in_time(self):
        with pytest.raises(ValueError, match="labels"):
            walk_at(
                np.zeros((2, 1)),
                1.0,
                pd.Index(["a", "b"]),
                pd.Index(["c"]),
                np.random.default_rng(1),
            )


def simulate(concentration=None, n=(200, 2_000), seed=1):
    """20 clusters on 6 uneven dates, 4 categories, one of them new at the third date."""
    rng = np.random.default_rng(seed)
    dates = pd.to_datetime(["2001", "2002", "2006", "2007", "2010", "2016"], format="%Y")
    gaps = date_gaps(dates)
    steps = rng.normal(0, 0.4, (5, 3)) * np.sqrt(gaps)[:, None]
    walk = np.vstack([np.zeros(3), np.cumsum(steps, axis=0)])
    on = np.ones((6, 3))
    on[:2, 1] = 0
    walk -= (on * walk).sum(axis=0) / on.sum(axis=0)
    intercept = rng.normal([0.5, -0.5, 0.0], 0.6, (20, 3))
    cluster, date = (x.ravel() for x in np.indices((20, 6)))
    eta = np.zeros((120, 4))
    eta[:, :3] = intercept[cluster] + walk[date]
    available = np.ones((120, 4), bool)
    available[date < 2, 1] = False
    totals = rng.integers(*n, 120)
    share = softmax(np.where(available, eta, -np.inf), axis=1)
    data = CategoryCounts(
        draw_counts(rng, totals, share, concentration),
        available,
        ("a", "b", "c", "other"),
        cluster=pd.Categorical(cluster),
        date=dates[date],
    )
    return data, {"drift": walk, "intercept": intercept}


class TestPilot:
    def test_shifts_of_dates_are_found(self):
        data, truth = simulate(n=(100_000, 200_000))
        date = pd.factorize(data.date, sort=True)[0]
        h, b, _ = expand_likelihood(
            data.counts, data.available, data.cluster.codes, 20, 3, np.ones((120, 1)),
            date=date, n_dates=6,
        ).by_date  # fmt: skip
        assert (h[:2, 1] == 0).all() and (b[:2, 1] == 0).all()
        seen = h > 0
        found = np.divide(b, h, out=np.zeros_like(b), where=seen)
        # The pilot's mean is over all dates, the truth's over those with data.
        shift = (found - truth["drift"])[seen[:, 0]][:, [0, 2]]
        assert np.abs(shift - shift.mean(axis=0)).max() < 0.02

    def test_scatter_makes_rows_count_for_less(self):
        data, _ = simulate(concentration=30.0, n=(1_000, 5_000))
        arguments = (
            data.counts, data.available, data.cluster.codes, 20, 3, np.ones((120, 1)),
        )  # fmt: skip
        plain, _, _ = expand_likelihood(*arguments).by_cluster
        tempered, _, _ = expand_likelihood(*arguments, overdispersed=True).by_cluster
        # Without the drift the scatter is larger than 30 alone would make it.
        worth = tempered.sum() / plain.sum()
        assert 5 / data.n.mean() < worth < 1.2 * 31 / data.n.mean()

    def test_without_scatter_rows_keep_their_weight(self):
        rng = np.random.default_rng(1)
        data, _ = simulate()
        p = np.array([0.1, 0.2, 0.3, 0.4])
        counts = rng.multinomial(data.n, p)
        arguments = (counts, np.ones_like(counts), data.cluster.codes, 20, 3, np.ones((120, 1)))
        plain, _, _ = expand_likelihood(*arguments).by_cluster
        tempered, _, _ = expand_likelihood(*arguments, overdispersed=True).by_cluster
        assert tempered.sum() / plain.sum() > 0.5


class TestModel:
    def test_likelihood_is_scipys(self):
        data, _ = simulate(concentration=50.0)
        model = masked_regression(
            data, effects="intercepts", likelihood="dirichlet-multinomial", drift="walk",
            reference="other", centring="centred",
        )  # fmt: skip
        rng = np.random.default_rng(2)
        point = {
            "intercept_mean": np.zeros(3),
            "intercept_spread_scale_log__": np.array(0.0),
            "intercept_spread_log__": np.zeros(4),
            "intercept": rng.normal(size=(20, 3)),
            "drift_spread_scale_log__": np.array(0.0),
            "drift_spread_log__": np.log([0.5, 1.0, 2.0, 0.7]),
            "drift_steps": rng.normal(size=(5, 3)),
            "concentration_log__": np.log(70.0),
        }
        assert set(point) == {v.name for v in model.value_vars}
        values = model.replace_rvs_by_values([model["drift"], model["logits"]])
        walk, logits = model.compile_fn(
            values, inputs=model.value_vars, mode=PLAIN, on_unused_input="ignore"
        )(point)
        code = pd.factorize(data.date, sort=True)[0]
        eta = np.zeros((120, 4))
        eta[:, :3] = point["intercept"][data.cluster.codes] + walk[code]
        np.testing.assert_allclose(logits, eta, rtol=1e-12)
        expected = 0.0
        for y, on, row in zip(data.counts, data.available, eta, strict=True):
            expected += stats.dirichlet_multinomial.logpmf(y[on], 70.0 * softmax(row[on]), y.sum())
        got = model.compile_logp(vars=model["counts"], mode=PLAIN)(point)
        assert got == pytest.approx(expected, rel=1e-10)
        # The mean is zero over the dates at which a category was on some menu.
        assert abs(walk[2:, 1].sum()) < 1e-10 and abs(walk[:, 0].sum()) < 1e-10

    @pytest.mark.slow
    def test_truth_is_recovered_and_chains_mix(self):
        data, truth = simulate(concentration=50.0)
        model = masked_regression(
            data, effects="intercepts", likelihood="dirichlet-multinomial", drift="walk",
            reference="other",
        )  # fmt: skip
        with model:
            idata = pm.sample(
                1_500, chains=4, cores=2, nuts_sampler="nutpie", random_seed=1,
                progressbar=False, compile_kwargs={"freeze_model": True},
                var_names=parameter_names(model), nuts={"target_accept": 0.9},
            )  # fmt: skip
        check_convergence(idata)
        truth["concentration"] = 50.0
        # Before it came, nothing is known of the second category but the walk's own spread.
        check_recovery(idata, truth)

    @pytest.mark.parametrize(
        ("change", "options", "message"),
        [
            ({"date": None}, {}, "needs the date of each row"),
            ({"date": pd.Index([2001] * 120)}, {}, "All rows are of one date"),
            ({}, {"drift": "wander"}, "drift must be one of None, 'walk'"),
            ({}, {"drift": None, "priors": {"drift_sd": pm.HalfNormal}}, "'drift_sd'"),
            ({}, {"priors": {"concentration": pm.HalfNormal}}, "'concentration'"),
            (
                {},
                {"availability": "unknown", "likelihood": "dirichlet-multinomial"},
                "a Dirichlet-multinomial of unknown menus is not among",
            ),
        ],
    )
    def test_what_cannot_be_is_refused(self, change, options, message):
        data, _ = simulate()
        parts = {
            "counts": data.counts, "available": data.available, "categories": data.categories,
            "cluster": data.cluster, "date": data.date,
        } | change  # fmt: skip
        with pytest.raises(ValueError, match=message):
            masked_regression(CategoryCounts(**parts), **{"drift": "walk"} | options)
