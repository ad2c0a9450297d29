"""What CategoryCounts refuses of arrays, and what it keeps with a warning."""

import string
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import helpers
from helpers import CategoryCounts, read_counts


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
def test_arrays_that_do_not_fit_are_refused(changes, named):
    good = {"counts": np.ones((2, 3)), "available": np.ones((2, 3)), "categories": tuple("abc")}
    assert CategoryCounts(**good).n.tolist() == [3, 3]
    with pytest.raises(ValueError) as caught:
        CategoryCounts(**(good | changes))
    for words in named:
        assert words in str(caught.value)


def test_a_thousand_menus_of_many_categories_are_connected():
    """Whole powers of two of shared menus: a narrow integer would wrap around to 0."""
    menus = (np.arange(1024)[:, None] >> np.arange(10)) & 1
    menus = np.hstack([np.ones((1024, 2), int), menus])
    assert len(CategoryCounts(menus, menus, tuple(string.ascii_letters[:12])).patterns) == 1024


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

    def test_a_call_from_another_room_warns_at_its_callers_line(self):
        room = Path(helpers.__file__).parent / "analysis" / "room.py"
        scope = {"CategoryCounts": CategoryCounts, "np": np}
        code = "def call():\n    CategoryCounts(np.eye(2, 3), np.ones((2, 3)), tuple('abc'))"
        exec(compile(code, room, "exec"), scope)
        with pytest.warns(UserWarning, match="Kept, but take note") as caught:
            scope["call"]()
        assert [w.filename for w in caught] == [__file__]
