"""Intervals against examples worked by hand."""

import numpy as np
import pytest
import xarray as xr

from helpers import interval, interval_table


class TestInterval:
    def test_is_equal_tailed(self):
        """Draws 0, 1, ..., 200 in any order: 5.5 % of 200 steps are 11."""
        draws = np.random.default_rng(1).permutation(201)
        assert interval(draws) == pytest.approx((11, 189))
        assert interval(draws, 0.5) == pytest.approx((50, 150))

    def test_draws_may_lie_along_any_axes(self):
        draws = np.random.default_rng(1).normal(size=(2, 50, 3))
        flat = interval(draws.reshape(100, 3))
        np.testing.assert_array_equal(interval(draws, axis=(0, 1)), flat)
        np.testing.assert_array_equal(interval(draws.reshape(100, 3).T, axis=-1), flat)
        assert flat[0].shape == (3,)

    def test_the_table_holds_the_same_ends(self):
        draws = np.random.default_rng(1).normal(size=(2, 50, 3))
        table = interval_table(xr.DataArray(draws, dims=("chain", "draw", "k")), prob=0.6)
        low, high = interval(draws, 0.6, axis=(0, 1))
        np.testing.assert_allclose(table["low"], low, rtol=1e-12)
        np.testing.assert_allclose(table["high"], high, rtol=1e-12)
        np.testing.assert_allclose(table["mean"], draws.mean(axis=(0, 1)), rtol=1e-12)
