"""Simulated data: the size asked for, menus and counts as their truth says, from a seed."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers import simulate_counts


@pytest.fixture(scope="module")
def large():
    """2,000 rows of 4 categories, the first never missing."""
    with pytest.warns(UserWarning, match="one category on the menu"):
        return simulate_counts(
            n_clusters=500,
            n_dates=4,
            n_categories=4,
            unavailable=(0, 0.5, 0.1, 0.25),
            n_range=(50, 400),
            random_seed=1,
        )


def test_defaults_are_of_the_size_of_the_question():
    """20 districts, 4 dates, 7 categories, 6,000 to 119,000 per row, one predictor."""
    data, truth = simulate_counts(random_seed=1)
    assert data.counts.shape == (80, 7)
    assert len(data.cluster.categories) == 20 and (np.bincount(data.cluster.codes) == 4).all()
    assert data.date.nunique() == 4
    assert data.predictors.shape == (80, 1)
    assert data.n.min() >= 6_000 and data.n.max() <= 119_000
    assert data.available[:, [1, 4, 5, 6]].all()
    assert not data.available[:, [2, 3]].all(axis=0).any()
    assert dict(truth.sizes) == {"contrast": 6, "cluster": 20, "row": 80, "category": 7}


def test_a_seed_gives_the_same_and_another_seed_others():
    one, truth = simulate_counts(random_seed=7)
    again, same_truth = simulate_counts(random_seed=7)
    other, _ = simulate_counts(random_seed=8)
    np.testing.assert_array_equal(one.counts, again.counts)
    np.testing.assert_array_equal(one.available, again.available)
    assert truth.identical(same_truth)
    assert (one.counts != other.counts).any()


def test_names_change_nothing_else():
    plain, truth = simulate_counts(random_seed=7)
    named, same_truth = simulate_counts(categories=list("abcdefg"), random_seed=7)
    np.testing.assert_array_equal(named.counts, plain.counts)
    assert named.categories == tuple("abcdefg")
    assert list(same_truth["contrast"].to_numpy()) == list("abcdef")
    np.testing.assert_array_equal(same_truth["preference"], truth["preference"])


def test_menus_lack_each_category_as_often_as_asked(large):
    data, _ = large
    missing = (~data.available).sum(axis=0)
    assert missing[0] == 0
    for k, probability in [(1, 0.5), (2, 0.1), (3, 0.25)]:
        assert stats.binomtest(int(missing[k]), 2_000, probability).pvalue > 1e-4


def test_totals_are_log_uniform_over_their_range(large):
    data, _ = large
    assert data.n.min() == 50 and data.n.max() <= 400
    uniform = (np.log(data.n + 0.5) - np.log(50)) / (np.log(401) - np.log(50))
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    few, _ = simulate_counts(unavailable=(0,) * 7, n_range=(3, 4), random_seed=1)
    assert set(few.n) == {3, 4}


def test_counts_follow_their_shares_and_stay_on_the_menu(large):
    data, truth = large
    share = truth["share"].to_numpy()
    assert (data.counts[~data.available] == 0).all()
    assert (share[~data.available] == 0).all()
    np.testing.assert_allclose(share.sum(axis=1), 1, rtol=1e-12)
    expected = data.n[:, None] * share
    on = data.available & (expected >= 5)
    rows = (on == data.available).all(axis=1)
    pearson = np.where(on, (data.counts - expected) ** 2 / np.where(on, expected, 1), 0)[rows].sum()
    freedom = (data.available.sum(axis=1) - 1)[rows].sum()
    assert rows.sum() > 1_000
    assert 1e-4 < stats.chi2.sf(pearson, freedom) < 1 - 1e-4


def test_truth_is_consistent_with_itself(large):
    """Logits from intercepts, slopes and x; preferences and shares from logits."""
    data, truth = large
    codes, x = data.cluster.codes, data.predictors.to_numpy()
    logits = truth["intercept"].to_numpy()[codes] + truth["slope"].to_numpy()[codes] * x
    logits = np.hstack([logits, np.zeros((2_000, 1))])
    np.testing.assert_allclose(truth["logits"], logits, rtol=1e-12)
    weights = np.exp(logits)
    np.testing.assert_allclose(
        truth["preference"], weights / weights.sum(axis=1, keepdims=True), rtol=1e-12
    )
    weights = weights * data.available
    np.testing.assert_allclose(truth["share"], weights / weights.sum(axis=1, keepdims=True))


def test_cluster_effects_have_the_moments_asked_for():
    _, truth = simulate_counts(
        n_clusters=4_000,
        n_dates=1,
        n_range=(1, 2),
        intercept_mean=np.arange(6.0),
        slope_mean=-np.arange(6.0),
        intercept_sd=0.7,
        slope_sd=0.3,
        correlation=[-0.9, -0.4, 0, 0.3, 0.6, 0.9],
        random_seed=2,
    )
    intercept, slope = truth["intercept"].to_numpy(), truth["slope"].to_numpy()
    root = np.sqrt(4_000)
    assert (np.abs(intercept.mean(axis=0) - np.arange(6)) < 4.5 * 0.7 / root).all()
    assert (np.abs(slope.mean(axis=0) + np.arange(6)) < 4.5 * 0.3 / root).all()
    assert (np.abs(intercept.std(axis=0) / 0.7 - 1) < 4.5 / (np.sqrt(2) * root)).all()
    assert (np.abs(slope.std(axis=0) / 0.3 - 1) < 4.5 / (np.sqrt(2) * root)).all()
    rho = np.array([np.corrcoef(intercept[:, k], slope[:, k])[0, 1] for k in range(6)])
    fisher = np.arctanh(rho) - np.arctanh([-0.9, -0.4, 0, 0.3, 0.6, 0.9])
    assert (np.abs(fisher) < 4.5 / root).all()


@pytest.mark.parametrize("effects", ["intercepts", "pooled"])
def test_without_slopes_there_is_no_predictor(effects):
    data, truth = simulate_counts(effects=effects, random_seed=3)
    assert data.predictors.shape[1] == 0
    assert "slope" not in truth and "slope_mean" not in truth
    differs = truth["intercept"] != truth["intercept_mean"]
    assert not differs.any() if effects == "pooled" else differs.all()


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"unavailable": (0.1, 0.2)}, r"one probability per category \(7\), and has 2"),
        ({"unavailable": (0, 0, 0, 0, 0, 0, 1.0)}, r"\[0, 1\)"),
        ({"unavailable": (0, 0, 0, 0, 0, 0, -0.1)}, r"\[0, 1\)"),
        ({"n_clusters": 0}, "At least one cluster"),
        ({"n_categories": 1, "unavailable": (0,)}, "two categories"),
        ({"n_range": (10, 9)}, "n_range"),
        ({"n_range": (0, 9)}, "n_range"),
        (
            {"effects": "slope"},
            "effects must be one of 'slopes', 'intercepts', 'pooled', not 'slope'",
        ),
        ({"correlation": 1.0}, r"\(-1, 1\)"),
        ({"categories": ["soup", "stew"]}, "2 names for 7 categories"),
        ({"intercept_sd": -0.5}, ">= 0"),
        ({"intercept_mean": [0.0, 1.0]}, "."),
        ({"n_categories": 2, "n_clusters": 40, "unavailable": (0.99, 0.99)}, "lower `unavailable`"),
    ],
    ids=str,
)
def test_impossible_choices_are_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        simulate_counts(random_seed=1, **choices)


class TestPredictors:
    @staticmethod
    def days():
        """Labels and a number for 4 shops at 50 dates."""
        rng = np.random.default_rng(1)
        return pd.DataFrame(
            {"diet": rng.choice(["none", "meat"], 200), "heat": rng.uniform(-1, 1, 200)}
        )

    def test_log_odds_follow_labels_and_their_products(self):
        """Ordinary least squares on the log odds of counts in the millions."""
        days, slope = self.days(), np.array([[1.0, -0.5], [0.3, 0.0], [-0.2, 0.7]])
        data, truth = simulate_counts(
            4, 50, 3, (0, 0, 0), (10**8, 10**8), effects="pooled", random_seed=1,
            predictors=days, formula="diet * heat", slope=slope,
        )  # fmt: skip
        none, heat = (days["diet"] == "none").to_numpy(dtype=float), days["heat"].to_numpy()
        design = np.column_stack([np.ones(200), none, heat, none * heat])
        log_odds = np.log(data.counts[:, :2] / data.counts[:, 2:])
        found = np.linalg.lstsq(design, log_odds, rcond=None)[0]
        np.testing.assert_allclose(found[1:], slope, atol=2e-3)
        assert truth["predictor"].values.tolist() == ["diet[none]", "heat", "diet[none]:heat"]
        np.testing.assert_array_equal(truth["slope"], slope)
        assert list(data.predictors) == ["diet", "heat"]

    def test_drawn_slopes_are_per_standard_deviation(self):
        frame = pd.DataFrame({"heat": 1e6 * np.tile([-1.0, 1.0], 100)})
        _, truth = simulate_counts(
            4, 50, 400, np.zeros(400), effects="pooled", predictors=frame, random_seed=1
        )
        assert 0.25 < 1e6 * truth["slope"].std() < 0.35

    @pytest.mark.parametrize(
        ("choices", "message"),
        [
            ({"effects": "slopes"}, 'take effects="intercepts" or "pooled"'),
            ({"predictors": None}, "need `predictors`"),
            ({"n_dates": 3}, "`predictors` has 200 rows; there are 12"),
            ({"slope": [[1.0, 2.0]]}, r"shape \(2, 2\): one line for each of diet\[none\], heat"),
            ({"formula": "diet"}, "leaves out heat"),
        ],
    )
    def test_that_make_no_sense_are_refused(self, choices, message):
        options = {
            "n_clusters": 4, "n_dates": 50, "n_categories": 3, "unavailable": (0, 0, 0),
            "effects": "pooled", "predictors": self.days(), "slope": np.zeros((2, 2)),
        }  # fmt: skip
        with pytest.raises(ValueError, match=message):
            simulate_counts(**options | choices)
