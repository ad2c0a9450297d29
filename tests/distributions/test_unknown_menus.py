"""The menu is summed out: against sums written out one menu at a time, and other oracles."""

import functools
import itertools

import mpmath
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymc.logprob.utils import ParameterValueError
from pymc.testing import BaseTestDistributionRandom, assert_support_point_is_expected
from pytensor.compile.mode import Mode
from scipy import stats
from scipy.special import expit, logsumexp

from helpers import PatternMixtureMultinomial, ZeroInflatedMultinomial
from helpers.distributions import log_mean_over_menus

# Densities are compared in plain numpy: no compiler, so each costs a fraction of a second.
PLAIN = Mode(linker="py", optimizer="fast_compile")


def on_menu(y, p, menu):
    """Log-probability of counts if this was the menu, from scipy."""
    y, p, menu = np.asarray(y), np.asarray(p), np.asarray(menu, bool)
    if y[~menu].any() or not menu.any():
        return -np.inf
    return stats.multinomial.logpmf(y[menu], y.sum(), p[menu] / p[menu].sum())


def all_menus(size):
    return np.array(list(itertools.product([False, True], repeat=size)))


def by_menus(y, p, psi):
    """Every menu, one by one."""
    terms = [
        np.log(np.where(menu, psi, 1 - np.asarray(psi))).sum() + on_menu(y, p, menu)
        for menu in all_menus(len(p))
        if np.where(menu, psi, 1 - np.asarray(psi)).all()
    ]
    return logsumexp(terms)


def all_counts(n, size):
    return [y for y in itertools.product(range(n + 1), repeat=size) if sum(y) == n]


def density(distribution, value):
    return pm.logp(distribution, value).eval(mode=PLAIN)


