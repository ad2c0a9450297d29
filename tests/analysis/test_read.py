"""What a table holds is read, noted or refused, and a notebook ends with one message."""

import json

import numpy as np
import pandas as pd
import pytest

from helpers import CategoryCounts, ConvergenceError
from helpers.analysis import Stop, read_source, stop_on_error

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def frame():
    return pd.DataFrame(
        {"shop": list("aabb"), "day": [1, 2, 1, 2], "n_left": [1, 2, 3, 4], "n_right": [4, 3, 2, 1]}
    )


@pytest.fixture
def write(tmp_path):
    def to_csv(frame):
        frame.to_csv(tmp_path / "mine.csv", index=False)
        return tmp_path / "mine.csv"

    return to_csv


def test_empty_options_are_not_there(frame, write):
    """As the parameters of a notebook are, if nothing is given."""
    source = read_source(
        write(frame), categories=[], cluster="", date="", predictors=[], available={}
    )
    assert source.name == "mine.csv" and source.notes == ()
    assert source.data.categories == ("n_left", "n_right")
    assert source.data.cluster is None and source.data.date is None
    assert source.data.predictors.shape == (4, 0)


@pytest.mark.parametrize("names", ["n_right, n_left,", ["n_right", "n_left"]])
def test_names_come_as_a_list_or_as_one_text(names, frame, write):
    source = read_source(write(frame), categories=names, cluster="shop", predictors="day")
    assert source.data.categories == ("n_right", "n_left")
    assert list(source.data.predictors) == ["day"] and list(source.data.cluster) == list("aabb")


def test_recorded_zeros_are_off_the_menu_where_a_column_says_so(frame, write):
    frame["n_left"] = [0, 0, 3, 4]
    frame["offered"] = [False, True, True, True]
    source = read_source(write(frame), available={"n_left": "offered"})
    assert source.data.available[:, 0].tolist() == [False, True, True, True]


def test_warnings_are_kept_as_notes(frame, write):
    frame.loc[1, ["n_left", "n_right"]] = 0
    frame["n_none"] = 0
    (note,) = read_source(write(frame)).notes
    assert "row(s) 1 have a total of 0" in note and "n_none" in note


def ranks(n_rows=20):
    rng = np.random.default_rng(1)
    table = np.array([rng.permutation(3) + 1 for _ in range(n_rows)])
    return pd.DataFrame(table, columns=["n_tea", "n_milk", "n_water"])


def test_suspicions_come_first_among_the_notes(write):
    table = ranks()
    notes = read_source(write(table.assign(n_none=0))).notes
    assert [note[:15] for note in notes] == ["Are these ranks", "Kept, but take "]
    (note,) = read_source(write(table)).notes
    assert note.startswith("Are these ranks? Each row holds the numbers from 1 to 3 once")
    assert note.endswith("(If all is well: accept ranks.)")
    assert read_source(table).notes == (note,)
    in_memory = CategoryCounts(table.to_numpy(), np.ones((20, 3), dtype=bool), list(table))
    assert read_source(in_memory).notes == (note,)
    assert read_source(write(table), accept="ranks").notes == ()
    table["n_tea"] = 100 - table[["n_milk", "n_water"]].sum(axis=1)
    table["n_none"] = 0
    first, second = read_source(write(table)).notes
    assert first.startswith("Are these per cent?") and second.startswith("Kept, but take note")


class TestWherever:
    """Any table that one way takes, all take."""

    WIDE = {"categories": "n_left,n_right", "cluster": "shop", "date": "day"}

    def same(self, one, other):
        assert one.categories == other.categories
        np.testing.assert_array_equal(one.counts, other.counts)
        np.testing.assert_array_equal(one.available, other.available)
        assert list(one.cluster) == list(other.cluster)

    def test_files_frames_columns_and_lines(self, frame, write):
        frame.loc[1, "n_left"] = None
        from_file = read_source(write(frame), **self.WIDE)
        lines = json.loads(frame.to_json(orient="records"))
        for table in (frame, frame.to_dict("list"), lines):
            source = read_source(table, **self.WIDE)
            assert source.name == "table"
            self.same(source.data, from_file.data)
        self.same(read_source(from_file.data).data, from_file.data)
        assert read_source(from_file) is from_file

    def test_long_tables(self, frame, write):
        long = frame.melt(["shop", "day"], ["n_left", "n_right"], "party", "votes")
        long["district"] = long["shop"] + long["day"].astype(str)
        names = {"row": "district", "category": "party", "count": "votes", "cluster": "shop"}
        wide = read_source(frame, cluster="shop").data
        self.same(read_source(write(long), **names).data, wide)
        self.same(read_source(long, **names).data, wide)
        long["offered"] = (long["party"] != "n_left") | (long["day"] == 1)
        long.loc[~long["offered"], "votes"] = 0
        for table in (write(long), long):
            menus = read_source(table, **names, available="offered").data.available
            assert menus[:, 1].all() and menus[:, 0].tolist() == [True, False, True, False]

    def test_what_was_read_is_not_read_again(self, frame):
        data = read_source(frame, cluster="shop").data
        with pytest.raises(ValueError, match="read already, and cannot be read again by cluster"):
            read_source(data, cluster="shop")

    def test_marks_are_of_files(self, frame):
        with pytest.raises(ValueError, match="thousands is about files"):
            read_source(frame, thousands=".")

    def test_counts_must_be_named(self):
        with pytest.raises(ValueError, match=r"No column is named n_\*.*tea, milk"):
            read_source({"tea": [1, 2], "milk": [3, 4]})


@pytest.mark.parametrize(
    ("cell", "value", "message"),
    [
        ("n_left", "-3", "Negative counts in row(s) 1, column(s) n_left"),
        ("n_left", "many", "not numbers in row(s) 1"),
        ("shop", "", "The cluster is missing in row(s) 1"),
    ],
)
def test_defects_are_named(cell, value, message, frame, write):
    frame = frame.astype(str)
    frame.loc[1, cell] = value
    path = write(frame)
    with pytest.raises(Stop) as stopped, stop_on_error(f"{path} cannot be analysed."):
        read_source(path, cluster="shop")
    assert str(stopped.value).startswith(f"{path} cannot be analysed. ")
    assert message in str(stopped.value)
    assert stopped.value._render_traceback_() == [str(stopped.value)]


@pytest.mark.parametrize("error", [ValueError, FileNotFoundError, ConvergenceError])
def test_faults_of_data_and_draws_stop(error):
    with pytest.raises(Stop, match="^Nothing was done. It failed.$"):
        with stop_on_error("Nothing was done."):
            raise error("It failed.")


def test_faults_of_the_program_pass():
    with pytest.raises(IndexError), stop_on_error("Nothing was done."):
        np.zeros(1)[2]
