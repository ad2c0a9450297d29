"""A run that all but converged is repeated, once and not in silence."""

import signal
import warnings

import arviz as az
import numpy as np
import pymc as pm
import pytest

from helpers import CategoryCounts, masked_regression
from helpers.analysis import build_model, choose, expected_time, sample

pytestmark = pytest.mark.filterwarnings("error")


def draws(divergences=0, shift=0.0):
    """Four chains, the first of them shifted by some standard deviations."""
    x = np.random.default_rng(1).normal(size=(4, 1_000))
    x[0] += shift
    diverging = np.zeros((4, 1_000), dtype=bool)
    diverging[1, :divergences] = True
    return az.from_dict({"posterior": {"x": x}, "sample_stats": {"diverging": diverging}})


@pytest.fixture
def runs(monkeypatch):
    """Settings of each run of the sampler, which returns the given draws in turn."""
    called = []

    def play(*results):
        left = iter(results)

        def sampler(**settings):
            called.append(settings)
            return next(left)

        monkeypatch.setattr(pm, "sample", sampler)
        return called

    return play


@pytest.fixture
def model():
    with pm.Model() as model:
        pm.Normal("x")
    return model


@pytest.mark.parametrize("first", [draws(divergences=10), draws(shift=0.5)])
def test_a_second_run_is_announced(first, runs, model):
    called, good = runs(first, draws()), draws()
    with pytest.warns(UserWarning, match=r"(10 divergent|R-hat 1\.0[1-4]).* once more"):
        found = sample(model, draws=1_000, random_seed=1, progressbar=False)
    np.testing.assert_array_equal(found["posterior"]["x"], good["posterior"]["x"])
    assert len(called) == 2
    assert called[1]["tune"] == 2_000 and called[1]["nuts"] == {"target_accept": 0.95}
    assert called[0]["tune"] == 1_000 and called[0]["nuts"] == {"target_accept": 0.8}
    changed = {k for k, v in called[0].items() if called[1][k] != v}
    assert changed == {"draws", "tune", "nuts"} and called[1]["draws"] == 2_000
    assert found["posterior"].attrs["settings"] == (
        "Four chains of 2,000 draws after 2,000 of tuning, in a second run with a target "
        "acceptance of 0.95"
    )


@pytest.mark.parametrize("first", [draws(), draws(divergences=11), draws(shift=2.0)])
def test_one_run_is_enough_if_nothing_is_wrong_or_too_much(first, runs, model):
    called = runs(first)
    found = sample(model, draws=1_000, random_seed=1, progressbar=False)
    assert len(called) == 1 and found is first
    assert found["posterior"].attrs["settings"] == (
        "Four chains of 1,000 draws after 1,000 of tuning"
    )


def test_too_few_effective_draws_are_doubled(runs, model):
    """Draws that are right, and worth 200 to 400: each like the one before it."""
    rng = np.random.default_rng(1)
    x = np.zeros((4, 1_000))
    x[:, 0] = rng.normal(size=4)
    for i in range(1, 1_000):
        x[:, i] = 0.85 * x[:, i - 1] + np.sqrt(1 - 0.85**2) * rng.normal(size=4)
    slow = az.from_dict(
        {"posterior": {"x": x}, "sample_stats": {"diverging": np.zeros(x.shape, dtype=bool)}}
    )
    called = runs(slow, draws())
    with pytest.warns(UserWarning, match="ess_.* with smaller steps and twice the draws"):
        found = sample(model, draws=1_000)
    assert [run["draws"] for run in called] == [1_000, 2_000]
    assert found["posterior"].attrs["settings"].startswith("Four chains of 2,000 draws after 2,000")


def test_tuning_and_acceptance_are_passed_on(runs, model):
    called = runs(draws())
    found = sample(model, draws=1_000, tune=300, target_accept=0.9)
    assert called[0]["tune"] == 300 and called[0]["nuts"] == {"target_accept": 0.9}
    assert found["posterior"].attrs["settings"] == (
        "Four chains of 1,000 draws after 300 of tuning with a target acceptance of 0.9"
    )
    runs(draws(divergences=1), draws())
    with pytest.warns(UserWarning, match="once more"):
        sample(model, draws=1_000, tune=3_000, target_accept=0.97)
    assert called[-1]["tune"] == 6_000 and called[-1]["nuts"] == {"target_accept": 0.99}


def test_the_second_run_is_the_last(runs, model):
    called = runs(draws(divergences=3), draws(divergences=3))
    with pytest.warns(UserWarning, match="3 divergent"):
        found = sample(model, draws=1_000)
    assert len(called) == 2
    assert found["sample_stats"]["diverging"].sum() == 3


def test_scatter_is_stored_only_where_it_cannot_be_drawn_again(runs):
    counts = np.random.default_rng(1).multinomial(30, [0.1, 0.4, 0.5], 20)
    counts[::4, 0] = 0
    data = CategoryCounts(counts, np.ones_like(counts, dtype=bool), ("a", "b", "c"))
    for availability, stored in (("known", False), ("unknown", True)):
        model = masked_regression(
            data, effects="pooled", likelihood="logistic-normal", availability=availability
        )
        called = runs(draws())
        sample(model, draws=1_000)
        assert ("scatter" in called[-1]["var_names"]) == stored
        assert "logits" not in called[-1]["var_names"]


def test_the_time_to_expect_is_said_for_every_likelihood():
    counts = np.random.default_rng(1).multinomial(900, [0.1, 0.4, 0.5], 2_000)
    data = CategoryCounts(counts, np.ones_like(counts, dtype=bool), ("a", "b", "c"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for likelihood in ("multinomial", "logistic-normal", "dirichlet-multinomial"):
            choice = choose(data, likelihood=likelihood)
            assert "seconds of sampling" in expected_time(choice, 1_000)
            build_model(choice)


def test_ctrl_c_is_not_taken_for_the_end_of_the_draws(monkeypatch, model):
    """The sampler returns what it has when it is stopped, as this one does."""

    def stopped(**_):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            return draws()
        raise AssertionError("nobody pressed Ctrl-C")

    monkeypatch.setattr(pm, "sample", stopped)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        sample(model, draws=1_000)
    assert signal.getsignal(signal.SIGINT) is before
