"""Ranks of truths among draws, and the verdicts on them."""

import numpy as np
import pytest
from scipy import stats

from helpers.diagnostics import Calibration, plot_calibration, rank_in_draws


def toy(width=1.0, shift=0.0, simulations=200, seed=1, names=("a",), correlation=0.0):
    """Truths from a standard normal, and draws from a posterior that may be wrong."""
    rng = np.random.default_rng(seed)
    size = len(names)
    covariance = (1 - correlation) * np.eye(size) + correlation
    positions = []
    for _ in range(simulations):
        truth, *draws = rng.multivariate_normal(np.zeros(size), covariance, size=60)
        positions.append(rank_in_draws(truth, shift + width * np.array(draws), random_seed=rng))
    return Calibration(np.stack(positions), names)


class TestRanks:
    def test_are_those_of_scipy(self):
        rng = np.random.default_rng(1)
        truth, draws = rng.normal(size=4), rng.normal(size=(30, 4))
        expected = stats.rankdata(np.vstack([truth, draws]), axis=0) - 1
        np.testing.assert_array_equal(rank_in_draws(truth, draws), expected)

    def test_of_equal_values_are_even(self):
        first = [rank_in_draws([1.0], np.ones((9, 1)), random_seed=s)[0, 0] for s in range(2_000)]
        assert stats.chisquare(np.bincount(first, minlength=10)).pvalue > 1e-3

    @pytest.mark.parametrize(
        ("truth", "draws", "said"),
        [
            ([0.0, 1.0], np.zeros((5, 3)), "shapes"),
            (0.0, np.zeros((5, 1)), "shapes"),
            ([np.nan], np.zeros((5, 1)), "not numbers"),
        ],
    )
    def test_of_what_cannot_be_ranked_are_refused(self, truth, draws, said):
        with pytest.raises(ValueError, match=said):
            rank_in_draws(truth, draws)


class TestVerdicts:
    @pytest.mark.parametrize(
        ("width", "shift", "verdict"),
        [
            (1.0, 0.0, "right"),
            (0.7, 0.0, "too narrow"),
            (1.5, 0.0, "too wide"),
            (1.0, 0.4, "too high"),
            (1.0, -0.4, "too low"),
        ],
    )
    def test_say_what_is_wrong(self, width, shift, verdict):
        found = toy(width, shift, names="aabb", correlation=0.5)
        assert set(found.table["verdict"]) == {verdict}
        assert found.right == (verdict == "right")
        assert ("hold what they say" in found.words()) == found.right

    @pytest.mark.slow
    @pytest.mark.parametrize("correlation", [0.0, 0.9])
    def test_raise_no_more_false_alarms_than_they_say(self, correlation):
        # Elements and parameters that depend on each other make bands for independent ranks wrong.
        alarms = [
            not toy(simulations=40, seed=s, names="aaabbc", correlation=correlation).right
            for s in range(100)
        ]
        assert stats.binomtest(sum(alarms), 100, 0.05, alternative="greater").pvalue > 0.01

    def test_of_one_parameter_are_those_of_its_band(self):
        for shift in (0.0, 0.1, 0.2, 0.3):
            found = toy(shift=shift)
            band = found.band("a")
            left = (band["difference"] < band["low"]) | (band["difference"] > band["high"])
            assert left.any() == (found.table.loc["a", "verdict"] != "right")

    def test_see_in_the_likelihood_a_posterior_that_is_its_prior(self):
        rng = np.random.default_rng(1)
        positions = []
        for _ in range(200):
            mean, *draws = rng.normal(size=60)
            y = rng.normal(mean, 1, size=5)
            values = np.array([[m, stats.norm.logpdf(y, m).sum()] for m in (mean, *draws)])
            positions.append(rank_in_draws(values[0], values[1:], random_seed=rng))
        table = Calibration(np.stack(positions), ["mean", "log likelihood"]).table
        assert table["verdict"].to_dict() == {"mean": "right", "log likelihood": "too low"}


def test_coverage_is_counted():
    table = toy(width=0.5, simulations=1_000).table
    exact = 2 * stats.norm.cdf(0.5 * stats.norm.ppf([0.75, 0.945])) - 1
    np.testing.assert_allclose(table.loc["a", ["inside_50", "inside_89"]], exact, atol=0.05)


def test_few_simulations_or_other_shapes_are_refused():
    with pytest.raises(ValueError, match="cannot show anything"):
        Calibration(np.zeros((5, 10, 1), dtype=int), ["a"])
    with pytest.raises(ValueError, match="one name for each"):
        Calibration(np.zeros((50, 10, 1), dtype=int), ["a", "b"])
    with pytest.raises(ValueError, match="No parameter is called 'b'"):
        toy(simulations=20).band("b")


def test_picture_has_a_panel_for_each_parameter():
    axes = plot_calibration(toy(simulations=20, names="abcde")).axes
    assert [axis.get_title() for axis in axes if axis.axison] == list("abcde")
