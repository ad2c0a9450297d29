"""MaskedDirichletMultinomial against scipy, exact arithmetic and limits."""

import mpmath
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from oracles import PLAIN, all_counts, density, dirichlet_on_menu
from pymc.logprob.utils import ParameterValueError
from pymc.testing import BaseTestDistributionRandom, assert_support_point_is_expected

from helpers import MaskedDirichletMultinomial, MaskedMultinomial


def shares(logits, menu):
    weight = np.where(menu, np.exp(logits), 0.0)
    return weight / weight.sum(axis=-1, keepdims=True)


def exact(y, a):
    """The Dirichlet-multinomial in 60 digits."""
    with mpmath.workdps(60):
        a = [mpmath.mpf(x) for x in a]
        n, total = int(sum(y)), sum(a)
        res = mpmath.loggamma(n + 1) + mpmath.loggamma(total) - mpmath.loggamma(n + total)
        for count, x in zip(y, a, strict=True):
            res += mpmath.loggamma(int(count) + x) - mpmath.loggamma(x)
            res -= mpmath.loggamma(int(count) + 1)
        return float(res)


class TestMasked:
    MENUS = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 1, 1], [0, 1, 0, 0]], bool)

    @pytest.mark.parametrize("phi", [0.01, 1.0, 37.0, 5_000.0])
    def test_is_scipys_on_the_available_subset(self, phi):
        rng = np.random.default_rng(1)
        logits = rng.normal(size=(4, 4))
        p = shares(logits, self.MENUS)
        y = rng.multinomial([5, 400, 1, 3], p)
        ours = MaskedDirichletMultinomial.dist(
            y.sum(axis=1), logits, concentration=phi, available=self.MENUS
        )
        expected = [dirichlet_on_menu(y[i], phi * p[i], self.MENUS[i]) for i in range(4)]
        np.testing.assert_allclose(density(ours, y), expected, rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("phi", [1e-6, 0.3, 9_999.0, 10_001.0, 1e6, 1e9, 1e13])
    @pytest.mark.parametrize("y", [[6, 0, 1], [90_000, 12_345, 700]])
    def test_is_exact_at_any_concentration(self, phi, y):
        p = np.array([0.6, 0.3, 0.1])
        ours = MaskedDirichletMultinomial.dist(sum(y), p=p, concentration=phi, available=[True] * 3)
        a = phi * p / p.sum()
        # Rounding of logits and of the largest terms, which are about n log n.
        assert density(ours, y) == pytest.approx(exact(y, a), rel=1e-9, abs=1e-9)

    def test_gradients_are_those_of_exact_arithmetic(self):
        y, logits = [30, 0, 4], np.array([0.3, -1.0, 0.2])
        phi, eta = pt.dscalar(), pt.dvector()
        ours = MaskedDirichletMultinomial.dist(
            34, eta, concentration=phi, available=[True, True, True]
        )
        logp = pm.logp(ours, y)
        gradient = pytensor.function([eta, phi], pt.grad(logp, [eta, phi]), mode=PLAIN)

        def reference(*x):
            weight = [mpmath.exp(v) for v in x[:3]]
            a = [x[3] * w / sum(weight) for w in weight]
            res = mpmath.loggamma(x[3]) - mpmath.loggamma(34 + x[3])
            return res + sum(
                mpmath.loggamma(c + v) - mpmath.loggamma(v) for c, v in zip(y, a, strict=True)
            )

        for concentration in (0.05, 8.0, 2e4, 1e7):
            got = np.r_[tuple(np.atleast_1d(g) for g in gradient(logits, concentration))]
            with mpmath.workdps(50):
                point = [mpmath.mpf(float(x)) for x in (*logits, concentration)]
                expected = [
                    float(mpmath.diff(reference, point, tuple(np.eye(4, dtype=int)[i])))
                    for i in range(4)
                ]
            scale = np.array([34, 34, 34, 34 / concentration])
            assert (np.abs(got - expected) < 1e-9 * scale).all()

    @pytest.mark.slow
    def test_probabilities_sum_to_one(self):
        support = all_counts(4, 4)
        for menu in self.MENUS:
            ours = MaskedDirichletMultinomial.dist(
                4, [0.1, -2.0, 1.0, 0.4], concentration=3.0, available=menu
            )
            assert np.exp(density(ours, support)).sum() == pytest.approx(1, rel=1e-12)

    def test_approaches_the_multinomial(self):
        y, menu, logits = [30, 0, 7, 3], [True, False, True, True], [0.2, 9.0, -1.0, 0.0]
        ours = MaskedDirichletMultinomial.dist(40, logits, concentration=1e14, available=menu)
        plain = MaskedMultinomial.dist(40, logits, available=menu)
        assert density(ours, y) == pytest.approx(density(plain, y), rel=1e-11)

    def test_gradient_is_finite_where_shares_under_flow(self):
        logits, phi = pt.dvector(), pt.dscalar()
        ours = MaskedDirichletMultinomial.dist(
            5, logits, concentration=phi, available=[True, True, False]
        )
        gradient = pytensor.function(
            [logits, phi],
            [pm.logp(ours, [3, 2, 0]), *pt.grad(pm.logp(ours, [3, 2, 0]), [logits, phi])],
            mode=PLAIN,
        )
        for of in gradient(np.array([0.0, -900.0, 50.0]), 2.0):
            assert np.isfinite(of).all()
        value, of_logits, _ = gradient(np.array([0.0, -900.0, np.nan]), 2.0)
        assert value < -890 and of_logits[2] == 0

    @pytest.mark.parametrize("y", [[3, 1, 0], [4, 0, -1], [3, 0, 1], [0, 0, 0]])
    def test_of_impossible_counts_is_minus_infinity(self, y):
        ours = MaskedDirichletMultinomial.dist(
            3, np.zeros(3), concentration=2.0, available=[True, False, True]
        )
        assert density(ours, y) == -np.inf

    def test_moments_are_those_of_theory(self):
        n, phi, menu = 50, 6.0, np.array([True, True, False, True])
        p = shares(np.array([0.5, -1.0, 3.0, 0.0]), menu)
        ours = MaskedDirichletMultinomial.dist(
            [n] * 40_000, [0.5, -1.0, 3.0, 0.0], concentration=phi, available=menu
        )
        x = pm.draw(ours, random_seed=1)
        assert (x[:, 2] == 0).all() and (x.sum(axis=1) == n).all()
        variance = n * p * (1 - p) * (n + phi) / (1 + phi)
        error = (x.mean(axis=0) - n * p)[menu] / np.sqrt(variance[menu] / len(x))
        assert (np.abs(error) < 4.5).all()
        np.testing.assert_allclose(x.var(axis=0)[menu], variance[menu], rtol=0.05)

    def test_draws_have_the_probabilities_at_tiny_concentrations(self):
        # Nearly all of a row goes to one category, whose chance is its share.
        p = np.array([0.7, 0.2, 0.1])
        ours = MaskedDirichletMultinomial.dist(
            [20] * 20_000, p=p, concentration=1e-4, available=[True] * 3
        )
        x = pm.draw(ours, random_seed=1)
        assert (x.max(axis=1) == 20).mean() > 0.998
        frequency = (x == 20).mean(axis=0)
        assert (np.abs(frequency - p) < 4.5 * np.sqrt(p * (1 - p) / len(x)) + 1e-3).all()

    def test_support_point_is_possible(self):
        with pm.Model() as model:
            MaskedDirichletMultinomial(
                "x", 10, p=[0.2, 0.6, 0.2], concentration=2.0, available=[True, False, True]
            )
        assert_support_point_is_expected(model, np.array([5, 0, 5]))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"concentration": 0.0}, "`concentration` must be positive"),
            ({"concentration": [2.0, -1.0]}, "`concentration` must be positive"),
            ({"n": 2.5}, "whole numbers"),
            ({"available": [0, 0, 0]}, "at least one available"),
            ({"available": [0, 0.5, 1]}, "True/False"),
            ({"p": [0.5, 0.5, 0.5]}, "sum to 1"),
            ({"logits": np.zeros(3)}, "exactly one"),
        ],
    )
    def test_impossible_parameters_are_refused(self, change, message):
        right = {"n": 3, "p": [0.2, 0.3, 0.5], "concentration": 2.0, "available": [1, 1, 1]}
        with pytest.raises(ValueError, match=message):
            MaskedDirichletMultinomial.dist(**right | change)

    def test_symbolic_parameters_are_checked_when_evaluated(self):
        phi = pt.dscalar()
        ours = MaskedDirichletMultinomial.dist(
            3, np.zeros(3), concentration=phi, available=[True] * 3
        )
        logp = pm.logp(ours, [1, 1, 1])
        with pytest.raises(ParameterValueError, match="concentration > 0"):
            logp.eval({phi: -1.0}, mode=PLAIN)
        with pytest.raises(ParameterValueError, match="concentration > 0"):
            pm.draw(
                MaskedDirichletMultinomial.dist(
                    3, np.zeros(3), concentration=-pt.exp(pt.zeros(())), available=[True] * 3
                )
            )


class TestMaskedRandom(BaseTestDistributionRandom):
    pymc_dist = MaskedDirichletMultinomial
    pymc_dist_params = {
        "n": 9,
        "logits": [0.3, -1.0, 2.0],
        "concentration": 4.0,
        "available": [True, False, True],
    }
    expected_rv_op_params = pymc_dist_params
    sizes_to_check = [None, 1, (4,), (2, 3)]
    sizes_expected = [(3,), (1, 3), (4, 3), (2, 3, 3)]
    checks_to_run = ["check_pymc_params_match_rv_op", "check_rv_size"]
