"""Prediction of rows and groups left out: against closed forms, grids and sums by hand."""

import arviz as az
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp, softmax

from helpers.diagnostics.leave_one_out import (
    LeaveOneOut,
    leave_groups_out,
    leave_one_out,
    leave_one_out_pit,
)
from helpers.effects.rows import draw_new_scatter, integrated_log_likelihood


def beta_binomial(rng, draws=4_000):
    """Counts, totals, and log likelihoods by draws from the exact posterior of a share."""
    n = rng.integers(5, 40, 30)
    y = rng.binomial(n, 0.3)
    share = rng.beta(1 + y.sum(), 1 + (n - y).sum(), draws)
    return y, n, stats.binom.logpmf(y, n, share[:, None])


def exact_beta_binomial(y, n, left_out):
    a, b = 1 + y.sum() - y[left_out], 1 + (n - y).sum() - (n - y)[left_out]
    return stats.betabinom.logpmf(y[left_out], n[left_out], a, b)


def of(elpd):
    """A result of which only the densities matter."""
    elpd = np.asarray(elpd, dtype=float)
    return LeaveOneOut(elpd, np.zeros(len(elpd)), np.zeros((1, len(elpd))), np.empty(0, int))


class TestLeaveOneOut:
    def test_of_a_share_is_the_beta_binomial_of_the_others(self):
        y, n, log_likelihood = beta_binomial(np.random.default_rng(1))
        loo = leave_one_out(log_likelihood, chains=4)
        exact = [exact_beta_binomial(y, n, i) for i in range(len(y))]
        np.testing.assert_allclose(loo.elpd, exact, atol=0.01)
        spread = log_likelihood.sum(axis=1).std()
        assert loo.total == pytest.approx(np.sum(exact), abs=4 * spread / np.sqrt(4_000))
        np.testing.assert_allclose(np.exp(loo.log_weights).sum(axis=0), 1)
        assert not len(loo.refitted)

    def test_of_rows_that_scatter_is_that_of_refits_on_a_grid(self):
        """Three categories, a common mean: the posterior with and without a row, point by point."""
        rng = np.random.default_rng(2)
        tau, rows = np.array([0.3, 0.6, 0.4]), 12
        u = draw_new_scatter([tau], n_rows=rows, rng=rng)[0]
        counts = rng.multinomial(400, softmax([0.5, -0.5, 0] + u, axis=1))
        available = np.ones((rows, 3), bool)
        one, two = np.meshgrid(np.linspace(-0.5, 1.5, 61), np.linspace(-1.7, 0.7, 61))
        eta = np.stack([one.ravel(), two.ravel(), np.zeros(one.size)], axis=1)
        log_likelihood = integrated_log_likelihood(
            counts,
            available,
            np.repeat(eta[:, None], rows, axis=1),
            np.tile(tau, (len(eta), 1)),
            random_seed=3,
        ).log_likelihood
        joint = log_likelihood.sum(axis=1)
        exact = [
            logsumexp(joint) - logsumexp(joint - log_likelihood[:, i]) for i in range(rows)
        ]  # p(y) / p(y without i)
        draws = rng.choice(len(eta), 4_000, p=softmax(joint))
        loo = leave_one_out(log_likelihood[draws])
        np.testing.assert_allclose(loo.elpd, exact, atol=0.04)

    def test_agrees_with_arviz(self):
        _, _, log_likelihood = beta_binomial(np.random.default_rng(3))
        by_chain = log_likelihood.reshape(4, -1, 30)
        tree = az.from_dict(
            {"log_likelihood": {"y": by_chain}, "posterior": {"t": by_chain[..., 0]}}
        )
        theirs, ours = az.loo(tree, pointwise=True), leave_one_out(log_likelihood, chains=4)
        np.testing.assert_allclose(ours.elpd, theirs.elpd_i, atol=1e-3)
        np.testing.assert_allclose(ours.pareto_k, theirs.pareto_k, atol=0.2)

    def test_draws_that_resemble_each_other_have_a_longer_tail(self):
        """Each draw five times over, as of a chain that hardly moves: r_eff is a fifth."""
        _, _, log_likelihood = beta_binomial(np.random.default_rng(4), draws=800)
        moved = np.argsort(log_likelihood[:, 0])
        sticky = log_likelihood[moved].reshape(4, -1, 30).reshape(800, 30)
        a, b = leave_one_out(log_likelihood), leave_one_out(sticky)
        smoothed = [
            np.abs(x.log_weights[:, 0] + y[:, 0]) for x, y in ((a, log_likelihood), (b, sticky))
        ]
        tails = [(np.abs(x - np.median(x)) > 1e-9).sum() for x in smoothed]
        assert tails[1] > 1.5 * tails[0]

    def test_rows_whose_weights_fail_are_refitted(self):
        rng = np.random.default_rng(5)
        y = np.append(rng.normal(size=9), 9.0)

        def draws(rows):
            return rng.normal(y[rows].mean(), 1 / np.sqrt(len(rows)), 4_000)

        asked = []

        def refit(row):
            asked.append(row)
            return stats.norm.logpdf(y[row], draws(np.delete(np.arange(10), row)))

        loo = leave_one_out(stats.norm.logpdf(y, draws(np.arange(10))[:, None]), refit=refit)
        assert asked == [9] == loo.refitted.tolist() and loo.pareto_k[9] > 0.7
        exact = stats.norm.logpdf(9.0, y[:9].mean(), np.sqrt(1 + 1 / 9))
        assert loo.elpd[9] == pytest.approx(exact, rel=0.1)

    @pytest.mark.filterwarnings("error")
    def test_rows_that_one_draw_explains_cannot_be_relied_on(self):
        """So far apart that the tail of the weights cannot be fitted."""
        spread = np.array([1.0, 100.0, 1e4])
        log_likelihood = -np.random.default_rng(1).gamma(1, spread, (400, 3))
        loo = leave_one_out(log_likelihood, chains=4)
        assert loo.pareto_k[2] == np.inf and (loo.pareto_k[1:] > 0.7).all()
        np.testing.assert_allclose(np.exp(loo.log_weights).sum(axis=0), 1)

    def test_rows_without_counts_weigh_all_draws_alike(self):
        log_likelihood = np.random.default_rng(6).normal(size=(400, 2))
        log_likelihood[:, 1] = 0
        loo = leave_one_out(log_likelihood)
        assert loo.elpd[1] == pytest.approx(0) and loo.pareto_k[1] == -np.inf
        np.testing.assert_allclose(loo.log_weights[:, 1], -np.log(400))

    def test_refuses_what_is_no_log_likelihood(self):
        with pytest.raises(ValueError, match=r"rows \[1\]"):
            leave_one_out([[0.0, -np.inf]] * 10)
        with pytest.raises(ValueError, match="each of 3 chains"):
            leave_one_out(np.zeros((10, 2)), chains=3)


