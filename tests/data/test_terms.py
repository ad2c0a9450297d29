"""Formulas of predictors and their columns, for the rows fitted and for others."""

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import BSpline

from helpers import CategoryCounts
from helpers.data import Terms

CATEGORIES = ["tea", "milk", "water"]


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 40, size=(24, 3)).astype(float)
    return pd.DataFrame(counts, columns=CATEGORIES).assign(
        region=["s10", "s2", "s9"] * 8,
        age=rng.uniform(20, 60, 24),
        shop=np.repeat(list("abcd"), 6),
    )


@pytest.fixture(scope="module")
def data(frame):
    return CategoryCounts.from_wide(frame, CATEGORIES, predictors=("region", "age"), cluster="shop")


class TestTerms:
    def test_numbers_are_their_own_columns(self, frame):
        terms = Terms.of(frame[["age"]])
        assert terms.spec is None and terms.columns is terms.predictors

    def test_products_are_those_by_hand(self, data, frame):
        columns = Terms.of(data.predictors, "region * age").columns
        assert list(columns) == [
            "region[s9]", "region[s10]", "age", "region[s9]:age", "region[s10]:age",
        ]  # fmt: skip
        np.testing.assert_array_equal(columns["region[s10]"], frame["region"] == "s10")
        product = (frame["region"] == "s9") * frame["age"]
        np.testing.assert_allclose(columns["region[s9]:age"], product)

    def test_spline_is_that_of_scipy(self, frame):
        age = frame[["age"]]
        columns = Terms.of(age, "bs(age, 5)").columns
        low, high = age["age"].agg(["min", "max"])
        inner = np.quantile(age["age"], [1 / 3, 2 / 3])
        knots = np.r_[[low] * 4, inner, [high] * 4]
        basis = BSpline.design_matrix(age["age"].to_numpy(), knots, 3).toarray()
        np.testing.assert_allclose(columns, basis[:, 1:], atol=1e-12)

    def test_other_rows_have_the_columns_of_those_fitted(self, data):
        terms = Terms.of(data.predictors, "region + poly(age, 2)")
        some = data.predictors.iloc[[3, 7]]
        pd.testing.assert_frame_equal(terms.columns_of(some), terms.columns.iloc[[3, 7]])
        text = some.astype({"region": object})
        pd.testing.assert_frame_equal(terms.columns_of(text), terms.columns.iloc[[3, 7]])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"region": "s3"}, "There is no region 's3'"),
            ({"age": 500.0}, "outside the range of those that its spline"),
            ({"age": "old"}, "must be finite numbers"),
        ],
    )
    def test_other_rows_that_make_no_sense_are_refused(self, data, change, message):
        terms = Terms.of(data.predictors, "region + bs(age, 4)")
        with pytest.raises(ValueError, match=message):
            terms.columns_of(data.predictors.iloc[:2].astype({"region": object}).assign(**change))
