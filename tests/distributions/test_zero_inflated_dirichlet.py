"""ZeroInflatedDirichletMultinomial against sums over menus and PyMC."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from oracles import PLAIN, all_counts, all_menus, density, dirichlet_on_menu
from pymc.testing import BaseTestDistributionRandom, assert_support_point_is_expected
from scipy.special import logsumexp

from helpers import ZeroInflatedDirichletMultinomial


class TestZeroInflated:
    A = np.array([4.0, 0.5, 2.0, 1.0])
    PSI = np.array([1.0, 0.3, 0.8, 0.5])

    def by_menus(self, y, a=A, psi=PSI):
        menus = all_menus(len(a))
        weight = np.where(menus, psi, 1 - psi).prod(axis=1)
        return logsumexp(
            [dirichlet_on_menu(y, a, m) for m in menus[weight > 0]], b=weight[weight > 0]
        )

    @pytest.mark.parametrize("y", [[3, 1, 2, 4], [3, 0, 3, 4], [9, 0, 1, 0], [10, 0, 0, 0]])
    def test_density_is_the_sum_over_menus(self, y):
        ours = ZeroInflatedDirichletMultinomial.dist(10, self.A, psi=self.PSI)
        assert density(ours, y) == pytest.approx(self.by_menus(y), rel=1e-12)

    def test_batches_of_symbolic_parameters(self):
        rng = np.random.default_rng(1)
        a, psi = rng.gamma(2, size=(3, 4)), rng.uniform(size=(3, 4))
        psi[:, 0] = 1
        y = np.array([[2, 0, 5, 0], [1, 1, 1, 1], [0, 0, 7, 0]])
        symbolic = pt.dmatrix(), pt.dmatrix()
        ours = ZeroInflatedDirichletMultinomial.dist(y.sum(axis=1), symbolic[0], psi=symbolic[1])
        got = pm.logp(ours, y).eval({symbolic[0]: a, symbolic[1]: psi}, mode=PLAIN)
        expected = [self.by_menus(y[i], a[i], psi[i]) for i in range(3)]
        np.testing.assert_allclose(got, expected, rtol=1e-11)

    def test_probabilities_sum_to_one(self):
        ours = ZeroInflatedDirichletMultinomial.dist(5, self.A, psi=self.PSI)
        total = np.exp(density(ours, all_counts(5, 4))).sum()
        assert total == pytest.approx(1, rel=1e-12)

    def test_known_cells_do_not_depend_on_psi(self):
        y = [5, 0, 5, 0]
        ours = ZeroInflatedDirichletMultinomial.dist(
            10, self.A, psi=self.PSI, available=[np.nan, 0, np.nan, 1]
        )
        known = np.array([1.0, 0.0, 0.8, 1.0])
        assert density(ours, y) == pytest.approx(self.by_menus(y, psi=known), rel=1e-12)

    def test_always_on_the_menu_is_pymcs(self):
        y = [5, 0, 3, 2]
        ours = ZeroInflatedDirichletMultinomial.dist(10, self.A, psi=np.ones(4))
        theirs = pm.DirichletMultinomial.dist(10, self.A)
        assert density(ours, y) == pytest.approx(density(theirs, np.array(y)), rel=1e-12)

    @pytest.mark.slow
    def test_gradient_is_that_of_finite_differences(self):
        a, psi = pt.dvector(), pt.dvector()
        full = pt.concatenate([[1.0], psi])
        logp = pm.logp(ZeroInflatedDirichletMultinomial.dist(10, a, psi=full), [6, 0, 4, 0])
        gradient = pytensor.function([a, psi], pt.grad(logp, [a, psi]), mode=PLAIN)
        got = np.concatenate(gradient(self.A, self.PSI[1:]))
        point, h = np.concatenate([self.A, self.PSI[1:]]), 1e-5
        for i in range(7):
            step = h * np.eye(7)[i]
            ends = [
                self.by_menus([6, 0, 4, 0], x[:4], np.r_[1.0, x[4:]])
                for x in (point + step, point - step)
            ]
            assert got[i] == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6, abs=1e-7)

    def test_draws_have_the_probabilities(self):
        ours = ZeroInflatedDirichletMultinomial.dist([3] * 30_000, self.A, psi=self.PSI)
        draws = pm.draw(ours, random_seed=1)
        for y in all_counts(3, 4):
            p = np.exp(self.by_menus(y))
            seen = (draws == y).all(axis=1).mean()
            assert abs(seen - p) < 4.5 * np.sqrt(p * (1 - p) / len(draws))

    def test_support_point_is_possible(self):
        with pm.Model() as model:
            ZeroInflatedDirichletMultinomial("x", 12, [1, 1, 2], psi=[1, 0, 0.5])
        assert_support_point_is_expected(model, np.array([4, 0, 8]))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"a": [1, 0, 1]}, "`a` must be positive"),
            ({"psi": [1, 1.2, 0.5]}, "between 0 and 1"),
            ({"psi": [0.9, 0.9, 0.5]}, "No category is certain"),
            ({"available": [1, 2, np.nan]}, "1 \\(on the menu\\)"),
        ],
    )
    def test_impossible_parameters_are_refused(self, change, message):
        right = {"n": 3, "a": [1, 2, 3], "psi": [1, 0.5, 0.5]}
        with pytest.raises(ValueError, match=message):
            ZeroInflatedDirichletMultinomial.dist(**right | change)

    def test_too_many_menus_are_refused(self):
        ours = ZeroInflatedDirichletMultinomial.dist(
            3, np.ones(20), psi=np.r_[1.0, np.full(19, 0.5)]
        )
        with pytest.raises(ValueError, match="19 categories are in doubt"):
            pm.logp(ours, np.r_[3, np.zeros(19, int)])


class TestZeroInflatedRandom(BaseTestDistributionRandom):
    pymc_dist = ZeroInflatedDirichletMultinomial
    pymc_dist_params = {
        "n": 9,
        "a": [0.3, 1.0, 2.0],
        "psi": [1.0, 0.4, 0.6],
        "available": [1.0, np.nan, np.nan],
    }
    expected_rv_op_params = pymc_dist_params
    sizes_to_check = [None, 1, (4,), (2, 3)]
    sizes_expected = [(3,), (1, 3), (4, 3), (2, 3, 3)]
    checks_to_run = ["check_pymc_params_match_rv_op", "check_rv_size"]
