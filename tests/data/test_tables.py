"""Wide and long tables: what they mean, and which of their defects are refused."""

import warnings

import numpy as np
import pandas as pd
import pytest

from helpers import CategoryCounts

quiet = pytest.mark.filterwarnings("ignore:Kept, but take note:UserWarning")


class TestReading:
    def test_given_availability_wins_over_missing_counts(self):
        frame = pd.DataFrame({"a": [1, 2], "b": [0, 0], "c": [1, 1], "stood": [1, 0]})
        data = CategoryCounts.from_wide(frame, list("ac"), available=None)
        assert data.available.all()
        data = CategoryCounts.from_wide(
            frame.assign(b=[3, 0]), list("abc"), available={"b": "stood"}
        )
        assert data.available.tolist() == [[True, True, True], [True, False, True]]

    @pytest.mark.parametrize(
        "form", [list, np.array, lambda m: pd.DataFrame(m, [5, 5, 7], list("abc"))]
    )
    def test_availability_in_any_form_and_with_repeated_row_labels(self, form):
        menus = [[True, True, True], [True, False, True], [True, True, False]]
        frame = pd.DataFrame({"a": [1, 2, 3], "b": [4, 0, 6], "c": [7, 8, 0]}, index=[5, 5, 7])
        data = CategoryCounts.from_wide(frame, list("abc"), available=form(menus))
        assert data.available.tolist() == menus
        assert data.rows.tolist() == [0, 1, 2]

    def test_an_availability_frame_is_matched_by_row_label(self):
        frame = pd.DataFrame({"a": [1, 2], "b": [3, 0]}, index=["x", "y"])
        menus = pd.DataFrame({"b": [False, True]}, index=["y", "x"])
        with pytest.warns(UserWarning, match="one category"):
            data = CategoryCounts.from_wide(frame, list("ab"), available=menus)
        assert data.available[:, 1].tolist() == [True, False]

    @pytest.mark.parametrize("name", ["value", "row", "category"])
    def test_long_columns_may_have_any_name(self, name):
        frame = pd.DataFrame({name: [1, 1, 2, 2], "k": list("abab"), "n": [1, 2, 3, 4], "on": True})
        for available in (None, "on"):
            data = CategoryCounts.from_long(
                frame, row=name, category="k", count="n", available=available
            )
            assert data.counts.tolist() == [[1, 2], [3, 4]]

    @quiet
    def test_an_absent_pair_that_was_on_the_menu_is_a_zero(self):
        frame = pd.DataFrame(
            {"day": [1, 1, 2], "k": ["a", "b", "b"], "n": [4, 5, 6], "a on": [True, True, True]}
        )
        roles = {"row": "day", "category": "k", "count": "n"}
        assert not CategoryCounts.from_long(frame, **roles).available[1, 0]
        off = frame.assign(n=[4, 5, 0], stood=[True, True, False])
        with pytest.raises(ValueError, match=r"Nothing was on the menu in row\(s\) 2"):
            CategoryCounts.from_long(off, **roles, available="stood")
        lines = pd.concat([off, off.assign(day=3, n=[1, 0, 0], stood=[True, False, False])[:2]])
        flagged = CategoryCounts.from_long(lines.query("day != 2"), **roles, available="stood")
        assert flagged.available.tolist() == [[True, True], [True, False]]
        data = CategoryCounts.from_long(frame, **roles, available={"a": "a on"})
        assert data.available.all()
        assert data.counts.tolist() == [[4, 5], [0, 6]]

    @pytest.mark.filterwarnings("ignore:Is this table:UserWarning")
    @pytest.mark.parametrize(
        ("given_as", "expected"),
        [
            (["2020-01-05", "2020-02-01"], pd.to_datetime(["2020-01-05", "2020-02-01"])),
            (["spring", "autumn"], ["spring", "autumn"]),
            (["2020-01-05", "autumn"], ["2020-01-05", "autumn"]),
            ([2014, 2015], [2014, 2015]),
        ],
    )
    def test_dates_are_parsed_only_if_they_are_iso(self, given_as, expected):
        frame = pd.DataFrame({"a": [1, 2], "b": [3, 4], "when": given_as})
        assert list(CategoryCounts.from_wide(frame, ["a", "b"], date="when").date) == list(expected)


