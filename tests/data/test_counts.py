"""CategoryCounts: what goes in comes out, and nothing defective goes in."""

import string
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from helpers import CategoryCounts, read_counts, simulate_counts

few = settings(max_examples=60, deadline=None, derandomize=True, database=None)
quiet = pytest.mark.filterwarnings("ignore:Kept, but take note:UserWarning")


@st.composite
def tables(draw):
    """A valid wide table with a category that is always on the menu, and its roles."""
    n_rows, n_categories = draw(st.integers(1, 8)), draw(st.integers(2, 5))
    names = draw(
        st.lists(
            st.text(string.ascii_letters + " é", min_size=1, max_size=8),
            min_size=n_categories + 4,
            max_size=n_categories + 4,
            unique=True,
        )
    )
    categories, (cluster, date, *predictors) = names[:n_categories], names[n_categories:]
    count = st.one_of(st.integers(0, 30), st.integers(0, 2**50))
    cells = st.lists(st.none() | count, min_size=n_rows, max_size=n_rows)
    columns = {categories[0]: draw(st.lists(count, min_size=n_rows, max_size=n_rows))}
    for name in categories[1:]:
        columns[name] = draw(cells)
        if all(x is None for x in columns[name]):
            columns[name][draw(st.integers(0, n_rows - 1))] = draw(count)
    frame = pd.DataFrame({k: pd.array(v, dtype="Int64") for k, v in columns.items()})
    labels = st.sampled_from(["north", "south", "east"])
    days = st.dates(pd.Timestamp("1900-01-01").date(), pd.Timestamp("2100-01-01").date())
    number = st.floats(-1e300, 1e300)
    roles = {}
    if draw(st.booleans()):
        roles["cluster"] = cluster
        frame[cluster] = draw(st.lists(labels, min_size=n_rows, max_size=n_rows))
    if draw(st.booleans()):
        roles["date"] = date
        frame[date] = pd.to_datetime(draw(st.lists(days, min_size=n_rows, max_size=n_rows)))
    roles["predictors"] = predictors[: draw(st.integers(0, 2))]
    for name in roles["predictors"]:
        frame[name] = draw(st.lists(number, min_size=n_rows, max_size=n_rows))
    index = draw(
        st.sampled_from(
            [range(n_rows), [f"r{i}" for i in range(n_rows)], pd.date_range("2020", periods=n_rows)]
        )
    )
    return frame.set_index(pd.Index(index)), categories, roles


def assert_same(one, other):
    """Every attribute of two CategoryCounts is the same."""
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(one.available, other.available)
    assert one.categories == other.categories
    assert one.rows.tolist() == other.rows.tolist()
    for name in ("cluster", "date"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        if a is not None:
            assert list(a) == list(b)
            assert getattr(one, f"{name}_name") == getattr(other, f"{name}_name")
    pd.testing.assert_frame_equal(one.predictors, other.predictors, check_freq=False)


@quiet
class TestRoundTrips:
    @few
    @given(tables())
    def test_a_wide_table_comes_back(self, table):
        frame, categories, roles = table
        before = frame.copy()
        data = CategoryCounts.from_wide(frame, categories, **roles)
        pd.testing.assert_frame_equal(frame, before)
        np.testing.assert_array_equal(data.available, frame[categories].notna())
        assert (frame[categories].fillna(0).to_numpy() == data.counts).all()
        assert data.rows.tolist() == frame.index.tolist()
        again = CategoryCounts.from_wide(data.to_frame(), list(data.categories), **roles)
        assert_same(data, again)
        pd.testing.assert_frame_equal(data.to_frame(), again.to_frame())

    @few
    @given(tables(), st.randoms(use_true_random=False))
    def test_a_long_table_says_the_same_as_a_wide_one(self, table, random):
        frame, categories, roles = table
        wide = CategoryCounts.from_wide(frame, categories, **roles)
        fixed = [roles[k] for k in ("cluster", "date") if k in roles] + roles["predictors"]
        frame = frame.rename_axis("the row").reset_index()
        long = frame.melt(
            id_vars=["the row", *fixed], value_vars=categories, var_name="what", value_name="count"
        ).dropna(subset="count")
        # Lines in any order within a row: the categories keep the order of the categorical.
        long["what"] = pd.Categorical(long["what"], categories)
        first = long["the row"].map({label: i for i, label in enumerate(frame["the row"])})
        order = sorted(range(len(long)), key=lambda i: (first.iloc[i], random.random()))
        lines = long.iloc[order].reset_index(drop=True)
        before = lines.copy()
        data = CategoryCounts.from_long(
            lines, row="the row", category="what", count="count", **roles
        )
        pd.testing.assert_frame_equal(lines, before)
        assert_same(data, wide)

    @pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".pq", ".CSV"])
    def test_files_come_back(self, tmp_path, suffix):
        data, _ = simulate_counts(n_clusters=3, n_dates=2, n_range=(5, 9), random_seed=1)
        frame, path = data.to_frame().reset_index(drop=True), tmp_path / f"counts{suffix}"
        to_file = frame.to_csv if "csv" in suffix.lower() else frame.to_parquet
        to_file(path, index=False)
        again = read_counts(
            path, list(data.categories), cluster="district", date="date", predictors=["x"]
        )
        np.testing.assert_array_equal(again.counts, data.counts)
        np.testing.assert_array_equal(again.available, data.available)
        assert again.date.equals(data.date)
        assert list(again.cluster) == list(data.cluster)
        np.testing.assert_allclose(again.predictors["x"], data.predictors["x"], rtol=1e-15)

    @pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
    def test_any_dtype_reads_the_same(self, backend):
        plain = pd.DataFrame(
            {"a": [1, 2, 3], "b": [4.0, np.nan, 0.0], "c": [5, 6, 7], "g": ["x", "y", "x"]}
        )
        menus = pd.DataFrame({"b": [True, False, True]})
        typed, typed_menus = (f.convert_dtypes(dtype_backend=backend) for f in (plain, menus))
        data = CategoryCounts.from_wide(plain, list("abc"), cluster="g", available=menus)
        for frame in (typed, plain.astype({"g": "category"}), plain.astype(object)):
            again = CategoryCounts.from_wide(frame, list("abc"), cluster="g", available=typed_menus)
            assert_same(again, data)


