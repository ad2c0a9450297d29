"""The mean over menus by an integral: against sums, mixtures of binomials and high precision."""

import functools

import mpmath
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import PLAIN, all_menus
from scipy import stats
from scipy.special import expit, logsumexp

from helpers.distributions import log_mean_over_menus


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

    @pytest.mark.slow
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
