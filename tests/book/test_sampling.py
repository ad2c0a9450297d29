"""The set-up of a chapter returns what pm.sample takes, and keeps its promises of silence."""

import inspect
import logging
import os
import subprocess
import sys
import warnings

import matplotlib
import pymc as pm
import pytensor
import pytest

from helpers.book import set_up


@pytest.fixture(autouse=True)
def put_back():
    """Style, log level and configuration as they were; pytest itself puts the warnings back."""
    logger = logging.getLogger("pymc")
    level = logger.level
    with matplotlib.rc_context():
        fastmath = pytensor.config.numba__fastmath
        yield
        pytensor.config.numba__fastmath = fastmath
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


FIT = """
import hashlib
import pymc as pm
from helpers import masked_regression, simulate_counts
from helpers.book import set_up

data, _ = simulate_counts(n_clusters=6, n_dates=3, n_categories=4, unavailable=(0.2, 0, 0, 0),
                          random_seed=1)
sampling = set_up(draws=200, random_seed=1) | {"tune": 300, "progressbar": False}
with masked_regression(data):
    draws = pm.sample(**sampling, compute_convergence_checks=False)
bits = draws.posterior["effects"].transpose("chain", "draw", ...).to_numpy().tobytes()
print(hashlib.sha256(bits).hexdigest())
"""


@pytest.mark.slow
def test_draws_are_the_same_with_an_empty_and_a_full_compile_cache(tmp_path):
    """numba compiles a function by itself and within another: both must round alike."""
    env = os.environ | {
        "PYTENSOR_FLAGS": f"base_compiledir={tmp_path / 'pytensor'}",
        "NUMBA_CACHE_DIR": str(tmp_path / "numba"),
    }
    command = [sys.executable, "-c", FIT]
    runs = [
        subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0].strip() and runs[0] == runs[1]
