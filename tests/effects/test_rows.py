"""Scatter of rows integrated out and drawn: against quadrature, and formulas of normals."""

import numpy as np
import pytest
from row_oracles import integrated
from scipy import integrate, stats

from helpers.effects.rows import draw_new_scatter, draw_scatter, integrated_log_likelihood

ETA3, TAU3 = np.array([0.3, -0.5, 1.0]), np.array([0.4, 0.9, 0.6])


def one_row(y, eta, tau, df=None, available=None, **options):
    """The function under test for one row and one draw."""
    y = np.asarray(y)
    available = np.ones(len(y), bool) if available is None else np.asarray(available)
    df = None if df is None else [df]
    options = {"random_seed": 1} | options
    found = integrated_log_likelihood([y], [available], [[eta]], [tau], df, **options)
    return found.log_likelihood[0, 0]


def contrasts(tau):
    """Scale matrix of the differences from the last category."""
    return np.diag(tau[:-1] ** 2) + tau[-1] ** 2


def density(tau, df):
    """Density of the differences from the last category, from scipy."""
    scale = contrasts(tau)
    if df is None:
        return stats.multivariate_normal(np.zeros(len(scale)), scale).pdf
    return stats.multivariate_t(np.zeros(len(scale)), scale, df=df).pdf


def over_plane(y, eta, tau, df, nodes=401):
    """Grid of scatter around the mode of three categories, and the joint density there."""
    reach = 8 * np.sqrt(np.diag(contrasts(tau))) * (1 if df is None else 4)
    # Steps that grow from the middle, as a t asks for.
    w = np.linspace(-1, 1, nodes)
    axes = [r * np.sinh(4 * w) / np.sinh(4) for r in reach]
    weights = [r * 4 * np.cosh(4 * w) / np.sinh(4) * (w[1] - w[0]) for r in reach]
    e = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    x = eta + np.concatenate([e, np.zeros((*e.shape[:-1], 1))], axis=-1)
    p = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    joint = stats.multinomial.pmf(y, y.sum(), p) * density(tau, df)(e)
    return x, joint * np.multiply.outer(*weights)