class TestPatternMixture:
    PATTERNS = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [1, 0, 0, 1]], bool)
    WEIGHTS = np.array([0.5, 0.3, 0.2])
    P = np.array([0.1, 0.2, 0.3, 0.4])

    @pytest.mark.parametrize("y", [[3, 1, 2, 4], [3, 0, 3, 4], [5, 0, 0, 5], [0, 0, 0, 10]])
    def test_density_is_the_sum_over_patterns(self, y):
        ours = PatternMixtureMultinomial.dist(
            10, p=self.P, patterns=self.PATTERNS, weights=self.WEIGHTS
        )
        terms = [on_menu(y, self.P, menu) for menu in self.PATTERNS]
        expected = logsumexp(terms, b=self.WEIGHTS)
        assert density(ours, y) == pytest.approx(expected, rel=1e-12)

    def test_batches_and_off_the_support(self):
        logits = np.random.default_rng(1).normal(size=(4, 4))
        weights = np.random.default_rng(2).dirichlet(np.ones(3), size=4)
        y = np.array([[1, 0, 2, 3], [0, 6, 0, 0], [2, 0, 0, 4], [1, 1, 1, 1]])
        ours = PatternMixtureMultinomial.dist(
            [6, 6, 6, 9], logits, patterns=self.PATTERNS, weights=weights
        )
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        expected = [
            logsumexp([on_menu(y[i], p[i], menu) for menu in self.PATTERNS], b=weights[i])
            for i in range(3)
        ]
        np.testing.assert_allclose(density(ours, y), [*expected, -np.inf], rtol=1e-12)
        assert density(ours, y + [[1, -1, 0, 0]] * 4)[0] == -np.inf

    def test_probabilities_sum_to_one(self):
        ours = PatternMixtureMultinomial.dist(
            3, p=self.P, patterns=self.PATTERNS[1:], weights=[0.4, 0.6]
        )
        y = pt.lvector("y")
        logp = pytensor.function([y], pm.logp(ours, y), mode=PLAIN)
        assert np.exp([logp(y) for y in all_counts(3, 4)]).sum() == pytest.approx(1, rel=1e-12)

    def test_gradient_is_finite_where_a_pattern_or_weight_is_nothing(self):
        logits, weights = pt.dvector(), pt.dvector()
        ours = PatternMixtureMultinomial.dist(10, logits, patterns=self.PATTERNS, weights=weights)
        logp = pm.logp(ours, np.array([3, 1, 2, 4]))
        gradient = pytensor.function(
            [logits, weights], pt.grad(logp, [logits, weights]), mode=PLAIN
        )
        for of in gradient(np.array([0.0, -800.0, 3.0, 1.0]), np.array([1.0, 0.0, 0.0])):
            assert np.isfinite(of).all()

    def test_draws_have_the_probabilities(self):
        ours = PatternMixtureMultinomial.dist(
            [3] * 20_000, p=self.P, patterns=self.PATTERNS, weights=self.WEIGHTS
        )
        draws = pm.draw(ours, random_seed=1)
        assert_frequencies(
            draws,
            lambda y: logsumexp(
                [on_menu(y, self.P, menu) for menu in self.PATTERNS], b=self.WEIGHTS
            ),
        )

    def test_support_point_is_possible(self):
        with pm.Model() as model:
            PatternMixtureMultinomial(
                "x", 10, p=self.P, patterns=self.PATTERNS, weights=[0.1, 0.1, 0.8]
            )
        assert_support_point_is_expected(model, np.array([2, 0, 0, 8]))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"weights": [0.5, 0.3, 0.1]}, "sum to 1"),
            ({"weights": [0.5, 0.8, -0.3]}, "non-negative"),
            ({"weights": [0.5, 0.5]}, "3 patterns and 2 weights"),
            ({"patterns": [[1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 1]]}, "empty at"),
            ({"patterns": [[1, 1, 2, 1], [1, 0, 0, 0], [1, 0, 0, 1]]}, "True/False"),
            ({"patterns": [1, 1, 1, 1]}, "two axes"),
            ({"p": [0.5, 0.5, 0.5, 0.5]}, "sum to 1"),
        ],
    )
    def test_impossible_parameters_are_refused(self, change, message):
        right = {"p": self.P, "patterns": self.PATTERNS, "weights": self.WEIGHTS}
        with pytest.raises(ValueError, match=message):
            PatternMixtureMultinomial.dist(10, **right | change)

    def test_rows_impossible_under_every_pattern_are_named(self):
        y = [[3, 0, 3, 4], [3, 1, 2, 4]]
        with pm.Model(), pytest.raises(ValueError, match=r"'y'.*rows \[1\]"):
            PatternMixtureMultinomial(
                "y", 10, p=self.P, patterns=self.PATTERNS[1:], weights=[0.5, 0.5], observed=y
            )

    def test_symbolic_weights_are_checked(self):
        weights = pt.dvector()
        ours = PatternMixtureMultinomial.dist(1, p=self.P, patterns=self.PATTERNS, weights=weights)
        with pytest.raises(ParameterValueError, match="weights"):
            pm.logp(ours, np.array([1, 0, 0, 0])).eval({weights: [0.5, 0.5, 0.5]}, mode=PLAIN)


def assert_frequencies(draws, log_p):
    """Counts of each outcome against its probability: chi-squared."""
    outcomes = [y for y in all_counts(int(draws[0].sum()), draws.shape[1])]
    p = np.exp([log_p(y) for y in outcomes])
    seen = np.array([(draws == y).all(axis=1).sum() for y in outcomes])
    assert seen.sum() == len(draws)
    assert not seen[p == 0].any()
    likely = p * len(draws) >= 5
    rest = [seen[~likely].sum()], [p[~likely].sum() * len(draws)]
    if rest[1][0] < 5:
        rest = [], []
    got = np.concatenate([seen[likely], rest[0]])
    expected = np.concatenate([p[likely] * len(draws), rest[1]])
    assert stats.chisquare(got, expected * got.sum() / expected.sum()).pvalue > 1e-4


METHODS = ["enumerate", "quadrature"]


