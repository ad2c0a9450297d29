"""ZeroInflatedMultinomial: the menu is summed out, against sums written out one menu at a time."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from oracles import PLAIN, all_counts, all_menus, assert_frequencies, by_menus, density
from pymc.distributions.shape_utils import change_dist_size
from pymc.logprob.utils import ParameterValueError
from pymc.model.transform.optimization import freeze_dims_and_data
from pymc.testing import BaseTestDistributionRandom, assert_support_point_is_expected
from scipy import stats

from helpers import PatternMixtureMultinomial, ZeroInflatedMultinomial

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

    @pytest.mark.slow
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
            ({"psi": [0.5, 0.5, 0.9, 0.9]}, "certain to be on the menu"),
            ({"psi": [0, 0, 0, 0], "nonempty": True}, "certain to be on the menu"),
            ({"available": [2, 1, 1, 1]}, "NaN"),
            ({"method": "integrate"}, "'auto', 'enumerate', 'quadrature'"),
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


class TestOptions:
    """`method` and `nonempty` belong to the operation, whatever is done to its inputs."""

    PSI = np.array([0.5, 0.4, 0.3])

    def variable(self, **options):
        options = {"method": "quadrature", "nonempty": True} | options
        return ZeroInflatedMultinomial.dist(7, np.zeros(3), psi=self.PSI, **options)

    def test_are_kept(self):
        x = pt.dvector("x")
        first = ZeroInflatedMultinomial.dist(
            7, x, psi=self.PSI, method="quadrature", nonempty=True, size=2
        )
        for rv in (change_dist_size(first, (4,)), change_dist_size(first, (3,), expand=True)):
            assert (rv.owner.op.method, rv.owner.op.nonempty) == ("quadrature", True)
            assert pm.draw(rv, givens={x: np.zeros(3)}, mode=PLAIN).shape == (*rv.type.shape,)

    def test_survive_do_and_observe(self):
        with pm.Model() as model:
            logits = pm.Normal("logits", shape=3)
            ZeroInflatedMultinomial("y", 7, logits, psi=self.PSI, nonempty=True)
        fixed = freeze_dims_and_data(pm.do(model, {"logits": np.array([0.0, 9.0, 60.0])}))
        assert (pm.draw(fixed["y"], 5, random_seed=1, mode=PLAIN).sum(axis=-1) == 7).all()
        seen = pm.observe(model, {"y": [3, 0, 4]})
        logp = seen.compile_logp(vars=[seen["y"]], mode=PLAIN)({"logits": np.zeros(3)})
        expected = density(self.variable(method="enumerate"), [3, 0, 4])
        assert logp == pytest.approx(expected, rel=1e-12)

    def test_tell_operations_apart(self):
        op = self.variable().owner.op
        assert op == self.variable().owner.op
        assert op != self.variable(method="enumerate").owner.op
        logits, psi = np.zeros(3), [0.5, 0.4, 1.0]
        given, plain = (
            ZeroInflatedMultinomial.dist(7, logits, psi=psi, nonempty=nonempty).owner.op
            for nonempty in (True, False)
        )
        assert given != plain


def test_number_of_categories_must_be_known():
    """The sum over menus is of that many terms; it was silently the first category's alone."""
    y, logits, psi = pt.lvector("y"), pt.dvector("logits"), pt.dvector("psi")
    ours = ZeroInflatedMultinomial.dist(5, logits, psi=psi)
    with pytest.raises(ValueError, match="number of categories must be known"):
        pm.logp(ours, y)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_rows_may_be_missing():
    y = np.array([[0, 2, 3.0], [np.nan] * 3])
    with pm.Model() as model, pytest.warns(pm.exceptions.ImputationWarning):
        ZeroInflatedMultinomial("y", 5, p=[0.2, 0.3, 0.5], psi=[0.5, 0.9, 1], observed=y)
    assert model.initial_point()["y_unobserved"].sum() == 5


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


class TestZeroInflatedRandom(BaseTestDistributionRandom):
    """The shapes PyMC's own tests ask for."""

    pymc_dist = ZeroInflatedMultinomial
    pymc_dist_params = {
        "n": 9,
        "logits": [0.3, -1.0, 2.0],
        "psi": [0.5, 1.0, 0.3],
        "available": [np.nan, 1.0, np.nan],
    }
    expected_rv_op_params = pymc_dist_params
    sizes_to_check = [None, 1, (4,), (2, 3)]
    sizes_expected = [(3,), (1, 3), (4, 3), (2, 3, 3)]
    checks_to_run = ["check_pymc_params_match_rv_op", "check_rv_size"]
