"""The set-up of a chapter returns what pm.sample takes, and keeps its promises of silence."""

import inspect
import logging
import warnings

import matplotlib
import pymc as pm
import pytest

from helpers.book import set_up


@pytest.fixture(autouse=True)
def put_back():
    """Style and log level as they were; pytest itself puts the warnings back."""
    logger = logging.getLogger("pymc")
    level = logger.level
    with matplotlib.rc_context():
        yield
    logger.setLevel(level)


@pytest.mark.parametrize(("value", "shown"), [(None, True), ("1", True), ("0", False)])
def test_progress_bar_follows_the_environment(value, shown, monkeypatch):
    monkeypatch.delenv("BOOK_PROGRESSBAR", raising=False)
    if value is not None:
        monkeypatch.setenv("BOOK_PROGRESSBAR", value)
    assert set_up(10, 1)["progressbar"] is shown


def test_settings_are_arguments_of_sample():
    sampling = set_up(draws=700, random_seed=3)
    assert set(sampling) <= set(inspect.signature(pm.sample).parameters)
    assert sampling["draws"] == 700 and sampling["random_seed"] == 3
    assert sampling["chains"] == sampling["cores"] == 4


def test_documented_settings_are_those_returned():
    text = inspect.getdoc(set_up)
    assert all(f"``{name}``" in text for name in set_up(10, 1))


def test_only_what_chapters_do_not_need_is_silenced():
    set_up(10, 1)
    assert not logging.getLogger("pymc").isEnabledFor(logging.WARNING)
    with warnings.catch_warnings(record=True) as heard:
        warnings.warn("PyTensor could not link to a BLAS installation.", UserWarning, stacklevel=1)
        warnings.warn("something else", UserWarning, stacklevel=1)
    assert [str(w.message) for w in heard] == ["something else"]