class TestCollapse:
    @pytest.fixture
    def data(self):
        rng = np.random.default_rng(1)
        available = rng.random((60, 4)) < 0.7
        available[:, 3] = True
        counts = rng.integers(0, 20, (60, 4)) * available
        frame = pd.DataFrame(counts, columns=list("abcd")).astype("Int64").mask(~available)
        frame["g"], frame["x"] = rng.choice(["u", "v"], 60), rng.choice([0.5, 1.5], 60)
        frame["when"] = rng.choice(["2020-01-01", "2021-01-01"], 60)
        return CategoryCounts.from_wide(
            frame, list("abcd"), cluster="g", date="when", predictors=["x"]
        )

    @quiet
    def test_adds_up_rows_that_share_everything(self, data):
        def keyed(d):
            frame = pd.DataFrame(d.counts).assign(
                menu=[tuple(a) for a in d.available],
                g=d.cluster.astype(str),
                when=d.date,
                x=d.predictors["x"].to_numpy(),
            )
            return frame.groupby(["menu", "g", "when", "x"]).sum()

        collapsed = data.collapse()
        assert len(collapsed) < len(data)
        groups = keyed(collapsed)
        assert len(groups) == len(collapsed)
        pd.testing.assert_frame_equal(groups, keyed(data))

    @quiet
    def test_is_idempotent(self, data):
        collapsed = data.collapse()
        assert_same(collapsed.collapse(), collapsed)

    @quiet
    @pytest.mark.parametrize("seed", [1, 2])
    def test_changes_the_log_likelihood_by_a_constant(self, data, seed):
        """The constant is the same whatever the shares: take it from one set, use it on others."""
        collapsed, rng = data.collapse(), np.random.default_rng(seed)

        def logp(d, p):
            total = 0.0
            for y, on, g, x in zip(
                d.counts, d.available, d.cluster, d.predictors["x"], strict=True
            ):
                if on.sum() > 1:
                    q = p[g, x][on] / p[g, x][on].sum()
                    total += stats.multinomial.logpmf(y[on], y.sum(), q)
            return total

        def shares():
            return {(g, x): rng.dirichlet(np.ones(4)) for g in "uv" for x in (0.5, 1.5)}

        sets = [shares() for _ in range(3)]
        differences = [logp(data, p) - logp(collapsed, p) for p in sets]
        np.testing.assert_allclose(differences, differences[0], rtol=1e-9)
        assert differences[0] < 0


