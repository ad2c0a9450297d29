"""Models that are right pass, and those that are wrong are named, category by category."""

import arviz as az
import numpy as np
import pandas as pd
import pytest

from helpers import CategoryCounts, masked_regression
from helpers.analysis import Predictions, check_predictions
from helpers.analysis.check import _resampled
from helpers.data import nested_logits, shares_on_menu

pytestmark = pytest.mark.filterwarnings("error")

LOGITS = np.array([0.5, -0.3, 0.0])
NAMES = ("tea", "milk", "water")
SPREAD = 0.4


def table(kind):
    """Counts of 200 rows, tea off every fourth menu, by how they scatter."""
    rng = np.random.default_rng(2)
    available = np.ones((200, 3), dtype=bool)
    available[::4, 0] = False
    noise = 0.0
    if kind == "normal":
        noise = rng.normal(0, SPREAD, (200, 3))
    elif kind == "t":
        noise = rng.normal(0, SPREAD, (200, 3)) / np.sqrt(rng.gamma(2, 1 / 2, (200, 1)))
    weights = available * np.exp(LOGITS + noise)
    shares = weights / weights.sum(axis=1, keepdims=True)
    if kind == "dirichlet":
        shares = rng.gamma(20 * shares + 1e-300)
        shares /= shares.sum(axis=1, keepdims=True)
    counts = np.floor(1_000 * shares) if kind == "exact" else rng.multinomial(1_000, shares)
    return CategoryCounts(counts.astype(int), available, NAMES, date=np.arange(200) % 8)


def draws_at(**values):
    """400 draws, each within about half a per cent of the values."""
    rng = np.random.default_rng(3)
    dims = {"intercept": ["contrast"], "scatter_sd": ["category"], "psi": ["inflated"]}
    posterior = {
        name: value * rng.normal(1, 0.005, (4, 100, *np.shape(value)))
        for name, value in values.items()
    }
    return az.from_dict({"posterior": posterior}, dims={k: dims[k] for k in values if k in dims})


def checked(data, random_seed=1, **options):
    truth = {"intercept": LOGITS[:2]}
    scattering = options.get("likelihood")
    if scattering == "logistic-normal":
        truth["scatter_sd"] = np.full(3, SPREAD)
        if options.get("scatter") == "t":
            truth["scatter_df"] = 4.0
    elif scattering == "dirichlet-multinomial":
        truth["concentration"] = 20.0
    if options.get("availability") == "unknown":
        truth["psi"] = [0.75]
    model = masked_regression(data, effects="pooled", reference="water", **options)
    return check_predictions(data, model, draws_at(**truth), random_seed=random_seed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "options", "verdict"),
    [
        ("multinomial", {}, "fits"),
        ("normal", {}, "more"),
        ("exact", {}, "less"),
        ("normal", {"likelihood": "logistic-normal"}, "fits"),
        ("multinomial", {"likelihood": "logistic-normal"}, "less"),
        ("t", {"likelihood": "logistic-normal", "scatter": "t"}, "fits"),
        ("dirichlet", {"likelihood": "dirichlet-multinomial"}, "fits"),
        ("dirichlet", {}, "more"),
    ],
)
def test_counts_from_the_model_pass_and_others_do_not(kind, options, verdict):
    data = table(kind)
    found = checked(data, **options)
    assert found.table["verdict"].tolist() == [verdict] * 3
    assert found.fits == (verdict == "fits")
    assert found.table.index.tolist() == list(NAMES)
    assert found.table["cells"].tolist() == [150, 200, 200]
    assert found.counts.shape == (400, 200, 3)
    assert (found.counts.sum(axis=2) == data.n).all()
    assert (found.counts[:, ~data.available] == 0).all()


def test_scatter_is_drawn_anew():
    """By the law of total variance: what a multinomial has, and what the shares add."""
    data = table("normal")
    predicted = checked(data, likelihood="logistic-normal").counts[:, data.available[:, 0], 1]
    rng = np.random.default_rng(2)
    weights = np.exp(LOGITS + rng.normal(0, SPREAD, (100_000, 3)))
    share = weights[:, 1] / weights.sum(axis=1)
    n = data.n[0]
    variance = n * (share * (1 - share)).mean() + n**2 * share.var()
    assert predicted.mean() == pytest.approx(n * share.mean(), rel=0.01)
    assert predicted.var() == pytest.approx(variance, rel=0.03)