class TestIntegrated:
    @pytest.mark.parametrize("df", [None, 3.0])
    @pytest.mark.parametrize("y", [(1, 0), (3, 9), (400, 90), (0, 60)])
    def test_of_two_categories_is_the_integral_over_a_line(self, y, df):
        tau, difference = np.array([0.4, 0.8]), 0.7
        sd = np.sqrt((tau**2).sum())
        prior = stats.norm(scale=sd) if df is None else stats.t(df, scale=sd)

        def joint(e):
            return stats.binom.pmf(y[0], sum(y), 1 / (1 + np.exp(-difference - e))) * prior.pdf(e)

        points = [np.log((y[0] + 0.1) / (y[1] + 0.1)) - difference]
        expected = integrate.quad(joint, -40, 40, points=points, limit=500, epsabs=0)[0]
        assert one_row(y, [0.7, 0.0], tau, df) == pytest.approx(np.log(expected), abs=0.02)

    @pytest.mark.parametrize("df", [None, 3.0])
    @pytest.mark.parametrize("y", [(1, 0, 0), (7, 2, 11), (0, 40, 60), (300, 10, 700)])
    def test_of_three_categories_is_the_integral_over_a_plane(self, y, df):
        _, joint = over_plane(np.array(y), ETA3, TAU3, df)
        assert one_row(y, ETA3, TAU3, df) == pytest.approx(np.log(joint.sum()), abs=0.015)

    def test_the_oracle_for_more_categories_agrees_with_the_plane(self):
        for df in (None, 3.0):
            _, joint = over_plane(np.array([7, 2, 11]), ETA3, TAU3, df)
            got = integrated([7, 2, 11], ETA3, TAU3, df)
            assert got == pytest.approx(np.log(joint.sum()), abs=1e-6)

    @pytest.mark.parametrize("df", [None, pytest.param(4.0, marks=pytest.mark.slow)])
    @pytest.mark.parametrize("n", [1, 30, 10**4, 10**6, 10**9])
    @pytest.mark.parametrize("tau", [1e-3, 0.3, 1.0, 5.0])
    def test_of_eight_categories_from_few_counts_to_many(self, n, tau, df):
        rng = np.random.default_rng(n)
        eta, tau = rng.normal(size=8), tau * np.exp(0.3 * rng.normal(size=8))
        share = np.exp(eta + tau * rng.normal(size=8))
        y = rng.multinomial(n, share / share.sum())
        # 1e-8 of the log of a probability of many counts is rounding.
        assert one_row(y, eta, tau, df) == pytest.approx(integrated(y, eta, tau, df), abs=0.03)

    @pytest.mark.parametrize("df", [None, pytest.param(4.0, marks=pytest.mark.slow)])
    @pytest.mark.parametrize("tau", [0.1, 0.4, 5.0])
    def test_zeros_that_hardly_can_be(self, tau, df):
        eta, tau = np.zeros(5), np.full(5, tau)
        y = np.array([0, 0, 30_000, 34_000, 29_000])
        expected = integrated(y, eta, tau, df)
        assert one_row(y, eta, tau, df) == pytest.approx(expected, abs=0.03)

    def test_without_scatter_is_the_multinomial(self):
        share = np.exp(ETA3) / np.exp(ETA3).sum()
        expected = stats.multinomial.logpmf([700, 300, 900], 1900, share)
        for df, error in ((None, 1e-6), (5.0, 2e-4)):  # scales of a t: what its ends leave out
            got = one_row([700, 300, 900], ETA3, np.full(3, 1e-6), df)
            assert abs(got - expected) < error

    @pytest.mark.parametrize("df", [None, 4.0])
    def test_order_and_level_do_not_matter(self, df):
        y, eta, tau = (
            np.array([7, 0, 311, 20]),
            np.array([0.2, -1, 2, 0]),
            np.geomspace(0.2, 0.9, 4),
        )
        order = [2, 0, 3, 1]
        here = one_row(y, eta, tau, df)
        assert one_row(y[order], eta[order], tau[order], df) == pytest.approx(here, abs=0.02)
        assert one_row(y, eta + 700.0, tau, df) == pytest.approx(here, abs=1e-8)

    @pytest.mark.parametrize("df", [None, 4.0])
    def test_only_what_is_on_the_menu_matters(self, df):
        menu = np.array([True, False, True, True])
        y, eta, tau = np.array([40, 0, 25, 9]), np.array([0.2, np.nan, 2, 0]), np.full(4, 0.5)
        expected = integrated(y[menu], eta[menu], tau[menu], df)
        assert one_row(y, eta, tau, df, menu) == pytest.approx(expected, abs=0.01)

    def test_rows_that_say_nothing_have_zero(self):
        counts, available = [[0, 0, 0], [0, 9, 0]], [[1, 1, 1], [0, 1, 0]]
        got = integrated_log_likelihood(counts, available, np.zeros((4, 2, 3)), np.ones((4, 3)))
        assert (got.log_likelihood == 0).all() and (got.efficiency == 1).all()

    def test_draws_and_rows_are_those_given_in_blocks_or_not(self, monkeypatch):
        rng = np.random.default_rng(4)
        counts, available = rng.poisson(30, (6, 4)), rng.random((6, 4)) < 0.7
        counts, eta = counts * available, rng.normal(size=(4, 6, 4))
        tau = rng.uniform(0.2, 0.6, (4, 4))
        expected = np.zeros((4, 6))
        for s, i in np.argwhere((available.sum(axis=1) > 1) & np.ones((4, 1), bool)):
            a = available[i]
            expected[s, i] = integrated(counts[i, a], eta[s, i, a], tau[s, a])
        for block in (1, 10**6):
            monkeypatch.setattr("helpers.effects._row_table.BLOCK", block)
            got = integrated_log_likelihood(counts, available, eta, tau, random_seed=2)
            np.testing.assert_allclose(got.log_likelihood, expected, atol=0.04)

    def test_the_normal_at_the_mode_is_good_where_rows_are_elections(self):
        rng = np.random.default_rng(8)
        tau = np.geomspace(0.14, 0.7, 8)
        eta = np.broadcast_to(rng.normal(size=(60, 8)), (20, 60, 8))
        x = eta[0] + tau * rng.normal(size=(60, 8))
        n = np.geomspace(1e4, 1e6, 60).astype(int)
        counts = rng.multinomial(n, np.exp(x) / np.exp(x).sum(axis=1, keepdims=True))
        menus = np.ones((60, 8), bool)
        for df in (None, np.full(20, 4.0)):
            got = integrated_log_likelihood(counts, menus, eta, np.tile(tau, (20, 1)), df)
            assert (got.efficiency >= 0.9).mean() > 0.97

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"counts": [[1, 2, 3]]}, r"rows \[0\].*on the menu after all"),
            ({"spread": [[0.5, 0.0, 0.5]]}, "spread must be positive"),
            ({"df": [np.inf]}, "df must be positive and finite"),
            ({"logits": [[[0.0, np.nan, 0.0]]]}, "finite on the menu"),
            ({"logits": np.zeros((2, 1, 3))}, r"spread \(S, K\)"),
            ({"points": 60}, "power of two"),
        ],
    )
    def test_refuses_what_cannot_be(self, change, message):
        given = {"counts": [[1, 2, 0]], "available": [[True, True, False]]}
        given |= {"logits": np.zeros((1, 1, 3)), "spread": np.ones((1, 3))}
        with pytest.raises(ValueError, match=message):
            integrated_log_likelihood(**given | change)