class TestZeroInflated:
    P = np.array([0.1, 0.2, 0.3, 0.4])
    PSI = np.array([0.5, 0.9, 0.02, 1.0])

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize(
        "y", [[3, 1, 2, 4], [3, 0, 3, 4], [5, 0, 0, 5], [0, 0, 0, 10], [0, 7, 0, 0], [0, 0, 0, 0]]
    )
    def test_density_is_the_sum_over_menus(self, y, method):
        ours = ZeroInflatedMultinomial.dist(sum(y), p=self.P, psi=self.PSI, method=method)
        assert density(ours, y) == pytest.approx(by_menus(y, self.P, self.PSI), abs=1e-9)

    def test_method_auto_is_either(self):
        rng = np.random.default_rng(1)
        for size in (4, 9):
            p, psi = rng.dirichlet(np.ones(size)), np.append(rng.uniform(size=size - 1), 1)
            y = np.append(np.zeros(size - 2, int), [2, 3])
            ours = ZeroInflatedMultinomial.dist(5, p=p, psi=psi)
            assert density(ours, y) == pytest.approx(by_menus(y, p, psi), abs=1e-9)

    @pytest.mark.parametrize("method", METHODS)
    def test_counts_need_not_be_constant(self, method):
        ours = ZeroInflatedMultinomial.dist(3, p=self.P, psi=self.PSI, method=method)
        y = pt.lvector("y")
        logp = pytensor.function([y], pm.logp(ours, y), mode=PLAIN)
        values = [logp(y) for y in all_counts(3, 4)]
        assert np.exp(values).sum() == pytest.approx(1, rel=1e-9)
        assert logp([1, 1, 1, 1]) == logp([4, -1, 0, 0]) == -np.inf

    @pytest.mark.parametrize("method", METHODS)
    def test_known_cells_do_not_depend_on_psi(self, method):
        known = np.array([[np.nan, 1, 0, 1], [0, np.nan, np.nan, 1]])
        y = np.array([[0, 0, 0, 6], [0, 0, 2, 4]])
        ours = ZeroInflatedMultinomial.dist(
            6, p=self.P, psi=self.PSI, available=known, method=method
        )
        expected = [
            by_menus(row, self.P, np.where(np.isnan(a), self.PSI, a))
            for row, a in zip(y, known, strict=True)
        ]
        np.testing.assert_allclose(density(ours, y), expected, rtol=1e-9)
        assert (density(ours, [[1, 0, 1, 4], [1, 0, 1, 4]]) == -np.inf).all()

    @pytest.mark.parametrize("method", METHODS)
    def test_given_a_menu_that_is_not_empty(self, method):
        psi = np.array([0.3, 0.6, 0.1, 0.2])
        ours = ZeroInflatedMultinomial.dist(3, p=self.P, psi=psi, nonempty=True, method=method)
        y = [0, 2, 0, 1]
        expected = by_menus(y, self.P, psi) - np.log(1 - np.prod(1 - psi))
        assert density(ours, y) == pytest.approx(expected, abs=1e-9)
        values = [density(ours, y) for y in all_counts(3, 4)]
        assert np.exp(values).sum() == pytest.approx(1, rel=1e-9)

    @pytest.mark.parametrize("nonempty", [False, True])
    def test_draws_have_the_probabilities(self, nonempty):
        psi = np.array([0.3, 0.6, 0.1, 0.2]) if nonempty else self.PSI
        ours = ZeroInflatedMultinomial.dist([3] * 20_000, p=self.P, psi=psi, nonempty=nonempty)
        scale = np.log(1 - np.prod(1 - psi)) if nonempty else 0.0
        draws = pm.draw(ours, random_seed=1)
        assert_frequencies(draws, lambda y: by_menus(y, self.P, psi) - scale)

    def test_support_point_is_possible(self):
        with pm.Model() as model:
            ZeroInflatedMultinomial("x", 10, p=self.P, psi=[0.2, 0.1, 0, 1], shape=(2, 4))
        assert_support_point_is_expected(model, np.array([[1, 3, 0, 6]] * 2))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"psi": [0.5, 1.2, 1, 1]}, r"between 0 and 1: found \[1.2\]"),
            ({"psi": [0.5, -0.1, 1, 1]}, "between 0 and 1"),
            ({"psi": [0.5, np.nan, 1, 1]}, "between 0 and 1"),
            ({"psi": [0.5, 0.5, 0.9, 0.9]}, "sure to be on the menu"),
            ({"psi": [0, 0, 0, 0], "nonempty": True}, "sure to be on the menu"),
            ({"available": [2, 1, 1, 1]}, "NaN"),
            ({"method": "integrate"}, "auto, enumerate, quadrature"),
            ({"group": [0.5, 1.5]}, "whole number"),
            ({"group": [0, 0], "method": "quadrature"}, "do not factor"),
        ],
    )
    def test_impossible_parameters_are_refused(self, change, message):
        right = {"p": self.P, "psi": self.PSI}
        with pytest.raises(ValueError, match=message):
            ZeroInflatedMultinomial.dist(10, **right | change)

    def test_symbolic_parameters_are_checked(self):
        psi = pt.dvector()
        ours = ZeroInflatedMultinomial.dist(1, p=self.P, psi=psi)
        logp = pm.logp(ours, np.array([1, 0, 0, 0]))
        for wrong in ([0.5, 0.5, 0.5, 1.5], [0.5, 0.5, 0.5, 0.5]):
            with pytest.raises(ParameterValueError, match="psi"):
                logp.eval({psi: wrong}, mode=PLAIN)

    def test_choices_of_what_was_known_to_be_off_are_named(self):
        known = [[np.nan, 0, 1, 1], [np.nan, 1, 1, 1]]
        with pm.Model(), pytest.raises(ValueError, match=r"'y'.*\[0\]"):
            ZeroInflatedMultinomial(
                "y", 6, p=self.P, psi=self.PSI, available=known, observed=[[1, 1, 1, 3]] * 2
            )