class TestViews:
    """Three rows worked by hand."""

    @pytest.fixture
    def data(self):
        frame = pd.DataFrame(
            {
                "soup": [12, None, 0, 8],
                "stew": [8, 10, None, 2],
                "salad": [0, 30, 5, 0],
                "town": ["n", "s", "n", "s"],
                "heat": [1.5, 2.0, 3.0, 4.0],
            },
            index=["mon", "tue", "wed", "thu"],
        )
        return CategoryCounts.from_wide(
            frame, ["soup", "stew", "salad"], cluster="town", predictors=["heat"]
        )

    def test_counts_are_zero_off_the_menu(self, data):
        assert data.counts.tolist() == [[12, 8, 0], [0, 10, 30], [0, 0, 5], [8, 2, 0]]
        assert data.counts.dtype == np.int64
        assert data.available.tolist() == [[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]]
        assert data.available.dtype == bool
        assert data.n.tolist() == [20, 40, 5, 10]

    def test_patterns_are_counted_commonest_first(self, data):
        assert data.patterns["rows"].tolist() == [2, 1, 1]
        assert data.patterns.iloc[0, :3].tolist() == [True, True, True]
        found = data.patterns.iloc[data.pattern_index, :3].to_numpy(dtype=bool)
        np.testing.assert_array_equal(found, data.available)

    def test_each_row_knows_its_pattern(self):
        """Three menus had by 2, 1 and 3 rows: sorting them is a cycle, not a swap."""
        menus = np.array([[0, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]])
        data = CategoryCounts(menus, menus, tuple("abc"))
        assert data.patterns["rows"].tolist() == [3, 2, 1]
        assert data.pattern_index.tolist() == [1, 1, 2, 0, 0, 0]

    def test_describe_knows_where_each_was_on_the_menu(self, data):
        table = data.describe()
        assert table["rows_on_menu"].tolist() == [3, 3, 4]
        assert table["share_of_rows"].tolist() == [0.75, 0.75, 1.0]
        assert table["count"].tolist() == [20, 20, 35]
        # Soup: 20 of 20 + 5 + 10; stew: 20 of 20 + 40 + 10; salad: 35 of 75.
        assert table["share_where_on_menu"].tolist() == pytest.approx([20 / 35, 20 / 70, 35 / 75])
        assert table["zeros_on_menu"].tolist() == [1, 0, 2]
        assert table.index.tolist() == ["soup", "stew", "salad"]

    def test_coords_name_rows_categories_clusters_and_predictors(self, data):
        coords = {k: list(v) for k, v in data.coords.items()}
        assert coords == {
            "row": ["mon", "tue", "wed", "thu"],
            "category": ["soup", "stew", "salad"],
            "cluster": ["n", "s"],
            "predictor": ["heat"],
        }

    def test_repr_says_how_much_there_is(self, data):
        assert repr(data) == (
            "CategoryCounts: 4 rows, 3 categories, 3 menus, 2 of 12 cells not on the menu, "
            "2 clusters, predictors heat"
        )
        assert len(data) == 4

    def test_it_cannot_be_changed(self, data):
        with pytest.raises(ValueError, match="read-only"):
            data.counts[0, 0] = 5
        with pytest.raises(AttributeError):
            data.counts = np.ones((4, 3))


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

    def test_counts_below_two_to_the_53_are_kept_exactly(self):
        frame = pd.DataFrame({"a": [2**53 - 1, 2], "b": [0, 1]})
        assert CategoryCounts.from_wide(frame, ["a", "b"]).counts[0, 0] == 9_007_199_254_740_991

    def test_categories_of_a_file_are_the_columns_called_n(self, tmp_path):
        path = tmp_path / "votes.csv"
        path.write_text("n_left,place,n_right\n3,x,4\n5,y,\n7,z,8\n")
        with pytest.warns(UserWarning, match="one category"):
            data = read_counts(path, cluster="place")
        assert data.categories == ("n_left", "n_right")
        assert data.available[:, 1].tolist() == [True, False, True]

    def test_a_thousand_menus_of_many_categories_are_connected(self):
        """Whole powers of two of shared menus: a narrow integer would wrap around to 0."""
        menus = (np.arange(1024)[:, None] >> np.arange(10)) & 1
        menus = np.hstack([np.ones((1024, 2), int), menus])
        assert len(CategoryCounts(menus, menus, tuple(string.ascii_letters[:12])).patterns) == 1024


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

    @quiet
    @few
    @given(st.data())
    def test_a_corrupt_cell_anywhere_is_refused_by_row_and_column(self, data):
        frame, categories, roles = data.draw(tables())
        at, k = data.draw(st.integers(0, len(frame) - 1)), data.draw(st.sampled_from(categories))
        corruptions = {"Negative": -3, "Fractional": 2.25, "Infinite": np.inf, "no number": "x"}
        what = data.draw(st.sampled_from(sorted(corruptions)))
        frame[k] = frame[k].astype(object)
        frame.iloc[at, frame.columns.get_loc(k)] = corruptions[what]
        with pytest.raises(ValueError) as caught:
            CategoryCounts.from_wide(frame, categories, **roles)
        message = str(caught.value)
        assert what in message and f"row(s) {frame.index[at]}" in message
        assert f"column(s) {k}:" in message or f"column {k!r}" in message

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

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"counts": np.ones((2, 2))}, ["3 columns", "(2, 2)"]),
            ({"available": np.ones((3, 3))}, ["(2, 3)", "(3, 3)"]),
            ({"categories": ("a", "b", "a")}, ["a is repeated"]),
            ({"cluster": ["x"]}, ["cluster", "one entry per row (2), not 1"]),
            ({"date": [1, 2, 3]}, ["date", "one entry per row (2), not 3"]),
            ({"rows": ["x"]}, ["row labels", "one entry per row (2), not 1"]),
            ({"predictors": pd.DataFrame({"x": [1.0]})}, ["predictors", "(2), not 1"]),
            ({"counts": np.full((2, 3), 2**52)}, ["total is too large", "0, 1"]),
        ],
    )
    def test_arrays_that_do_not_fit_are_refused(self, changes, named):
        good = {"counts": np.ones((2, 3)), "available": np.ones((2, 3)), "categories": tuple("abc")}
        assert CategoryCounts(**good).n.tolist() == [3, 3]
        with pytest.raises(ValueError) as caught:
            CategoryCounts(**(good | changes))
        for words in named:
            assert words in str(caught.value)

    def test_long_lists_of_rows_are_cut_short(self):
        frame = pd.DataFrame({"a": np.full(1_000, -1), "b": 1})
        with pytest.raises(ValueError, match="0, 1, 2, 3, 4 and 995 more"):
            CategoryCounts.from_wide(frame, ["a", "b"])

    def test_files_that_cannot_be_read_are_refused(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="none.csv"):
            read_counts(tmp_path / "none.csv")
        for name, content, message in [
            ("table.xlsx", b"PK", r"'table.xlsx' is not known.*\.csv"),
            ("empty.csv", b"", "empty.csv cannot be read as CSV"),
            ("header.csv", b"n_a,n_b\n", "no rows"),
            ("latin.csv", b"n_a,n_b\n\xff\xfe,1\n", "latin.csv cannot be read as CSV"),
            ("ragged.csv", b"n_a,n_b\n1,2\n1,2,3,4\n", "ragged.csv cannot be read as CSV"),
            ("broken.parquet", b"nothing of the kind", "broken.parquet cannot be read as Parquet"),
            ("unnamed.csv", b"a;b\n1;2\n", r"No column is named n_\*.*a;b"),
        ]:
            path = tmp_path / name
            path.write_bytes(content)
            with pytest.raises(ValueError, match=message):
                read_counts(path)


