"""CategoryCounts: what goes in comes out, and its views say what is there."""

import string
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from helpers import CategoryCounts

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
    @pytest.mark.slow
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

    @pytest.mark.slow
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

    def test_counts_below_two_to_the_53_are_kept_exactly(self):
        frame = pd.DataFrame({"a": [2**53 - 1, 2], "b": [0, 1]})
        assert CategoryCounts.from_wide(frame, ["a", "b"]).counts[0, 0] == 9_007_199_254_740_991

    @quiet
    @few
    @given(st.data())
    def test_a_corrupt_cell_anywhere_is_refused_by_row_and_column(self, data):
        frame, categories, roles = data.draw(tables())
        at, k = data.draw(st.integers(0, len(frame) - 1)), data.draw(st.sampled_from(categories))
        corruptions = {"Negative": -3, "Fractional": 2.25, "Infinite": np.inf, "not numbers": "x"}
        what = data.draw(st.sampled_from(sorted(corruptions)))
        frame[k] = frame[k].astype(object)
        frame.iloc[at, frame.columns.get_loc(k)] = corruptions[what]
        with pytest.raises(ValueError) as caught:
            CategoryCounts.from_wide(frame, categories, **roles)
        message = str(caught.value)
        assert what in message and f"row(s) {frame.index[at]}" in message
        assert f"column(s) {k}:" in message or f"column {k!r}" in message


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
    def test_keeps_how_many_rows_there_were(self, data):
        collapsed = data.collapse()
        assert data.row_weights.tolist() == [1] * len(data)
        assert collapsed.row_weights.sum() == len(data)
        x, weights = collapsed.predictors["x"], collapsed.row_weights
        assert np.average(x, weights=weights) == pytest.approx(data.predictors["x"].mean())
        again = collapsed.collapse()
        np.testing.assert_array_equal(again.row_weights, weights)

    def test_row_weights_are_numbers_of_rows(self):
        for weights in ([2], [1, 0], [1, 1.5]):
            with pytest.raises(ValueError, match="weights must"):
                CategoryCounts([[1, 2], [3, 4]], np.ones((2, 2)), "ab", row_weights=weights)

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


def test_rows_can_be_replaced():
    """Rows that each stand for themselves do so in a part of the table, too."""
    table = pd.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6], "c": [1, 0, 2]})
    data = CategoryCounts.from_wide(table, list("abc"))
    part = replace(
        data,
        counts=data.counts[1:],
        available=data.available[1:],
        predictors=None,
        rows=data.rows[1:],
    )
    assert part.row_weights.tolist() == [1, 1]
    twice = pd.concat([table, table]).assign(shop=["x", "y", "z"] * 2)
    summed = CategoryCounts.from_wide(twice, list("abc"), cluster="shop").collapse()
    assert summed.row_weights.tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match="row weights must have one entry per row"):
        replace(
            summed,
            counts=summed.counts[:2],
            available=summed.available[:2],
            cluster=summed.cluster[:2],
            predictors=None,
            rows=summed.rows[:2],
        )
