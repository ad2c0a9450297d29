"""Messages: what they list, which names they suggest, which choices they refuse."""

import pytest

from helpers.data import listing, require_choice, require_known


@pytest.mark.parametrize(
    ("items", "limit", "text"),
    [
        ([], 5, ""),
        (["soup"], 5, "soup"),
        (range(5), 5, "0, 1, 2, 3, 4"),
        (range(6), 5, "0, 1, 2, 3, 4 and 1 more"),
        (iter("abc"), 2, "a, b and 1 more"),
    ],
)
def test_a_listing_names_the_first_and_counts_the_rest(items, limit, text):
    assert listing(items, limit) == text


@pytest.mark.parametrize("value", ["row", None])
def test_a_choice_that_exists_passes(value):
    assert require_choice("menu_of", value, (None, "row", "cluster")) is None


@pytest.mark.parametrize("value", ["rows", 0, ("row",)])
def test_a_choice_that_does_not_exist_is_refused_with_those_that_do(value):
    with pytest.raises(ValueError) as caught:
        require_choice("menu_of", value, (None, "row"))
    assert str(caught.value) == f"menu_of must be one of None, 'row', not {value!r}."


def test_known_names_pass():
    assert require_known("column", ["a", 1], ["a", "b", 1]) is None


@pytest.mark.parametrize(
    ("known", "hint"),
    [
        (["car", "tram"], "did you mean 'tram'?"),
        (["tram", "trams"], "did you mean 'tram' or 'trams'?"),
        (["bus"], "known are bus."),
    ],
    ids=str,
)
def test_an_unknown_name_is_refused_with_those_that_are_close(known, hint):
    with pytest.raises(ValueError) as caught:
        require_known("category", ["trem"], iter(known), " (given in `available`)")
    assert str(caught.value) == f"There is no category 'trem' (given in `available`): {hint}"