class TestWarnings:
    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"a": [0, 1, 2], "b": [0, 1, 2]}, r"row\(s\) r0 have a total of 0"),
            ({"b": [1, None, 2]}, r"row\(s\) r1 had one category on the menu"),
            ({"b": [0, 0, 0]}, "b was on the menu but never chosen"),
            (
                {"g": pd.Categorical(list("xxy"), list("xyz"))},
                r"cluster\(s\) z have no rows",
            ),
        ],
    )
    def test_what_carries_no_information_is_named_at_the_callers_line(self, changed, message):
        frame = pd.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6], "g": list("xxy")})
        frame = frame.assign(**changed).set_index(pd.Index(["r0", "r1", "r2"]))
        with pytest.warns(UserWarning, match=message) as caught:
            CategoryCounts.from_wide(frame, ["a", "b"], cluster="g")
        assert [w.filename for w in caught] == [__file__]

    def test_files_and_arrays_warn_at_the_callers_line_too(self, tmp_path):
        (tmp_path / "zero.csv").write_text("n_a,n_b\n0,0\n1,1\n")
        for make in (
            lambda: read_counts(tmp_path / "zero.csv"),
            lambda: CategoryCounts(np.eye(2, 3), np.ones((2, 3)), tuple("abc")),
        ):
            with pytest.warns(UserWarning, match="Kept, but take note") as caught:
                make()
            assert [w.filename for w in caught] == [__file__]

    def test_a_plain_table_does_not_warn(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read(base())


def test_a_category_that_shares_its_name_with_the_cluster_is_refused():
    frame = pd.DataFrame(
        {"day": [1, 1], "dish": ["soup", "shop"], "n": [2, 3], "shop": ["north", "north"]}
    )
    with pytest.raises(ValueError, match="shop names both a category and the cluster"):
        CategoryCounts.from_long(frame, row="day", category="dish", count="n", cluster="shop")
