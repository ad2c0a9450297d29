"""Tables that are not what they look like are refused or warned of; ordinary ones are neither."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import CategoryCounts, simulate_counts
from helpers.data import ACCEPTABLE, Suspicion
from helpers.data._subtotals import subtotals

quick = settings(max_examples=30, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)


def table(seed, n_rows, n_categories, size=300, off=0.0):
    """Counts of clusters that differ, some cells off the menu."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(n_categories, 3.0), n_rows)
    counts = rng.multinomial(rng.integers(size // 2, size + 1, n_rows), p).astype(float)
    away = rng.random(counts.shape) < off
    away[:, 0] = away[0] = False
    counts[away] = np.nan
    names = [f"c{k}" for k in range(n_categories)]
    return pd.DataFrame(counts, columns=names)


def response(frame, categories=None, **options):
    """What reading says: the message of a refusal or of the warning, or nothing."""
    categories = list(frame.columns) if categories is None else categories
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            CategoryCounts.from_wide(frame, categories, **options)
        except ValueError as error:
            return f"refused: {error}"
    said = [str(note.message) for note in caught if "Kept, but" not in str(note.message)]
    return f"warned: {' '.join(said)}" if said else ""


def with_subtotal(seed, n_rows, n_categories):
    frame, rng = table(seed, n_rows, n_categories, off=0.1), np.random.default_rng(seed)
    parts = rng.choice(frame.columns, rng.integers(2, n_categories + 1), replace=False)
    frame.insert(int(rng.integers(n_categories + 1)), "some", frame[parts].sum(axis=1))
    return frame, r"refused: .*some is the sum of.*accept=\('subtotal',\)"


def with_nested_totals(seed, n_rows, n_categories):
    frame = table(seed, n_rows, n_categories)
    frame["few"] = frame[["c0", "c1"]].sum(axis=1)
    frame["all of it"] = frame[[f"c{k}" for k in range(n_categories)]].sum(axis=1)
    return frame, "refused: .*(few is the sum of c0, c1.*all of it|all of it.*few is the sum)"


def with_total_row(seed, n_rows, n_categories):
    frame = table(seed, n_rows, n_categories, off=0.1)
    frame.loc[n_rows] = frame.sum()
    at = int(np.random.default_rng(seed).integers(n_rows + 1))
    order = np.insert(np.arange(n_rows), at, n_rows)
    return frame.loc[order].reset_index(drop=True), rf"refused: .*row\(s\) {at}.* sum of all other"


def per_cent(seed, n_rows, n_categories):
    frame = table(seed, n_rows, n_categories)
    whole = np.round(100 * frame.div(frame.sum(axis=1), axis=0))
    return whole, "warned: .*per cent.*percent"


def shares(seed, n_rows, n_categories):
    frame = table(seed, n_rows, n_categories)
    return frame.div(frame.sum(axis=1), axis=0).round(3), "refused: .*add up to about 1,.*shares"


def per_cent_with_decimals(seed, n_rows, n_categories):
    frame = table(seed, n_rows, n_categories)
    return (100 * frame.div(frame.sum(axis=1), axis=0)).round(1), "refused: .*per cent"


def ranks(seed, n_rows, n_categories):
    order = np.arange(1, n_categories + 1)
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame([rng.permutation(order) for _ in range(n_rows)])
    return frame.add_prefix("c"), "warned: Is .*Are these ranks"


def choices(seed, n_rows, n_categories):
    rng = np.random.default_rng(seed)
    names = [f"brand {k}" for k in range(n_categories)]
    frame = pd.DataFrame(rng.choice(names, (n_rows, 2)), columns=["best", "worst"])
    return frame, "refused: .*'best', 'worst'.*choices.*get_dummies"


def weights(seed, n_rows, n_categories):
    frame = table(seed, n_rows, n_categories, off=0.1)
    factors = np.random.default_rng(seed).uniform(0.5, 2, frame.shape)
    return (frame * factors).round(2), "refused: .*weighted counts of a survey"


def thousandths(seed, n_rows, n_categories):
    frame = table(seed, n_rows, n_categories, size=90_000) + 1_001
    return frame / 1_000, 'refused: .*thousands="."'


KINDS = [
    with_subtotal,
    with_nested_totals,
    with_total_row,
    per_cent,
    shares,
    per_cent_with_decimals,
    ranks,
    choices,
    weights,
    thousandths,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@quick
@given(seed=seeds, n_rows=st.integers(6, 40), n_categories=st.integers(3, 9))
def test_no_such_table_is_accepted_in_silence(kind, seed, n_rows, n_categories):
    frame, pattern = kind(seed, n_rows, n_categories)
    said = response(frame)
    assert re.search(pattern, said), said


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    seed=seeds,
    n_rows=st.integers(1, 40),
    n_categories=st.integers(2, 9),
    size=st.sampled_from([4, 30, 400, 100_000]),
    off=st.sampled_from([0, 0.2]),
)
def test_ordinary_tables_are_neither_refused_nor_warned_of(seed, n_rows, n_categories, size, off):
    frame = table(seed, n_rows, n_categories, size, off)
    assert response(frame) == ""


@quick
@given(
    seed=seeds,
    n_rows=st.integers(1, 60),
    n_categories=st.integers(2, 6),
    total=st.sampled_from([1, 2, 20, 98, 101, 1_000]),
)
def test_equal_totals_and_single_choices_are_ordinary(seed, n_rows, n_categories, total):
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(total, rng.dirichlet(np.ones(n_categories)), n_rows)
    assert response(pd.DataFrame(counts).add_prefix("c")) == ""


@quick
@given(values=st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=9))
def test_tables_of_tiny_counts_are_ordinary(values):
    frame = pd.DataFrame(values, columns=list("abcd"))
    assert response(frame) == ""


class TestSubtotals:
    def test_a_hundred_and_more_columns_are_searched(self):
        rng = np.random.default_rng(3)
        counts = rng.poisson(40, (24, 400))
        assert subtotals(counts, np.ones_like(counts, dtype=bool)) == {}
        counts[:, 120] = counts[:, 20:120].sum(axis=1)
        counts[:, 7] = counts[:, [3, 200, 300]].sum(axis=1)
        counts[:, 399] = np.delete(counts, [7, 120, 399], axis=1).sum(axis=1)
        found = subtotals(counts, np.ones_like(counts, dtype=bool))
        assert set(found) == {7, 120, 399}
        assert found[7] == (3, 200, 300)

    @pytest.mark.parametrize(("n_rows", "n_categories"), [(40, 24), (100, 60)])
    def test_sums_of_scattered_columns_are_found(self, n_rows, n_categories):
        rng = np.random.default_rng(4)
        counts = rng.poisson(40, (n_rows, n_categories))
        total, *parts = rng.permutation(n_categories)[: n_categories // 3].tolist()
        counts[:, total] = counts[:, parts].sum(axis=1)
        found = subtotals(counts, np.ones_like(counts, dtype=bool))
        assert found == {total: tuple(sorted(parts))}

    def test_rows_without_the_total_are_passed_over(self):
        counts = np.random.default_rng(5).poisson(50, (12, 4))
        counts[:, 3] = counts[:, :3].sum(axis=1)
        available = np.ones_like(counts, dtype=bool)
        available[:4, 3], counts[:4, 3] = False, 0
        assert subtotals(counts, available) == {3: (0, 1, 2)}

    def test_one_cell_that_does_not_add_up_is_enough(self):
        counts = np.random.default_rng(6).poisson(50, (300, 4))
        counts[:, 3] = counts[:, :3].sum(axis=1)
        counts[299, 3] += 1
        assert subtotals(counts, np.ones_like(counts, dtype=bool)) == {}

    def test_the_same_row_many_times_is_no_evidence(self):
        counts = np.tile([3, 2, 5, 9], (50, 1))
        assert subtotals(counts, np.ones_like(counts, dtype=bool)) == {}

    def test_it_takes_five_rows(self):
        counts = np.random.default_rng(7).poisson(5_000, (4, 3))
        counts[:, 2] = counts[:, 0] + counts[:, 1]
        assert subtotals(counts, np.ones_like(counts, dtype=bool)) == {}


class TestTotals:
    def test_two_rows_are_left_alone(self):
        assert response(pd.DataFrame({"a": [40, 80], "b": [15, 30], "c": [7, 14]})) == ""

    def test_totals_by_date_are_seen(self):
        rng = np.random.default_rng(8)
        frame = pd.DataFrame(rng.poisson(60, (12, 3)), columns=list("abc"))
        frame["place"], frame["year"] = np.tile(list("uvwx"), 3), np.repeat([1, 2, 3], 4)
        sums = frame.groupby("year")[list("abc")].sum().reset_index().assign(place="Land")
        both = pd.concat([frame, sums], ignore_index=True)
        said = response(both, list("abc"), cluster="place", date="year")
        assert said.startswith("refused: In every column, row(s) 12, 13, 14 (Land, 1, 2 and 1 more")
        assert "the other rows of their year" in said
        assert response(frame, list("abc"), cluster="place", date="year") == ""

    def test_totals_of_blocks_of_rows_are_seen(self):
        rng = np.random.default_rng(8)
        blocks = [rng.poisson(300, (4, 3)) for _ in range(3)]
        counts = [np.vstack([block, block.sum(axis=0)]) for block in blocks]
        counts.append(sum(block.sum(axis=0) for block in blocks))
        frame = pd.DataFrame(np.vstack(counts), columns=list("abc"))
        said = response(frame)
        assert said.startswith("refused: In every column, row(s) 4, 9, 14, 15 is the sum of other")
        assert response(frame.drop(index=[4, 9, 14, 15])) == ""

    @pytest.mark.parametrize(
        "name", ["Total", "gesamt", "All", "Grand total", "Total North", "North total"]
    )
    def test_rows_called_total_are_warned_of(self, name):
        frame = table(9, 5, 3).assign(place=["u", "v", "w", "x", name])
        said = response(frame, ["c0", "c1", "c2"], cluster="place")
        assert said.startswith("warned: ")
        assert f"row(s) 4 ({name}) is called a total" in said

    def test_columns_called_total_are_warned_of(self):
        frame = table(9, 5, 3).assign(n_total=5_000)
        assert "n_total is called a total" in response(frame)

    def test_a_category_called_all_may_be_an_answer(self):
        assert response(table(9, 8, 3).rename(columns={"c1": "all"})) == ""


class TestOverruling:
    def test_each_kind_by_its_name(self):
        for kind, make in (
            ("subtotal", with_subtotal),
            ("total_row", with_total_row),
            ("percent", per_cent),
            ("ranks", ranks),
        ):
            frame, _ = make(1, 12, 4)
            assert response(frame, accept=("date_order",))
            assert response(frame, accept=kind) == ""
            assert response(frame, accept=(kind,)) == ""

    def test_unknown_names_are_refused_with_the_list(self):
        with pytest.raises(ValueError, match="'totals'.*'subtotal', 'total_row', 'percent'"):
            CategoryCounts.from_wide(table(1, 5, 3), ["c0", "c1"], accept=("totals",))
        assert "choices" not in ACCEPTABLE

    def test_accepted_kinds_are_no_longer_listed(self):
        frame, _ = per_cent(1, 12, 4)
        with pytest.warns(UserWarning, match="look"):
            data = CategoryCounts.from_wide(frame, list(frame))
        assert [s.kind for s in data.suspicions] == ["percent"]
        assert str(data.suspicions[0]) == data.suspicions[0].message
        accepted = CategoryCounts.from_wide(frame, list(frame), accept="percent")
        assert accepted.suspicions == ()
        assert accepted.collapse().suspicions == ()

    def test_arrays_are_looked_at_too(self):
        frame, _ = with_subtotal(1, 12, 4)
        counts = frame.fillna(0).to_numpy()
        data = CategoryCounts(counts, frame.notna().to_numpy(), list(frame))
        assert [(s.kind, s.sure) for s in data.suspicions] == [("subtotal", True)]
        assert simulate_counts(random_seed=1)[0].suspicions == ()

    def test_one_warning_says_everything(self):
        frame, _ = ranks(1, 12, 4)
        frame["wave"] = ["wave 1", "wave 2", "wave 10"] * 4
        with pytest.warns(UserWarning) as caught:
            CategoryCounts.from_wide(frame, list(frame)[:4], date="wave")
        assert len(caught) == 1
        assert "ranks" in str(caught[0].message) and "wave 2" in str(caught[0].message)
        assert caught[0].filename == __file__

    def test_a_suspicion_is_its_message(self):
        assert f"{Suspicion('ranks', 'Ranks?')}" == "Ranks?"


class TestRanks:
    @pytest.mark.parametrize("rest", [np.nan, 0])
    def test_ranks_of_some_are_ranks(self, rest):
        rng = np.random.default_rng(9)
        frame = pd.DataFrame([rng.permutation(6) + 1.0 for _ in range(20)]).add_prefix("c")
        assert "Are these ranks" in response(frame.where(frame <= 4, rest))

    def test_choices_in_turn_are_none(self):
        turns = pd.DataFrame({"a": [1, np.nan, 0], "b": [0, 1, 0], "c": [0, 0, 1]})
        assert response(pd.concat([turns] * 5, ignore_index=True)) == ""


class TestNames:
    @pytest.mark.parametrize(
        ("categories", "named"),
        [
            ([True, "No"], ["'Yes'", "YAML", '"Yes"']),
            (["Yes", False], ["'No'", "YAML", '"No"']),
            (["Yes", 1], ['"1"', "names of columns are text"]),
        ],
    )
    def test_what_yaml_makes_of_names_is_said(self, categories, named):
        frame = pd.DataFrame({"Yes": [3, 4], "No": [5, 6], "1": [7, 8]})
        said = response(frame, categories)
        assert all(words in said for words in named), said

    def test_spellings_of_one_name_are_pointed_out(self):
        frame = table(9, 4, 3).assign(place=["North", "north ", "South", "01"])
        said = response(frame, ["c0", "c1", "c2"], cluster="place")
        assert said.startswith("warned: ")
        assert "In place, the labels 'North' and 'north ' differ in capitals or spaces" in said
        assert response(frame, ["c0", "c1", "c2"], cluster="place", accept="spelling") == ""
        columns = {"c0": "Soup", "c1": "soup"}
        assert "'Soup' and 'soup' differ" in response(table(9, 4, 3).rename(columns=columns))
        codes = frame.assign(place=["01", "1", "1a", "1A"])
        assert response(codes, ["c0", "c1", "c2"], cluster="place") == ""

    def test_numbers_that_are_names_are_names(self):
        assert response(pd.DataFrame({1: [3, 4], 2: [5, 6]}), [1, 2]) == ""

    def test_one_odd_cell_is_no_survey_weight(self):
        frame = table(2, 6, 3)
        frame.loc[3, "c1"] = 7.5
        said = response(frame)
        assert "row(s) 3, column(s) c1" in said and "whole numbers" in said

    def test_text_with_marks_between_thousands_is_no_decimal(self):
        frame = pd.DataFrame({"a": ["6.518", "7.000", "950"], "b": ["33.000", "4.000", "12"]})
        assert re.search("refused: .*a, b have points.*thousands", response(frame))
        long = frame.reset_index().melt("index")
        with pytest.raises(ValueError, match="value have points"):
            CategoryCounts.from_long(long, row="index", category="variable", count="value")

    def test_per_cent_signs_are_named(self):
        said = response(pd.DataFrame({"a": ["45%", "50 %"], "b": ["55%", "50 %"]}))
        assert "per cent" in said and "45%" in said
