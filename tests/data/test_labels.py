"""Predictors that are labels."""

import numpy as np
import pandas as pd
import pytest

from helpers import CategoryCounts, read_counts

CATEGORIES = ["tea", "milk"]


@pytest.fixture
def frame():
    return pd.DataFrame(
        {"tea": [3, 5, 2, 4], "milk": [1, 0, 7, 4], "region": ["s10", "s2", "s10", "s2"]}
    )


def read(frame, **options):
    return CategoryCounts.from_wide(frame, CATEGORIES, predictors=["region"], **options)


def test_are_kept_in_natural_order(frame):
    region = read(frame).predictors["region"]
    assert list(region.cat.categories) == ["s2", "s10"] and list(region) == list(frame["region"])


def test_keep_an_order_that_was_given(frame):
    given = pd.Categorical(frame["region"], ["s10", "s2", "s1"])
    region = read(frame.assign(region=given)).predictors["region"]
    assert list(region.cat.categories) == ["s10", "s2"]


def test_are_read_back(frame, tmp_path):
    data = read(frame)
    assert list(read(data.to_frame()).predictors["region"]) == list(frame["region"])
    frame.to_csv(tmp_path / "f.csv", index=False)
    of_file = read_counts(tmp_path / "f.csv", CATEGORIES, predictors=["region"])
    pd.testing.assert_frame_equal(
        of_file.predictors, data.predictors, check_dtype=False, check_categorical=False
    )


def test_of_a_long_table(frame):
    long = frame.reset_index().melt(["index", "region"], var_name="dish", value_name="n")
    data = CategoryCounts.from_long(
        long, row="index", category="dish", count="n", predictors=["region"]
    )
    assert list(data.predictors["region"]) == list(frame["region"])


def test_collapse_keeps_what_differs(frame):
    summed = read(frame).collapse()
    np.testing.assert_array_equal(summed.counts, [[5, 8], [9, 4]])
    assert list(summed.predictors["region"]) == ["s10", "s2"]


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (["s1", "2", "s1", "3"], r"entries that are not numbers in row\(s\) 0, 2"),
        (["s1", None, "s1", "s2"], r"'region' is missing in row\(s\) 1"),
        (["p", "q", "r", "s"], "different in every row"),
    ],
)
def test_that_may_be_numbers_or_gaps_are_refused(frame, region, message):
    with pytest.raises(ValueError, match=message):
        read(frame.assign(region=region))