class TestErrors:
    def test_are_those_of_sums_of_groups(self):
        elpd = [1.0, 2.0, 4.0, 3.0, 7.0]
        loo = of(elpd)
        assert loo.total == 17
        assert loo.standard_error() == pytest.approx(np.sqrt(5) * np.std(elpd, ddof=1))
        by = loo.standard_error(["a", "b", "a", "c", "b"])
        # a: 5, b: 9, c: 3, with mean 17/3
        sd = np.sqrt(((5 - 17 / 3) ** 2 + (9 - 17 / 3) ** 2 + (3 - 17 / 3) ** 2) / 2)
        assert by == pytest.approx(np.sqrt(3) * sd)

    def test_of_a_difference_are_by_rows_and_each_grouping(self):
        one, other = of([1.0, 2.0, 4.0, 4.0]), of([0.0, 1.0, 1.0, 1.0])
        found = one.compare(other, {"date": [1, 1, 2, 2], "cluster": ["a", "b", "a", "b"]})
        assert found.difference == 8
        # 1, 1, 3, 3: by date 2 and 6, by cluster 4 and 4
        expected = {"rows": 2 * np.sqrt(4 / 3), "date": np.sqrt(2) * np.sqrt(8), "cluster": 0.0}
        assert found.errors == pytest.approx(expected)

    def test_need_groups_and_the_same_rows(self):
        with pytest.raises(ValueError, match="two groups"):
            of([1.0, 2.0]).standard_error(["a", "a"])
        with pytest.raises(ValueError, match="groups for 3"):
            of([1.0, 2.0]).standard_error(["a", "a", "b"])
        with pytest.raises(ValueError, match="one has 2 rows, the other 3"):
            of([1.0, 2.0]).compare(of([1.0, 2.0, 3.0]))


