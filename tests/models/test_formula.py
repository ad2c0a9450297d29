"""Predictors that are labels, and formulas."""

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from oracles import PLAIN

from helpers import CategoryCounts, latent_preferences, masked_regression, what_if
from helpers.predict import row_averages

CATEGORIES = ["tea", "milk", "water"]


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 40, size=(24, 3)).astype(float)
    counts[:6, 1] = np.nan
    return pd.DataFrame(counts, columns=CATEGORIES).assign(
        region=["s10", "s2", "s9"] * 8,
        age=rng.uniform(20, 60, 24),
        shop=np.repeat(list("abcd"), 6),
    )


def read(frame, *predictors):
    return CategoryCounts.from_wide(frame, CATEGORIES, predictors=predictors, cluster="shop")


@pytest.fixture(scope="module")
def data(frame):
    return read(frame, "region", "age")


@pytest.fixture(scope="module")
def by_hand(frame):
    """The same table, with columns for the levels but the first, 2 before 9 before 10."""
    columns = {name: (frame["region"] == name).astype(float) for name in ("s9", "s10")}
    return read(frame.assign(**columns), "s9", "s10", "age")


def prior_of(model):
    with model:
        idata = pm.sample_prior_predictive(30, random_seed=1, compile_kwargs={"mode": PLAIN})
    idata["posterior"] = idata["prior"]
    return idata


class TestRefused:
    @pytest.mark.parametrize(
        ("formula", "message"),
        [
            ("region ~ age", "right-hand side"),
            ("0 + region + age", "right-hand side"),
            ("region | age", "right-hand side"),
            ("region", "leaves out age: add it"),
            ("region + age + height", "no predictor 'height'"),
            ("region +* age", "cannot be used"),
            ("region + log(age - 40)", r"log\(age - 40\) of the formula cannot be worked out"),
            ("region + age + I(2 * age)", "repeat each other"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, data, formula, message):
        with pytest.raises(ValueError, match=message):
            masked_regression(data, formula=formula)

    def test_without_predictors_a_formula_is_refused(self, frame):
        with pytest.raises(ValueError, match='formula="age" needs predictors of the rows'):
            masked_regression(read(frame), formula="age")


@pytest.mark.slow
@pytest.mark.parametrize("effects", ["pooled", "slopes"])
def test_labels_are_columns_by_hand(data, by_hand, effects):
    options = {"effects": effects, "reference": "tea"}
    model, hand = (masked_regression(d, **options) for d in (data, by_hand))
    assert model.coords["predictor"] == ("region[s9]", "region[s10]", "age")
    rng = np.random.default_rng(2)
    point = {k: rng.normal(0, 0.3, np.shape(v)) for k, v in hand.initial_point().items()}
    found, expected = (m.compile_logp(mode=PLAIN)(point) for m in (model, hand))
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.fixture(scope="module")
def model(data):
    return masked_regression(data, effects="pooled", reference="tea")


@pytest.fixture(scope="module")
def hand(by_hand):
    return masked_regression(by_hand, effects="pooled", reference="tea")


@pytest.fixture(scope="module")
def idata(model):
    return prior_of(model)


class TestPredictions:
    def test_scenarios(self, model, hand, idata):
        of_region = {"predictors": {"region": "s10", "age": lambda age: age + 1}}
        of_columns = {"predictors": {"s9": 0, "s10": 1, "age": lambda age: age + 1}}
        found = what_if(idata, model, {"moved": of_region})["share"]
        expected = what_if(idata, hand, {"moved": of_columns})["share"]
        np.testing.assert_allclose(found, expected)
        of_each = {"predictors": {"region": ["s2", "s10", "s9"] * 8}}
        swapped = what_if(idata, model, {"moved": of_each})["share"]
        assert not np.allclose(swapped, found)

    def test_new_rows(self, model, hand, idata):
        rows = pd.DataFrame({"region": ["s9", "s2"], "age": [30.0, 70.0]})
        found = what_if(idata, model, ["tea", "milk"], rows=rows)
        columns = pd.DataFrame({"s9": [1.0, 0], "s10": [0.0, 0], "age": [30.0, 70.0]})
        expected = what_if(idata, hand, ["tea", "milk"], rows=columns)
        np.testing.assert_allclose(found["share"], expected["share"])
        moved = what_if(idata, model, {"predictors": {"region": "s2"}}, rows=rows)["share"]
        there = what_if(idata, model, CATEGORIES, rows=rows.assign(region="s2"))["share"]
        np.testing.assert_allclose(moved, there)
        with pytest.raises(ValueError, match="There is no region 's3'"):
            what_if(idata, model, ["tea", "milk"], rows=rows.assign(region="s3"))

    def test_averages(self, model, hand, idata, data, by_hand):
        moved = {"moved": data.predictors.assign(region="s9")}
        columns = {"moved": by_hand.predictors.assign(s9=1.0, s10=0.0)}
        found = row_averages(idata, model, predictors=moved)["latent_if"]
        np.testing.assert_allclose(
            found, row_averages(idata, hand, predictors=columns)["latent_if"]
        )

    def test_preferences(self, model, hand, idata):
        of_model, of_hand = (latent_preferences(idata, m, "mean") for m in (model, hand))
        np.testing.assert_allclose(of_model, of_hand)

    def test_of_exchanged_predictors_are_refused(self, data, idata):
        model = masked_regression(data, effects="pooled", reference="tea")
        pm.set_data({"predictors": np.zeros((24, 3))}, model=model)
        with pytest.raises(ValueError, match="were exchanged"):
            what_if(idata, model, {"moved": {"predictors": {"region": "s9"}}})
