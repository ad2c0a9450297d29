"""Predictions are compared with the data, and the verdict follows from the comparison."""

import arviz as az
import numpy as np
import pytest

from helpers import CategoryCounts, masked_regression
from helpers.analysis import Predictions, check_predictions

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (0.0, "p < 0.013). The counts scatter more than the model allows"),
        (0.0075, "p < 0.013). The counts scatter more than the model allows"),
        (0.0125, "p = 0.01). That is within what the model allows."),
        (0.5, "p = 0.50). That is within what the model allows."),
        (0.9975, "p = 1.00). The counts scatter less than the model expects"),
    ],
)
def test_verdict(p, words):
    """400 draws: five of them are the fewest that a probability is read from."""
    verdict = Predictions(np.zeros((400, 1, 1), int), 1.234, p).verdict
    assert verdict.startswith("Pearson's statistic of the observed counts is 1.23 times what the")
    assert words in verdict


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("model", 0.01, 0.99), ("scattered", 0, 0), ("exact", 0.99, 1)]
)
def test_counts_from_the_model_pass_and_others_do_not(kind, low, high):
    """Draws at the true logits; counts from them, with scatter, or as expected to the unit."""
    rng = np.random.default_rng(1)
    logits = np.array([0.5, -0.3, 0.0])
    available = np.ones((200, 3), dtype=bool)
    available[::4, 0] = False
    noise = rng.normal(0, 0.5, (200, 3)) if kind == "scattered" else 0
    weights = available * np.exp(logits + noise)
    shares = weights / weights.sum(axis=1, keepdims=True)
    counts = np.floor(1_000 * shares) if kind == "exact" else rng.multinomial(1_000, shares)
    data = CategoryCounts(counts, available, ("tea", "milk", "water"))
    model = masked_regression(data, effects="pooled", reference="water")
    idata = az.from_dict(
        {"posterior": {"intercept": np.tile(logits[:2], (4, 200, 1))}},
        coords={"contrast": ["tea", "milk"]},
        dims={"intercept": ["contrast"]},
    )
    found = check_predictions(data, model, idata, random_seed=1)
    assert found.counts.shape == (400, len(data), 3)
    assert (found.counts.sum(axis=2) == data.n).all()
    assert (found.counts[:, ~data.available] == 0).all()
    assert low <= found.p <= high
    assert (found.ratio > 2) == (kind == "scattered")
