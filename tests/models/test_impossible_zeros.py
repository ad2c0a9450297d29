"""Zeros that are hardly choices are named, and ordinary ones are not."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from helpers import CategoryCounts, draw_counts
from helpers.models import ask_about_zeros, impossible_zeros
from helpers.models.impossible_zeros import _Surprise

NAMES = [f"party {k}" for k in range(5)]


def table(seed, *, scatter=0.4, n=(2_000, 50_000), clusters=12, dates=5, freedom=None):
    """Ordinary counts: every zero is a choice, or off the menu and known to be so."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), dates)
    mean = np.array([0.0, 0.5, -0.5, -1.5, -2.5])
    logits = mean + 0.4 * rng.normal(size=(clusters, 5))[cluster]
    noise = scatter * rng.normal(size=logits.shape)
    if freedom:
        noise /= np.sqrt(rng.gamma(freedom / 2, 2 / freedom, size=(len(logits), 1)))
    available = rng.random(logits.shape) > 0.15
    available[:, :2] = True
    share = np.exp(logits + noise) * available
    totals = np.exp(rng.uniform(*np.log(n), size=len(logits))).astype(int)
    counts = draw_counts(rng, totals, share / share.sum(axis=1, keepdims=True))
    return counts, available, cluster


def counts_of(counts, available, cluster):
    labels = pd.Categorical([f"town {c}" for c in cluster])
    dates = np.arange(len(counts)) % np.bincount(cluster).max() + 2000
    return CategoryCounts(counts, available, NAMES, labels, date=dates)


def off_the_menu(data, cells):
    """The same, where these cells are written as zeros though they were off the menu."""
    counts, available, cluster = data
    counts = counts.copy()
    counts[cells], available = 0, available | cells
    return counts_of(counts, available, cluster)


class TestNamed:
    @pytest.mark.parametrize("scatter", [0.0, 0.4])
    @pytest.mark.parametrize("share", [0.05, 0.4])
    def test_zeros_of_a_category_that_was_off_the_menu(self, scatter, share):
        """Some, or nearly half: left in the fit, these would make each other look possible."""
        data = table(1, scatter=scatter)
        cells = np.zeros(data[0].shape, bool)
        cells[:, 2] = np.random.default_rng(1).random(len(cells)) < share
        found = impossible_zeros(off_the_menu(data, cells))
        named = np.zeros(cells.shape, bool)
        named[found["row"], [NAMES.index(c) for c in found["category"]]] = True
        assert (named & cells).sum() >= 0.9 * cells.sum()
        assert not (named & ~cells).any()
        assert (found["p_zero"] < 0.05).all() and (found["probability"] > 0.95).all()
        assert found["p_zero"].is_monotonic_increasing

    def test_a_category_that_is_always_zero_in_a_cluster(self):
        data = table(2)
        cells = np.zeros(data[0].shape, bool)
        cells[data[2] == 3, 1] = True
        found = impossible_zeros(off_the_menu(data, cells), drift="walk")
        assert found["whole_cluster"].all()
        assert set(found["cluster"]) == {"town 3"} and set(found["category"]) == {"party 1"}
        assert sorted(found["row"]) == np.flatnonzero(data[2] == 3).tolist()
        assert sorted(found["date"]) == [2000, 2001, 2002, 2003, 2004]
        assert found["p_zero"].nunique() == 1  # that of all of them together

    def test_the_count_expected(self):
        """Without scatter it is the share of the cell before it was emptied, times the rest."""
        data = table(4, scatter=0.0)
        assert data[0][7, 1] > 100
        cells = np.zeros(data[0].shape, bool)
        cells[7, 1] = True
        (expected,) = impossible_zeros(off_the_menu(data, cells))["expected"]
        share = data[0][7, 1] / data[0][7].sum()
        rest = data[0][7].sum() - data[0][7, 1]
        assert expected == pytest.approx(rest * share, rel=0.1)


class TestNotNamed:
    @pytest.mark.parametrize("n", [(5, 100), (2_000, 50_000)])
    @pytest.mark.parametrize("kind", [{"scatter": 0.0}, {"scatter": 0.5}, {"freedom": 4}])
    def test_ordinary_tables(self, kind, n):
        """Rates of 100 tables of each kind are in the docstring: at most 1 in 10 have any."""
        found = [impossible_zeros(counts_of(*table(seed, n=n, **kind))) for seed in range(10)]
        assert sum(len(f) > 0 for f in found) <= 2

    def test_no_zeros_and_no_choices(self):
        counts, available, cluster = table(4)
        counts[0] = 0
        counts[available & (counts == 0)] += 1
        counts[0] = 0
        with pytest.warns(UserWarning):
            data = counts_of(counts, available, cluster)
        found = impossible_zeros(data)
        assert found.empty and "probability" in found and ask_about_zeros(found) == ""

    def test_a_category_that_nobody_ever_chose(self):
        counts, available, cluster = table(5)
        counts[:, 4] = 0
        with pytest.warns(UserWarning, match="never chosen"):
            data = counts_of(counts, available, cluster)
        assert "party 4" not in set(impossible_zeros(data)["category"])

    def test_probabilities_must_be_ones(self):
        data = counts_of(*table(1))
        for wrong in ({"psi": 1.0}, {"threshold": 0.0}, {"psi": 95}):
            with pytest.raises(ValueError, match="must lie between 0 and 1"):
                impossible_zeros(data, **wrong)


class TestProbabilityOfAZero:
    def surprise(self):
        """One row of two other categories, far from certain, with made-up scatter."""

        class Pilot:
            spread = np.array([0.3, 0.5, 0.8])
            fitted = np.array([[0.0, 0.2, -1.0]])
            realised = np.array([[0.0, 0.4, -0.9]])
            known = np.array([0.9])
            uncertainty = np.array([[0.1, 0.1, 0.4]])

        return _Surprise(Pilot(), np.array([300]), np.array([[True, True, False]]))

    def test_is_the_integral_over_the_t(self):
        made = self.surprise()
        cell = np.array([[False, False, True]])
        distance = -0.9 - np.log(1 + np.exp(0.4))
        assert made.distance[0, 2] == pytest.approx(distance)
        expected = 300 * np.array([1, np.exp(0.4)]) / (1 + np.exp(0.4))
        # The others' own counts and scatter leave their common level open by as much.
        level = 1 / (1 / (1 / expected[0] + 0.09) + 1 / (1 / expected[1] + 0.25))
        scale = np.sqrt(0.64 + level + 0.16)
        wanted, _ = integrate.quad(
            lambda t: (1 + np.exp(distance + scale * t)) ** -300 * stats.t.pdf(t, 4), -40, 10
        )
        assert made.of_cells(cell)[0, 2] == pytest.approx(wanted, rel=0.01)

    def test_of_several_is_less_than_of_one_but_more_than_their_product(self):
        made = self.surprise()
        two = _Surprise.__new__(_Surprise)
        for name, value in vars(made).items():
            setattr(two, name, np.concatenate([value, value]))
        cells = np.array([[False, False, True]] * 2)
        one = made.of_all(cells[:1])
        assert one**2 < two.of_all(cells) < one


def test_the_question_names_rows_categories_and_the_way_out():
    data = table(1)
    cells = np.zeros(data[0].shape, bool)
    cells[[3, 11], 2] = True
    cells[data[2] == 4, 1] = True
    text = ask_about_zeros(impossible_zeros(off_the_menu(data, cells)))
    for part in (
        "Was it on the menu?",
        "party 1 in all rows of town 4",
        "party 2 in rows",
        "leave its cell empty",
        'availability="unknown"',
    ):
        assert part in text