def test_unknown_menus_are_drawn_anew():
    known = table("multinomial")
    data = CategoryCounts(known.counts, np.ones_like(known.available), NAMES)
    found = checked(data, availability="unknown")
    assert found.fits
    assert (found.counts[..., 0] == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert not (found.counts[..., 2] == 0).any()


def test_nests_are_predicted_from():
    """Tea and milk are close: where tea is off, milk gains nearly all of its choices."""
    available = np.ones((200, 3), dtype=bool)
    available[::4, 0] = False
    logits = np.array([0.0, 0.0, 0.5])
    nest, scale = np.array([0, 0, -1]), 0.3
    share = shares_on_menu(nested_logits(logits, available, nest, [scale]), available)
    # The same by hand: the nest's share of the odds against water, before it is divided.
    hot = np.exp(scale * np.log(available[:, :2].sum(axis=1)))
    np.testing.assert_allclose(share[:, 2], np.exp(0.5) / (np.exp(0.5) + hot))
    counts = np.random.default_rng(1).multinomial(1_000, share)
    data = CategoryCounts(counts, available, NAMES)
    options = {"effects": "pooled", "reference": "water"}
    model = masked_regression(data, nests={"hot": list(NAMES[:2])}, **options)
    rng = np.random.default_rng(3)
    posterior = {
        "intercept": logits[:2] - 0.5 + rng.normal(0, 0.005, (4, 100, 2)),
        "nest_scale": scale + rng.normal(0, 0.005, (4, 100, 1)),
    }
    dims = {"intercept": ["contrast"], "nest_scale": ["nest"]}
    nested = az.from_dict({"posterior": posterior}, dims=dims)
    assert check_predictions(data, model, nested, random_seed=1).fits
    # At a scale of 1 it is the plain model, which cannot look like these counts.
    posterior["nest_scale"] = np.full((4, 100, 1), 1.0 - 1e-9)
    plain = az.from_dict({"posterior": posterior}, dims=dims)
    found = check_predictions(data, model, plain, random_seed=1)
    assert (found.table["verdict"] != "fits").all()


def test_rows_are_judged_by_the_others():
    """Levels fitted to one row each: in the light of the others, they miss it."""
    rng = np.random.default_rng(1)
    counts = rng.multinomial(1_000, rng.dirichlet([5, 5, 5], 40))
    data = CategoryCounts(counts, np.ones_like(counts, dtype=bool), NAMES, np.arange(40))
    model = masked_regression(data, effects="intercepts", reference="water")
    exact = np.log(counts[:, :2] / counts[:, 2:])
    noise = np.sqrt(1 / counts[:, :2] + 1 / counts[:, 2:])
    posterior = {"intercept": rng.normal(exact, noise, (4, 100, 40, 2))}
    idata = az.from_dict({"posterior": posterior}, dims={"intercept": ["cluster", "contrast"]})
    found = check_predictions(data, model, idata, random_seed=1)
    rough = found.pareto_k > 0.7
    assert rough.mean() > 0.5
    # In sample, intervals are too wide; nobody knows whether they are out of sample.
    assert "less" not in set(found.table["verdict"])
    few = found.table["verdict"] == "too few to tell"
    assert few.any() and (found.table.loc[few, "cells"] == (~rough).sum()).all()
    assert "of 40 rows it is rough" in found.verdict


@pytest.mark.slow
def test_of_many_rows_some_are_judged():
    counts = np.random.default_rng(1).multinomial(50, [0.5, 0.3, 0.2], 2_500)
    data = CategoryCounts(counts, np.ones_like(counts, dtype=bool), NAMES)
    model = masked_regression(data, effects="pooled", reference="water")
    logits = np.log([0.5 / 0.2, 0.3 / 0.2])
    found = check_predictions(data, model, draws_at(intercept=logits), random_seed=1)
    assert found.counts.shape == (400, 2_500, 3)
    assert found.table["cells"].tolist() == [2_000] * 3 and found.fits
    assert "This is said of 2,000 rows drawn from 2,500." in found.verdict


def test_verdict_says_what_fails_first():
    columns = ["cells", "inside_50", "inside_89", "expected_over_observed", "verdict"]
    lines = [
        [90, 0.51, 0.9, 1.0, "fits"],
        [90, 0.3, 0.6, 2.2, "shifted"],
        [90, 0.2, 0.5, 1, "more"],
    ]
    found = pd.DataFrame(lines, index=list(NAMES), columns=columns)
    k = np.r_[np.zeros(8), 0.9, 0.8]
    text = Predictions(np.zeros((4, 10, 3), int), found, k).verdict
    assert text.startswith("2 of 3 categories fail: the model expects 2.20 times the observed")
    assert "must not be used" in text and "intervals are too narrow" in text
    assert "percentages or ranks" not in text
    assert "For 2 of 10 rows it is rough" in text
    good = Predictions(np.zeros((4, 10, 3), int), found.iloc[:1], np.zeros(10))
    assert good.verdict == "All 1 categories fit." and good.fits


def test_rows_are_predicted_by_draws_as_often_as_their_weights_say():
    log_weights = np.log([[0.5, 1e-300], [0.25, 1.0], [0.125, 1e-300], [0.125, 1e-300]])
    pick = _resampled(np.repeat(log_weights, 100, axis=0), np.random.default_rng(1))
    first = np.bincount(pick[:, 0] // 100, minlength=4)
    np.testing.assert_allclose(first, [200, 100, 50, 50], atol=1)
    assert (pick[:, 1] // 100 == 1).all()


def test_a_row_that_few_draws_explain_is_still_far_off():
    """The one draw that comes nearest to it has nearly all of the weight, and is far away."""
    rng = np.random.default_rng(1)
    counts = np.tile([5_000, 3_000, 2_000], (12, 1))
    counts[0] = [7_000, 2_000, 1_000]
    data = CategoryCounts(counts, np.ones_like(counts, dtype=bool), NAMES)
    model = masked_regression(data, effects="pooled", reference="water")
    posterior = {"intercept": rng.normal(np.log([2.5, 1.5]), 0.01, (4, 100, 2))}
    idata = az.from_dict({"posterior": posterior}, dims={"intercept": ["contrast"]})
    for seed in range(5):
        found = check_predictions(data, model, idata, random_seed=seed)
        assert found.pareto_k[0] > 0.7
        np.testing.assert_allclose(found.table["inside_89"], 11 / 12)
