"""Answers that hang on the prior are told from those that do not, in posteriors known exactly."""

from types import SimpleNamespace

import arviz as az
import numpy as np
import pymc as pm
import pytest

from helpers import CategoryCounts, masked_regression
from helpers.analysis import choose, prior_sensitivity, sensitivity_words, take_draws

pytestmark = pytest.mark.filterwarnings("error")


def posterior_of(a, b, sd, size=4_000):
    """Draws of a logit with a normal prior around 0, given a of a + b choices, from a grid."""
    grid = np.linspace(-8, 8, 20_001)
    log_density = a * grid - (a + b) * np.logaddexp(0, grid) - 0.5 * (grid / sd) ** 2
    weights = np.exp(log_density - log_density.max())
    rng = np.random.default_rng(1)
    return rng.choice(grid, size, p=weights / weights.sum())


def looked_at(a, b, sd):
    data = CategoryCounts([[a, b]], [[True, True]], ("tea", "milk"))
    choice = choose(data, likelihood="multinomial")
    model = masked_regression(
        data,
        effects="pooled",
        reference="milk",
        priors={"intercept": lambda name, dims: pm.Normal(name, 0, sd, dims=dims)},
    )
    draws = posterior_of(a, b, sd).reshape(4, 1_000, 1)
    idata = az.from_dict({"posterior": {"intercept": draws}}, dims={"intercept": ["contrast"]})
    return prior_sensitivity(choice, model, idata, take_draws(choice, model, idata))


@pytest.mark.parametrize(
    ("a", "b", "sd", "reading"),
    [
        (900, 300, 3.0, "rests on the counts"),
        (3, 1, 0.1, "rests on the prior"),
        (95, 5, 0.3, "prior and counts disagree"),
    ],
)
@pytest.mark.slow
def test_what_the_answer_rests_on(a, b, sd, reading):
    table = looked_at(a, b, sd)
    assert table["category"].tolist() == ["tea", "milk"]
    assert table["reading"].tolist() == [reading] * 2
    assert table["prior"].iloc[0] == pytest.approx(table["prior"].iloc[1], rel=0.05)
    assert (table[["prior_by_chance", "likelihood_by_chance"]] < 0.05).all(axis=None)


@pytest.mark.slow
def test_few_draws_are_said_to_be_few():
    """Twenty draws of a model with a hundred priors that have nothing to do with the answer."""
    rng = np.random.default_rng(2)
    data = CategoryCounts([[40, 60]], [[True, True]], ("tea", "milk"))
    choice = choose(data, likelihood="multinomial")
    model = masked_regression(data, effects="pooled", reference="milk")
    with model:
        pm.Normal("beside", shape=100)
    draws = {
        "intercept": rng.normal(-0.4, 0.1, (2, 10, 1)),
        "beside": rng.normal(size=(2, 10, 100)),
    }
    idata = az.from_dict({"posterior": draws}, dims={"intercept": ["contrast"]})
    table = prior_sensitivity(choice, model, idata, take_draws(choice, model, idata))
    assert (table["prior_by_chance"] > 0.1).all()
    assert not table["reading"].isin(["rests on the prior", "prior and counts disagree"]).any()


def test_it_is_said_what_was_not_looked_at():
    latent = posterior_of(9, 1, 1.0, 400).reshape(4, 100, 1)
    data = CategoryCounts([[9, 1]] * 4, np.ones((4, 2)), ("tea", "milk"))
    choice = SimpleNamespace(scatter="normal")
    model = masked_regression(data, effects="pooled", reference="milk")
    idata = az.from_dict({"posterior": {"intercept": latent}}, dims={"intercept": ["contrast"]})
    plain = choose(data, likelihood="multinomial")
    draws = take_draws(plain, model, idata)
    table = prior_sensitivity(choice, model, idata, draws)
    assert table["likelihood"].isna().all() and table["prior"].notna().all()
    assert "the likelihood was not looked at" in sensitivity_words(table)


def test_priors_without_a_density_are_let_be():
    data = CategoryCounts([[9, 1]] * 4, np.ones((4, 2)), ("tea", "milk"))
    model = masked_regression(data, effects="pooled", reference="milk")
    with model:
        pm.CustomDist("odd", random=lambda rng=None, size=None: rng.normal(size=size))
    latent = posterior_of(9, 1, 1.0, 40).reshape(4, 10, 1)
    draws = {"intercept": latent, "odd": np.zeros((4, 10))}
    idata = az.from_dict({"posterior": draws}, dims={"intercept": ["contrast"]})
    choice = choose(data, likelihood="multinomial")
    table = prior_sensitivity(choice, model, idata, take_draws(choice, model, idata))
    assert (table["reading"] == "not looked at").all()
    assert "could not be looked at" in sensitivity_words(table)