def base():
    """A valid table in which every kind of corruption can be planted."""
    return pd.DataFrame(
        {
            "red": [1, 2, 3, 4],
            "green": [5.0, np.nan, 7.0, 8.0],
            "blue": [9, 10, 11, 12],
            "town": ["t", "t", "u", "u"],
            "day": ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04"],
            "heat": [0.1, 0.2, 0.3, 0.4],
            "stood": [True, False, True, True],
        },
        index=["r0", "r1", "r2", "r3"],
    )


def read(frame, **changes):
    roles = {"categories": ["red", "green", "blue"], "cluster": "town", "date": "day"}
    return CategoryCounts.from_wide(frame, **(roles | {"predictors": ["heat"]} | changes))


def put(row, column, value):
    def corrupt(frame):
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value
        return frame

    return corrupt


def put_column(column, values):
    return lambda frame: frame.assign(**{column: values})


# What is wrong, the corruption, changed arguments, what the message must name.
CORRUPTIONS = {
    "negative": (put("r2", "red", -1), {}, ["Negative", "r2", "red", "correct"]),
    "fractional": (put("r3", "blue", 0.5), {}, ["Fractional", "r3", "blue", "whole numbers"]),
    "infinite": (put("r0", "red", np.inf), {}, ["Infinite", "r0", "red", "correct"]),
    "too large": (put("r0", "red", 2**53 + 1), {}, ["Too large", "r0", "red", "rescale"]),
    "text": (put("r1", "blue", "many"), {}, ["blue", "r1", "'many'", "correct"]),
    "dates as counts": (
        put_column("blue", pd.date_range("2020", periods=4)),
        {},
        ["blue", "datetime64", "convert"],
    ),
    "positive off the menu": (
        put("r1", "green", 6),
        {"available": {"green": "stood"}},
        ["Positive", "not on the menu", "r1", "green", "correct"],
    ),
    "missing on the menu": (
        put("r1", "stood", True),
        {"available": {"green": "stood"}},
        ["Missing", "r1", "green", "write 0"],
    ),
    "empty menu": (
        lambda f: f.astype({"red": float, "blue": float}).assign(
            red=[1, None, 3, 4], blue=[9, None, 11, 12]
        ),
        {},
        ["Nothing was on the menu", "r1", "leave these rows out"],
    ),
    "category never available": (
        put_column("green", np.nan),
        {},
        ["Never on the menu", "green", "Leave"],
    ),
    "missing cluster": (put("r2", "town", None), {}, ["cluster is missing", "r2", "fill"]),
    "missing date": (put("r3", "day", None), {}, ["'day' is missing", "r3", "fill"]),
    "missing predictor": (put("r1", "heat", np.nan), {}, ["missing", "r1", "heat", "correct"]),
    "infinite predictor": (put("r1", "heat", np.inf), {}, ["infinite", "r1", "heat", "correct"]),
    "text predictor": (put("r1", "heat", "warm"), {}, ["heat", "r1", "'warm'", "encode"]),
    "disconnected menus": (
        lambda f: f.assign(red=[1, 1, None, None], green=[1, 1, None, None]).assign(
            blue=[None, None, 1, 1], grey=[None, None, 1, 1]
        ),
        {"categories": ["red", "green", "blue", "grey"]},
        ["No chain", "red, green; blue, grey", "analyse each group"],
    ),
    "unknown category": (
        lambda f: f,
        {"categories": ["red", "gren", "blue"]},
        ["'gren'", "did you mean 'green'"],
    ),
    "unknown cluster": (lambda f: f, {"cluster": "twon"}, ["'twon'", "did you mean 'town'"]),
    "unknown, nothing close": (lambda f: f, {"cluster": "zzz"}, ["'zzz'", "red, green, blue"]),
    "column twice": (
        lambda f: pd.concat([f, f[["red"]]], axis=1),
        {},
        ["'red'", "more than once", "rename"],
    ),
    "one category": (lambda f: f, {"categories": ["red"]}, ["two categories"]),
    "repeated category": (
        lambda f: f,
        {"categories": ["red", "green", "red"]},
        ["'red'", "twice"],
    ),
    "two roles": (lambda f: f, {"predictors": ["town"]}, ["'town'", "cluster", "predictor"]),
    "categories as text": (lambda f: f, {"categories": "red"}, ["`categories`", "list"]),
    "a series for a name": (
        lambda f: f,
        {"available": {"green": pd.Series([True] * 4)}},
        ["availability of 'green'", "Series", "name"],
    ),
    "availability of no category": (
        lambda f: f,
        {"available": {"gren": "stood"}},
        ["'gren'", "did you mean 'green'"],
    ),
    "missing availability": (
        put("r2", "stood", None),
        {"available": {"green": "stood"}},
        ["'stood'", "r2", "fill"],
    ),
    "availability that is no boolean": (
        put("r3", "stood", "yes"),
        {"available": {"green": "stood"}},
        ["'stood'", "r3", "True or False"],
    ),
    "availability of another shape": (
        lambda f: f,
        {"available": np.ones((4, 2))},
        ["(4, 3)", "(4, 2)"],
    ),
    "availability of other rows": (
        lambda f: f,
        {"available": pd.DataFrame({"green": [True] * 4})},
        ["same row labels", "0, 1, 2"],
    ),
    "availability names a category twice": (
        lambda f: f,
        {"available": base()[["stood", "stood"]].set_axis(["green", "green"], axis=1)},
        ["more than once"],
    ),
    "no rows": (lambda f: f.iloc[:0], {}, ["no rows"]),
    "no frame": (lambda f: f.to_dict(), {}, ["DataFrame", "dict", "read_counts"]),
}


