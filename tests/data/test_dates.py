"""Dates as people write them: read where there is one way, and said to be guessed where not."""

import numpy as np
import pandas as pd
import pytest

from helpers import CategoryCounts
from helpers.data import dates_in_order, parse_dates
from helpers.effects import date_gaps


def days(*texts):
    return [pd.Timestamp(text) for text in texts]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (["2016-03-13", "2021-03-14"], days("2016-03-13", "2021-03-14")),
        (["13.03.2016", "14.3.2021"], days("2016-03-13", "2021-03-14")),
        (["01.02.2016", "03.04.2016"], days("2016-02-01", "2016-04-03")),
        (["13/03/2016", "01/02/2017"], days("2016-03-13", "2017-02-01")),
        (["03/13/2016", "01/02/2017"], days("2016-03-13", "2017-01-02")),
        (["2016/03/13", "2017/01/02"], days("2016-03-13", "2017-01-02")),
        (["202003", "201912"], days("2020-03-01", "2019-12-01")),
        ([202003, 201912], days("2020-03-01", "2019-12-01")),
        (["20200313", "20191231"], days("2020-03-13", "2019-12-31")),
        (["03/2020", "12/2019"], days("2020-03-01", "2019-12-01")),
        (["03.2020", "12.2019"], days("2020-03-01", "2019-12-01")),
        (["2020-03", "2019-12"], days("2020-03-01", "2019-12-01")),
        (["2020Q4", "2021Q1"], days("2020-10-01", "2021-01-01")),
        (["2020-Q4", "2021-Q1"], days("2020-10-01", "2021-01-01")),
        (["Q4 2020", "Q1 2021"], days("2020-10-01", "2021-01-01")),
        (["4. Quartal 2020", "1. Quartal 2021"], days("2020-10-01", "2021-01-01")),
        (["2020H2", "2021H1"], days("2020-07-01", "2021-01-01")),
        (["2020-W05", "2019-W52"], days("2020-01-27", "2019-12-23")),
        (["March 2020", "January 2019"], days("2020-03-01", "2019-01-01")),
        (["13 Mar 2016", "1 Feb 2017"], days("2016-03-13", "2017-02-01")),
        (["2014", "2011"], [2014, 2011]),
        (["1", "10", "2"], [1, 10, 2]),
        (["2014.5", "2015.0"], [2014.5, 2015.0]),
        ([2014, 2011], [2014, 2011]),
    ],
)
def test_what_can_be_read_in_one_way_is_read_so(written, meant):
    dates, guess = parse_dates(written)
    assert list(dates) == meant
    assert guess == ""


@pytest.mark.parametrize(
    ("written", "ordered", "said"),
    [
        (["wave 2", "wave 10", "wave 1"], ["wave 1", "wave 2", "wave 10"], "numbers in them"),
        (["Mar", "Jan", "Feb"], ["Jan", "Feb", "Mar"], "calendar"),
        (["spring", "autumn"], ["spring", "autumn"], "first appearance"),
        (["2020-01-05", "autumn"], ["2020-01-05", "autumn"], "first appearance"),
    ],
)
def test_labels_are_put_in_an_order_that_is_called_a_guess(written, ordered, said):
    dates, guess = parse_dates(written, "wave")
    assert list(dates) == written
    assert dates_in_order(dates).tolist() == ordered
    assert "'wave' is a guess" in guess and said in guess


def test_days_and_months_that_could_be_either_are_called_a_guess():
    dates, guess = parse_dates(["01/02/2016", "03/04/2016"])
    assert list(dates) == days("2016-02-01", "2016-04-03")
    assert "guess" in guess and "01/02/2016 as 01 February 2016" in guess
    with pytest.raises(ValueError, match="two orders, such as 13/02/2016 and 03/14/2016"):
        parse_dates(["13/02/2016", "03/14/2016"])


def test_gaps_are_those_of_the_calendar():
    dates = dates_in_order(parse_dates(["202101", "202012", "202102"])[0])
    np.testing.assert_allclose(date_gaps(dates), [1, 1])
    dates = dates_in_order(parse_dates(["Q1 2021", "Q1 2020", "Q2 2020"])[0])
    np.testing.assert_allclose(date_gaps(dates), np.array([91, 275]) / 183)


def test_a_categorical_says_its_own_order():
    when = pd.Categorical(["late", "early", "late"], ["early", "mid", "late"], ordered=True)
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6], "when": when})
    data = CategoryCounts.from_wide(frame, ["a", "b"], date="when")
    assert data.dates.tolist() == ["early", "late"]
    assert data.suspicions == ()


def test_a_table_says_that_it_guessed():
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6], "w": ["w10", "w2", "w1"]})
    with pytest.warns(UserWarning, match=r"guess.*accept=\('date_order',\)"):
        data = CategoryCounts.from_wide(frame, ["a", "b"], date="w")
    assert data.dates.tolist() == ["w1", "w2", "w10"]
    assert [s.kind for s in data.suspicions] == ["date_order"]
    assert data.collapse().suspicions == data.suspicions
    assert (
        CategoryCounts.from_wide(frame, ["a", "b"], date="w", accept="date_order").date is not None
    )
