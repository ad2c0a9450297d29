"""Pearson's statistic against examples worked by hand and against scipy."""

import numpy as np
import pytest
from scipy import stats

from helpers import pearson_statistic
from helpers.diagnostics import predictive_check

COUNTS = np.array([[6, 1, 3], [5, 3, 0]])
EXPECTED = np.array([[5.0, 2.0, 3.0], [4.0, 4.0, 0.0]])


class TestPearson:
    def test_is_what_one_works_out_by_hand(self):
        """1/5 + 1/2 + 0 in the first row, 1/4 + 1/4 in the second."""
        assert pearson_statistic(COUNTS, EXPECTED) == pytest.approx(1.2)
        np.testing.assert_allclose(pearson_statistic(COUNTS, EXPECTED, axis=-1), [0.7, 0.5])
        np.testing.assert_allclose(pearson_statistic(COUNTS, EXPECTED, axis=-2), [0.45, 0.75, 0])
        cells = [[0.2, 0.5, 0], [0.25, 0.25, 0]]
        np.testing.assert_allclose(pearson_statistic(COUNTS, EXPECTED, axis=()), cells)

    def test_is_that_of_scipy_where_everything_is_expected(self):
        row = pearson_statistic(COUNTS[:1], EXPECTED[:1])
        assert row == pytest.approx(stats.chisquare(COUNTS[0], EXPECTED[0]).statistic)

    def test_draws_of_either_or_both_go_in_front(self):
        draws = np.stack([COUNTS, 2 * COUNTS])
        expectations = np.stack([EXPECTED, 3 * EXPECTED])
        both = [[pearson_statistic(y, e) for e in expectations] for y in draws]
        np.testing.assert_allclose(pearson_statistic(draws, EXPECTED), [row[0] for row in both])
        np.testing.assert_allclose(pearson_statistic(COUNTS, expectations), both[0])
        np.testing.assert_allclose(pearson_statistic(draws, expectations), np.diag(both))

    def test_what_is_not_a_number_is_not_taken_for_off_the_menu(self):
        assert np.isnan(pearson_statistic(COUNTS, np.where(EXPECTED == 5, np.nan, EXPECTED)))

    def test_of_multinomial_counts_is_about_its_degrees_of_freedom(self):
        share = np.array([[0.2, 0.3, 0.5, 0.0], [0.4, 0.1, 0.3, 0.2]])
        n = np.array([400, 900])
        draws = np.random.default_rng(1).multinomial(n, share, size=(4_000, 2))
        statistic = pearson_statistic(draws, n[:, None] * share)
        error = np.sqrt(2 * 5 / 4_000)  # of the mean of 4,000 chi-squared with 2 + 3 degrees
        assert statistic.mean() == pytest.approx(5, abs=4 * error)


class TestPredictiveCheck:
    def test_is_what_one_works_out_by_hand(self):
        """Per column: means 6 over 3 and 2 over 2; reached in 1 and 4 of 4 draws."""
        observed = np.array([[4.0, 2], [5, 2], [6, 2], [9, 2]])
        predicted = np.array([[3.0, 2], [5, 2], [2, 2], [2, 2]])
        check = predictive_check(observed, predicted)
        np.testing.assert_allclose(check.ratio, [2, 1])
        np.testing.assert_allclose(check.p, [0.25, 1])

    def test_a_statistic_of_the_data_alone_is_given_once(self):
        ratio, p = predictive_check([3.0], [1.0, 3.0, 5.0])
        assert (ratio, p) == (1, pytest.approx(2 / 3))
