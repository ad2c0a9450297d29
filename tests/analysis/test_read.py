"""What a table holds is read, noted or refused, and a notebook ends with one message."""

import numpy as np
import pandas as pd
import pytest

from helpers import ConvergenceError
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