def mean_of_two_kinds(n, ratios, psis, sizes):
    """E (1 + sum)^-n where the categories are of two kinds: two binomials, at any number."""
    i, j = (np.arange(size + 1) for size in sizes)
    terms = (
        stats.binom.logpmf(i, sizes[0], psis[0])[:, None]
        + stats.binom.logpmf(j, sizes[1], psis[1])
        - n * np.log1p(i[:, None] * ratios[0] + j * ratios[1])
    )
    return logsumexp(terms)


@functools.cache
def compiled_integral():
    n, ratio, psi = pt.dscalar(), pt.dvector(), pt.dvector()
    out = log_mean_over_menus(n, ratio, psi, pt.ones_like(psi, dtype=bool))
    return pytensor.function([n, ratio, psi], out, mode=PLAIN)


def integral(n, log_ratio, psi):
    return compiled_integral()(n, log_ratio, psi)


logit = st.floats(-13.8, 13.8)  # psi from 1e-6 to 1 - 1e-6


class TestQuadrature:
    @given(
        st.one_of(st.integers(1, 30), st.integers(1, 1_000_000)),
        st.lists(st.tuples(st.floats(-30, 30), logit), min_size=1, max_size=8),
    )
    @settings(max_examples=150, deadline=None)
    def test_is_the_sum_over_menus(self, n, categories):
        log_ratio, psi = np.array([c[0] for c in categories]), expit([c[1] for c in categories])
        menus = all_menus(len(psi))
        log_total = logsumexp(
            np.column_stack([np.zeros(len(menus)), np.where(menus, log_ratio, -np.inf)]), axis=1
        )
        expected = logsumexp(np.log(np.where(menus, psi, 1 - psi)).sum(axis=1) - n * log_total)
        assert integral(n, log_ratio, psi) == pytest.approx(expected, abs=1e-8, rel=1e-13)

    @given(
        st.one_of(st.integers(1, 30), st.integers(1, 1_000_000)),
        st.tuples(st.floats(-16, 5), st.floats(-16, 5)),
        st.tuples(logit, logit),
        st.tuples(st.integers(1, 100), st.integers(1, 100)),
    )
    @settings(max_examples=100, deadline=None)
    def test_of_up_to_200_categories_is_a_mixture_of_binomials(self, n, logs, logits, sizes):
        psis = expit(logits)
        expected = mean_of_two_kinds(n, np.exp(logs), psis, sizes)
        ours = integral(n, np.repeat(logs, sizes), np.repeat(psis, sizes))
        assert ours == pytest.approx(expected, abs=1e-8, rel=1e-12)

    @pytest.mark.parametrize("n", [100, 1_000, 3_000, 100_000])
    @pytest.mark.parametrize("odds", [0.0, 6.0, 13.0])
    def test_of_two_far_modes(self, n, odds):
        """All on against all off: the sum has most of its mass at either end, or both."""
        ratio, psi = 60 / n, expit(odds)
        expected = mean_of_two_kinds(n, (ratio, ratio), (psi, psi), (100, 100))
        ours = integral(n, np.full(200, np.log(ratio)), np.full(200, psi))
        assert ours == pytest.approx(expected, abs=1e-8, rel=1e-12)

    def test_against_an_integral_in_high_precision(self):
        """Forty different categories, where no sum over menus can be written out."""
        rng = np.random.default_rng(5)
        n, ratio, psi = 250, np.exp(rng.uniform(-9, -2, 40)), expit(rng.normal(0, 4, 40))
        with mpmath.workdps(25):

            def f(t):
                u = mpmath.exp(t)
                out = u**n * mpmath.exp(-u)
                for r, p in zip(ratio, psi, strict=True):
                    out *= 1 - mpmath.mpf(p) + p * mpmath.exp(-u * r)
                return out

            ends = mpmath.linspace(3, 7, 9)
            expected = float(mpmath.log(mpmath.quad(f, ends) / mpmath.gamma(n)))
        assert integral(n, np.log(ratio), psi) == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize("n", [1, 2, 7, 40, 1_000])
    def test_gradient(self, n):
        """Against derivatives of the sum over menus in high precision."""
        rng = np.random.default_rng(n)
        log_ratio, log_odds = rng.normal(-np.log(n) / 2, 2, 5), rng.normal(0, 3, 5)

        def exact(*at):
            r, odds = at[:5], at[5:]
            out = mpmath.mpf(0)
            for menu in all_menus(5):
                term = (1 + sum(mpmath.exp(x) for x, on in zip(r, menu, strict=True) if on)) ** -n
                for x, on in zip(odds, menu, strict=True):
                    term *= 1 / (1 + mpmath.exp(-x if on else x))
                out += term
            return mpmath.log(out)

        ratio, odds = pt.dvector(), pt.dvector()
        value = log_mean_over_menus(np.float64(n), ratio, pt.sigmoid(odds), np.ones(5, bool))
        ours = [
            g.eval({ratio: log_ratio, odds: log_odds}, mode=PLAIN)
            for g in pt.grad(value, [ratio, odds])
        ]
        at = [*map(mpmath.mpf, log_ratio), *map(mpmath.mpf, log_odds)]
        with mpmath.workdps(30):
            unit = np.eye(10, dtype=int)
            expected = [float(mpmath.diff(exact, tuple(at), tuple(map(int, u)))) for u in unit]
        np.testing.assert_allclose(np.concatenate(ours), expected, rtol=1e-6, atol=1e-9)


