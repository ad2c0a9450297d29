"""PatternMixtureMultinomial against sums over its patterns."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from oracles import PLAIN, all_counts, assert_frequencies, density, on_menu
from pymc.logprob.utils import ParameterValueError
from pymc.testing import BaseTestDistributionRandom, assert_support_point_is_expected
from scipy.special import logsumexp

from helpers import PatternMixtureMultinomial


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