class TestPit:
    @staticmethod
    def ranks(spread):
        """Ranks of counts with a scatter of 0.4 among predictions with another."""
        rng = np.random.default_rng(7)
        draws, rows = 300, 600
        eta = np.array([0.4, -0.3, 0.0])
        available = rng.random((rows, 3)) < 0.8
        available[:, 2] = True

        def counts(tau, shape):
            u = tau * rng.standard_normal((*shape, rows, 3))
            return rng.multinomial(2_000, softmax(np.where(available, eta + u, -np.inf), axis=-1))

        y = counts(0.4, ())
        even = np.zeros((draws, rows))
        ranks = leave_one_out_pit(y, available, counts(spread, (draws,)), even, random_seed=1)
        assert (np.isnan(ranks) == ~available).all()
        some = available.sum(axis=1) > 1
        return [ranks[available[:, k] & some, k] for k in range(3)]

    def test_is_uniform_if_the_model_is_true(self):
        for ranks in self.ranks(0.4):
            assert stats.kstest(ranks, "uniform").pvalue > 0.01

    @pytest.mark.parametrize(("spread", "inside"), [(0.2, (0, 0.4)), (0.8, (0.65, 1))])
    def test_shows_a_wrong_spread(self, spread, inside):
        for ranks in self.ranks(spread):
            assert inside[0] < (np.abs(ranks - 0.5) < 0.25).mean() < inside[1]

    def test_counts_the_weights_of_the_draws(self):
        """Of 1,000 draws below and as many above, the former have three quarters of the weight."""
        predicted = np.repeat([[[1, 9]], [[9, 1]]], 1_000, axis=0)
        log_weights = np.log(np.repeat([[3.0], [1.0]], 1_000, axis=0))
        ranks = leave_one_out_pit([[5, 5]], [[True, True]], predicted, log_weights)
        np.testing.assert_allclose(ranks, [[0.75, 0.25]], atol=0.002)

    def test_of_ties_is_anywhere_among_them(self):
        predicted = np.zeros((500, 4_000, 1), int)
        even = np.zeros((500, 4_000))
        ranks = leave_one_out_pit(
            np.zeros((4_000, 1), int), np.ones((4_000, 1)), predicted, even, random_seed=1
        )
        assert stats.kstest(ranks[:, 0], "uniform").pvalue > 0.01

    def test_refuses_shapes_that_do_not_fit(self):
        with pytest.raises(ValueError, match=r"log_weights \(S, R\)"):
            leave_one_out_pit([[1, 2]], [[1, 1]], np.ones((5, 1, 2)), np.zeros((4, 1)))


class TestGroups:
    Y = np.array([0.1, 0.4, 1.3, 1.1, -0.6, -0.2, 0.7])
    GROUP = np.array(["b", "b", "a", "a", "d", "d", "c"])
    BETWEEN, WITHIN = 0.7, 0.5

    def density(self, mean, rows):
        """A known mean; the effect of the group drawn anew, one for all its rows."""
        rng = np.random.default_rng(rows[0])
        effect = rng.normal(mean, self.BETWEEN, (40_000, 1))
        return stats.norm.logpdf(self.Y[rows], effect, self.WITHIN)

    def exact(self, mean, rows):
        covariance = self.BETWEEN**2 + self.WITHIN**2 * np.eye(len(rows))
        return stats.multivariate_normal.logpdf(self.Y[rows], np.full(len(rows), mean), covariance)

    def test_density_is_joint_over_the_rows_of_a_group(self):
        table = leave_groups_out(self.GROUP, lambda rows: self.Y[rows].mean(), self.density)
        assert table.index.tolist() == ["a", "b", "c", "d"]
        assert table["rows"].tolist() == [2, 2, 1, 2]
        for group, line in table.iterrows():
            mean = self.Y[self.GROUP != group].mean()
            expected = self.exact(mean, np.flatnonzero(self.GROUP == group))
            assert abs(line["elpd"] - expected) < 4 * line["error"]
            assert line["error"] < 0.02 and 1_000 < line["effective"] < 40_000

    def test_folds_leave_out_whole_groups_each_once(self):
        fits = []
        table = leave_groups_out(
            self.GROUP,
            lambda rows: fits.append(rows) or len(fits) - 1,
            lambda fit, rows: np.full((10, len(rows)), float(fit)),
            folds=2,
            random_seed=3,
        )
        assert len(fits) == 2 and sorted(table["fold"]) == [0, 0, 1, 1]
        for group, line in table.iterrows():
            fitted = [group in self.GROUP[rows] for rows in fits]
            assert fitted == [line["fold"] != f for f in range(2)]
            # predicted by the fit that has not seen it
            assert line["elpd"] == pytest.approx(line["rows"] * line["fold"])

    def test_takes_more_draws_until_the_error_is_small(self):
        rng, calls = np.random.default_rng(1), []

        def density(fit, rows):
            calls.append(rows[0])
            return rng.normal(size=200)  # the density of all rows together

        table = leave_groups_out(self.GROUP, len, density, error=0.05, rounds=40)
        assert (table["error"] <= 0.05).all() and len(calls) > 8
        # the log of the mean of exp(N(0, 1)) is 1/2
        assert (np.abs(table["elpd"] - 0.5) < 4 * table["error"]).all()

    def test_refuses_folds_that_are_none(self):
        for folds in (1, 5):
            with pytest.raises(ValueError, match="There are 4 groups"):
                leave_groups_out(self.GROUP, len, self.density, folds=folds)