class TestGroups:
    P = np.array([0.1, 0.2, 0.3, 0.4])
    PSI = np.array([0.5, 0.9, 0.02, 1.0])
    GROUP = np.array([7, 2, 7, 2, 7])
    Y = np.array([[0, 1, 0, 4], [0, 0, 0, 6], [0, 3, 0, 3], [2, 0, 0, 4], [0, 0, 0, 0]])

    def by_hand(self, y, p, psi, group, known=None):
        out = []
        for g in np.unique(group):
            terms = []
            for menu in all_menus(len(psi)):
                chance = np.where(menu, psi, 1 - psi)
                if known is not None and ((known == 1) & ~menu)[group == g].any():
                    continue
                if known is not None and ((known == 0) & menu)[group == g].any():
                    continue
                if known is not None:
                    chance = np.where(np.isnan(known[group == g]).all(axis=0), chance, 1.0)
                if chance.all():
                    rows = [on_menu(row, p_i, menu) for row, p_i in zip(y, p, strict=True)]
                    terms.append(np.log(chance).sum() + np.array(rows)[group == g].sum())
            out.append(logsumexp(terms))
        return out

    def test_density_is_the_sum_over_the_groups_menus(self):
        p = np.random.default_rng(1).dirichlet(np.ones(4), size=5)
        ours = ZeroInflatedMultinomial.dist(self.Y.sum(axis=1), p=p, psi=self.PSI, group=self.GROUP)
        expected = self.by_hand(self.Y, p, self.PSI, self.GROUP)
        np.testing.assert_allclose(density(ours, self.Y), expected, rtol=1e-12)
        y = pt.lmatrix("y")
        logp = pytensor.function([y], pm.logp(ours, y), mode=PLAIN)
        np.testing.assert_allclose(logp(self.Y), expected, rtol=1e-12)

    def test_what_one_row_knows_holds_for_its_group(self):
        known = np.full((5, 4), np.nan)
        known[0, 0], known[3, 2] = 0, 1
        ours = ZeroInflatedMultinomial.dist(
            self.Y.sum(axis=1), p=self.P, psi=self.PSI, group=self.GROUP, available=known
        )
        p = np.tile(self.P, (5, 1))
        expected = self.by_hand(self.Y, p, self.PSI, self.GROUP, known)
        np.testing.assert_allclose(density(ours, self.Y), expected, rtol=1e-12)

    def test_groups_of_one_row_are_the_ungrouped(self):
        alone = ZeroInflatedMultinomial.dist(self.Y.sum(axis=1), p=self.P, psi=self.PSI)
        grouped = ZeroInflatedMultinomial.dist(
            self.Y.sum(axis=1), p=self.P, psi=self.PSI, group=np.arange(5)
        )
        ours = density(grouped, self.Y)
        np.testing.assert_allclose(ours, density(alone, self.Y), rtol=1e-12, atol=1e-15)

    def test_draws_share_the_menu(self):
        n = 4_000
        group = np.arange(n) // 2
        ours = ZeroInflatedMultinomial.dist([40] * n, p=[0.5, 0.5], psi=[0.3, 1.0], group=group)
        chosen = pm.draw(ours, random_seed=1)[:, 0] > 0
        # With 40 choices a zero by chance has probability 2^-40.
        assert (chosen[::2] == chosen[1::2]).all()
        assert stats.binomtest(int(chosen[::2].sum()), n // 2, 0.3).pvalue > 1e-4

    def test_model_takes_observed_counts(self):
        with pm.Model() as model:
            psi = pm.Beta("psi", 1, 1, shape=3)
            ZeroInflatedMultinomial(
                "y",
                self.Y.sum(axis=1),
                p=self.P,
                psi=pt.concatenate([psi, [1.0]]),
                group=self.GROUP,
                observed=self.Y,
            )
        at = {"psi_logodds__": np.zeros(3)}
        gradient = model.compile_dlogp(mode=PLAIN)(at)
        assert np.isfinite(gradient).all()
        logp = model.compile_logp(mode=PLAIN, jacobian=False)(at)
        half = np.array([0.5, 0.5, 0.5, 1])
        expected = self.by_hand(self.Y, np.tile(self.P, (5, 1)), half, self.GROUP)
        assert logp == pytest.approx(np.sum(expected), rel=1e-12)

    def test_contradictions_are_refused(self):
        known = np.full((5, 4), np.nan)
        known[0, 1], known[2, 1] = 0, 1
        right = {"p": self.P, "psi": self.PSI, "group": self.GROUP}
        with pytest.raises(ValueError, match=r"on and off it in groups \[1\]"):
            ZeroInflatedMultinomial.dist(5, available=known, **right)
        known[2, 1] = np.nan
        n = self.Y.sum(axis=1)
        with pm.Model(), pytest.raises(ValueError, match=r"\[0, 2\]"):
            ZeroInflatedMultinomial("y", n, available=known, observed=self.Y, **right)
        psi = np.tile(self.PSI, (5, 1))
        psi[4, 0] = 0.2
        with pytest.raises(ValueError, match=r"same in all rows of a group.*\[4\]"):
            ZeroInflatedMultinomial.dist(5, **right | {"psi": psi})

    def test_too_many_categories_in_doubt_are_refused(self):
        y = np.zeros((2, 20), int)
        y[:, -1] = 3
        ours = ZeroInflatedMultinomial.dist(
            3, p=np.full(20, 0.05), psi=np.append(np.full(19, 0.5), 1), group=[0, 0]
        )
        with pytest.raises(ValueError, match="19 categories are in doubt"):
            pm.logp(ours, y)


@pytest.mark.parametrize("known", [None, [np.nan, 1, 1, 1]])
def test_observed_counts_may_be_data_that_can_be_exchanged(known):
    first, second = np.array([[0, 2, 3, 1]]), np.array([[1, 0, 0, 5]])
    psi = np.array([0.4, 0.9, 0.9, 1])
    p = np.array([0.1, 0.2, 0.3, 0.4])
    with pm.Model() as model:
        table = pm.Data("table", first)
        ZeroInflatedMultinomial("y", 6, p=p, psi=psi, available=known, observed=table)
        PatternMixtureMultinomial(
            "z", 6, p=p, patterns=all_menus(4)[1:], weights=np.full(15, 1 / 15), observed=table
        )
    full = psi if known is None else np.where(np.isnan(known), psi, known)
    for counts in (first, second):
        with model:
            pm.set_data({"table": counts})
        logp = model.compile_logp(vars=[model["y"]], mode=PLAIN)({})
        assert logp == pytest.approx(by_menus(counts[0], p, full), rel=1e-10)


class TestRivals:
    def test_inflation_of_one_category_of_two_is_the_binomials(self):
        """ZeroInflatedBinomial of PyMC, whose psi means the same."""
        ours = ZeroInflatedMultinomial.dist(8, p=[0.3, 0.7], psi=[0.4, 1.0])
        theirs = pm.ZeroInflatedBinomial.dist(psi=0.4, n=8, p=0.3)
        for y in range(9):
            assert density(ours, [y, 8 - y]) == pytest.approx(density(theirs, y), rel=1e-12)

    def test_without_inflation_it_is_the_multinomial(self):
        y = np.array([0, 3, 5, 0])
        ours = ZeroInflatedMultinomial.dist(8, p=[0.1, 0.2, 0.3, 0.4], psi=np.ones(4))
        expected = stats.multinomial.logpmf(y, 8, [0.1, 0.2, 0.3, 0.4])
        assert density(ours, y) == pytest.approx(expected, rel=1e-12)


class TestPatternMixtureRandom(BaseTestDistributionRandom):
    """The shapes PyMC's own tests ask for."""

    pymc_dist = PatternMixtureMultinomial
    pymc_dist_params = {
        "n": 9,
        "logits": [0.3, -1.0, 2.0],
        "patterns": [[True, True, True], [True, False, True]],
        "weights": [0.6, 0.4],
    }
    expected_rv_op_params = pymc_dist_params
    sizes_to_check = [None, 1, (4,), (2, 3)]
    sizes_expected = [(3,), (1, 3), (4, 3), (2, 3, 3)]
    checks_to_run = ["check_pymc_params_match_rv_op", "check_rv_size"]


class TestZeroInflatedRandom(BaseTestDistributionRandom):
    """The shapes PyMC's own tests ask for."""

    pymc_dist = ZeroInflatedMultinomial
    pymc_dist_params = {
        "n": 9,
        "logits": [0.3, -1.0, 2.0],
        "psi": [0.5, 1.0, 0.3],
        "available": [np.nan, 1.0, np.nan],
    }
    expected_rv_op_params = pymc_dist_params | {"method": 0, "nonempty": False}
    sizes_to_check = [None, 1, (4,), (2, 3)]
    sizes_expected = [(3,), (1, 3), (4, 3), (2, 3, 3)]
    checks_to_run = ["check_pymc_params_match_rv_op", "check_rv_size"]