def many(y, eta, tau, df=None, *, available=None, draws=20_000, seed=3):
    """Draws of one row's logits at the same parameters."""
    available = np.ones(len(y), bool) if available is None else np.asarray(available)
    df = None if df is None else np.full(draws, df)
    logits, spread = np.tile(eta, (draws, 1, 1)), np.tile(tau, (draws, 1))
    rng = np.random.default_rng(seed)
    return draw_scatter([y], [available], logits, spread, df, rng=rng)[:, 0]


class TestDrawn:
    @pytest.mark.parametrize("df", [None, pytest.param(3.0, marks=pytest.mark.slow)])
    @pytest.mark.parametrize("y", [(1, 0, 0), (7, 2, 11), (0, 40, 60), (300, 10, 700)])
    def test_contrasts_have_the_moments_of_the_posterior(self, y, df):
        """Also where the draws come from the quadrature."""
        x, joint = over_plane(np.array(y), ETA3, TAU3, df)
        weight, e = joint / joint.sum(), x[..., :2] - x[..., 2:]
        mean = np.einsum("ij,ijk->k", weight, e)
        sd = np.sqrt(np.einsum("ij,ijk->k", weight, (e - mean) ** 2))
        n = 6_000
        draws = many(y, ETA3, TAU3, df, draws=n)
        got = draws[:, :2] - draws[:, 2:]
        np.testing.assert_allclose(got.mean(axis=0), mean, atol=4 * sd.max() / np.sqrt(n))
        for k in range(2):  # by the whole distribution, which outliers of a t do not upset
            marginal = weight.sum(axis=1 - k)
            at = e[:, 0, 0] if k == 0 else e[0, :, 1]
            u = np.interp(got[:, k], at, np.cumsum(marginal) - marginal / 2)
            assert np.abs(np.histogram(u, 10, (0, 1))[0] / n - 0.1).max() < 4.2 * np.sqrt(0.09 / n)

    def test_off_the_menu_is_the_conditional_of_a_joint_normal(self):
        """So many counts that the contrasts on the menu are known."""
        eta, tau = np.array([0.2, -0.4, 0.5, 1.0]), np.array([0.3, 0.8, 0.5, 0.6])
        e = np.array([0.5, -0.9])  # contrasts of 0 and 1 with 2, beyond their means
        x = np.append(eta[:2] - eta[2] + e, 0)
        y = np.append(np.rint(1e12 * np.exp(x) / np.exp(x).sum()), 0)
        draws = many(y, eta, tau, available=[True, True, True, False])
        got = (draws - draws[:, [2]])[:, 3]
        # u ~ N(0, diag(tau^2)); seen are u0 - u2 and u1 - u2, asked for u3 - u2.
        to = np.array([[1.0, 0, -1, 0], [0, 1, -1, 0], [0, 0, -1, 1]])
        covariance = to @ np.diag(tau**2) @ to.T
        gain = covariance[2, :2] @ np.linalg.inv(covariance[:2, :2])
        mean = eta[3] - eta[2] + gain @ e
        sd = np.sqrt(covariance[2, 2] - gain @ covariance[:2, 2])
        assert got.mean() == pytest.approx(mean, abs=5 * sd / np.sqrt(len(got)))
        assert got.std() == pytest.approx(sd, rel=0.03)

    @pytest.mark.parametrize("df", [None, pytest.param(3.0, marks=pytest.mark.slow)])
    def test_off_the_menu_agrees_with_prior_draws_weighted_by_the_counts(self, df):
        eta, tau = np.array([0.2, -0.4, 0.5, 1.0]), np.array([0.3, 0.8, 0.5, 0.6])
        y, menu = np.array([60, 5, 20, 0]), np.array([True, True, True, False])
        rng = np.random.default_rng(5)
        u = draw_new_scatter([tau], None if df is None else [df], n_rows=400_000, rng=rng)[0]
        x = (eta + u)[:, menu]
        log_p = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
        weight = np.exp((y[menu] * log_p).sum(axis=1))
        weight /= weight.sum()
        draws = many(y, eta, tau, df, available=menu, draws=5_000)
        effective = 1 / (weight**2).sum()
        for of in (lambda x: x[:, 3] - x[:, 0], lambda x: x[:, 3] - x[:, 2]):
            prior, got = of(eta + u), of(draws)
            edges = np.quantile(got, [0.1, 0.3, 0.5, 0.7, 0.9])
            below = [(weight * (prior < edge)).sum() for edge in edges]
            np.testing.assert_allclose(
                below, [0.1, 0.3, 0.5, 0.7, 0.9], atol=2 / min(effective, 5_000) ** 0.5
            )

    def test_rows_of_which_nothing_is_known_are_as_drawn_anew(self):
        for y, menu in (([0, 0, 0], [1, 1, 1]), ([0, 8, 0], [0, 1, 0])):
            draws = many(y, ETA3, TAU3, available=menu) - ETA3
            covariance = np.cov(draws[:, :2] - draws[:, 2:], rowvar=False)
            np.testing.assert_allclose(covariance, contrasts(TAU3), atol=0.03)

    def test_realised_shares_are_those_seen_where_counts_are_many(self):
        y = np.array([[10**6, 3 * 10**6, 6 * 10**6]])
        draws = many(y[0], ETA3, TAU3, 4.0, draws=50)
        share = np.exp(draws) / np.exp(draws).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(share, np.tile(y / 1e7, (50, 1)), rtol=0.01)

    def test_rows_and_draws_are_independent(self):
        y, n = np.array([7, 2, 11]), 4_000
        logits, spread = np.tile(ETA3, (n, 2, 1)), np.tile(TAU3, (n, 1))
        rng = np.random.default_rng(2)
        draws = draw_scatter([y, y], np.ones((2, 3)), logits, spread, rng=rng)
        e = draws[..., 0] - draws[..., 2]
        assert abs(np.corrcoef(e[:, 0], e[:, 1])[0, 1]) < 4 / np.sqrt(n)
        assert abs(np.corrcoef(e[1:, 0], e[:-1, 0])[0, 1]) < 4 / np.sqrt(n)

    def test_needs_logits_off_the_menu(self):
        with pytest.raises(ValueError, match="must be finite in all draws"):
            many([3, 4, 0], [0, 0, np.nan], TAU3, available=[1, 1, 0], draws=2)


def test_new_scatter_has_its_spread_and_one_scale_for_a_row():
    rng = np.random.default_rng(1)
    u = draw_new_scatter([TAU3, 2 * TAU3], [5.0, 9.0], n_rows=40_000, rng=rng)
    for s, (factor, df) in enumerate([(1, 5.0), (2, 9.0)]):
        for k in range(3):
            assert stats.kstest(u[s, :, k] / (factor * TAU3[k]), stats.t(df).cdf).pvalue > 1e-3
    size = np.log(np.abs(u[0]))
    assert np.corrcoef(size[:, 0], size[:, 1])[0, 1] > 0.05  # 0 of independent scales