class TestRefusals:
    def test_the_table_without_corruption_is_valid(self):
        assert read(base()).counts.sum() == 72

    @pytest.mark.parametrize("what", CORRUPTIONS)
    def test_each_corruption_is_refused_by_name(self, what):
        corrupt, changes, named = CORRUPTIONS[what]
        frame = corrupt(base())
        with pytest.raises(ValueError) as caught:
            read(frame, **changes)
        for words in named:
            assert words in str(caught.value)

    def test_a_plain_table_does_not_warn(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read(base())

    @pytest.mark.parametrize(
        ("corrupt", "named"),
        [
            (lambda f: pd.concat([f, f.iloc[[1]]]), ["More than one line", "('1', 'b')"]),
            (put(2, "n", -4), ["Negative", "row(s) 2", "column(s) a", "correct"]),
            (put(2, "n", "six"), ["'n'", "'six'", "row(s) 2"]),
            (put(1, "town", "elsewhere"), ["'town'", "the same in all lines", "row(s) 1"]),
            (put(3, "k", None), ["'k' is missing", "line(s) 3", "fill"]),
            (put(3, "day", None), ["'day' is missing", "line(s) 3", "fill"]),
            (lambda f: f.rename(columns={"n": "m"}), ["'n'", "the count", "known are"]),
        ],
    )
    def test_each_corruption_of_a_long_table_is_refused_by_name(self, corrupt, named):
        frame = pd.DataFrame(
            {"day": [1, 1, 2, 2], "k": list("abab"), "n": [1, 2, 3, 4], "town": list("xxyy")}
        )
        roles = {"row": "day", "category": "k", "count": "n", "cluster": "town"}
        assert CategoryCounts.from_long(frame, **roles).counts.sum() == 10
        frame = corrupt(frame)
        with pytest.raises(ValueError) as caught:
            CategoryCounts.from_long(frame, **roles)
        for words in named:
            assert words in str(caught.value)

    def test_long_lists_of_rows_are_cut_short(self):
        frame = pd.DataFrame({"a": np.full(1_000, -1), "b": 1})
        with pytest.raises(ValueError, match="0, 1, 2, 3, 4 and 995 more"):
            CategoryCounts.from_wide(frame, ["a", "b"])

    def test_a_category_that_shares_its_name_with_the_cluster_is_refused(self):
        frame = pd.DataFrame(
            {"day": [1, 1], "dish": ["soup", "shop"], "n": [2, 3], "shop": ["north", "north"]}
        )
        with pytest.raises(ValueError, match="shop names both a category and the cluster"):
            CategoryCounts.from_long(frame, row="day", category="dish", count="n", cluster="shop")
