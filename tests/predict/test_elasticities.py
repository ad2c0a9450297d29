"""Other prices and predictors; elasticities and ratios of slopes, against sums by hand."""

import warnings

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
import pytest
from oracles import PLAIN
from scipy.special import softmax

from helpers import (
    CategoryCounts,
    elasticities,
    latent_preferences,
    masked_regression,
    simulate_counts,
    slope_ratio,
    what_if,
)
from helpers.predict import row_averages

COSTLY = ("oats", "flakes")
DEARER = {"attributes": {"price": {"category 1": lambda price: price + 1}}}


def drawn(likelihood, **options):
    data, _ = simulate_counts(
        4, 3, 4, unavailable=(0.3, 0, 0.2, 0), attribute_slope={"price": -1.0, "time": 0.5},
        exposure=(0.5, 2.0), random_seed=1,
    )  # fmt: skip
    model = masked_regression(
        data, likelihood=likelihood, attribute_effects={"price": "varying"}, **options
    )
    with model:
        prior = pm.sample_prior_predictive(3, random_seed=1, compile_kwargs={"mode": PLAIN})
    prior["posterior"] = prior["prior"]
    return data, model, prior


@pytest.fixture(scope="module", params=["multinomial", "logistic-normal"])
def fitted(request):
    return drawn(request.param)


def one_draw(fitted, i=1):
    """Logits and own slopes of the price, (R, K) and (R,)."""
    data, _, prior = fitted
    posterior = prior["posterior"].to_dataset().isel(chain=0, draw=i)
    slopes = posterior["attribute_slopes"].sel(varying_attribute="price").to_numpy()
    return posterior["logits"].to_numpy(), slopes[data.cluster.codes]


def shares(data, logits):
    return softmax(np.where(data.available, logits, -np.inf), axis=1)


class TestScenarios:
    def test_another_price(self, fitted):
        data, model, prior = fitted
        logits, slope = one_draw(fitted)
        expected = shares(data, logits + np.outer(slope, [1, 0, 0, 0]))
        found = what_if(prior, model, {"dearer": DEARER, "without": {"category 2": False}})
        now = found.isel(chain=0, draw=1)
        np.testing.assert_allclose(now["share"].sel(scenario="dearer"), expected)
        np.testing.assert_allclose(now["baseline"], shares(data, logits))
        assert (now["share"].sel(scenario="without", category="category 2") == 0).all()

    def test_another_predictor_on_another_menu(self, fitted):
        data, model, prior = fitted
        logits, _ = one_draw(fitted)
        posterior = prior["posterior"].to_dataset().isel(chain=0, draw=1)
        slopes = (
            posterior["effects"]
            .sel(effect="x")
            .reindex(contrast=list(data.categories), fill_value=0.0)
        )
        moved = 1.5 - data.predictors["x"].to_numpy()
        moved = moved / model["predictor_sd"].get_value()
        logits = logits + moved[:, None] * slopes.to_numpy()[data.cluster.codes]
        on = data.available.copy()
        on[:, 2] = False
        expected = softmax(np.where(on, logits, -np.inf), axis=1)
        scenario = {"predictors": {"x": 1.5}, "menu": {"category 3": False}}
        found = what_if(prior, model, {"s": scenario}).isel(chain=0, draw=1, scenario=0)
        np.testing.assert_allclose(found["share"], expected)

    def test_of_some_rows_and_alone(self, fitted):
        _, model, prior = fitted
        every = what_if(prior, model, DEARER)["share"]
        some = what_if(prior, model, DEARER, rows=[5, 2])["share"]
        np.testing.assert_allclose(some, every.sel(row=[5, 2]))

    def test_in_averages(self, fitted):
        data, model, prior = fitted
        found = row_averages(prior, model, {"dearer": DEARER}).isel(chain=0, draw=1)
        logits, slope = one_draw(fitted)
        expected = shares(data, logits + np.outer(slope, [1, 0, 0, 0]))
        weight = data.n / data.n.sum()
        np.testing.assert_allclose(found["share"].sel(scenario="dearer"), weight @ expected)
        equally = softmax(logits - model["log_exposure"].get_value(), axis=1)
        np.testing.assert_allclose(found["latent"], weight @ equally)

    def test_of_new_rows(self, fitted):
        data, model, prior = fitted
        mean = model["attributes"].get_value().mean(axis=0)[:, 0]
        new = pd.DataFrame(
            {
                "cluster": [data.cluster[0]],
                "x": [0.0],
                "price_category 1": [mean[0]],
                "exposure_category 2": [0.0],
            }
        )
        found = what_if(prior, model, DEARER, rows=new, at="typical").isel(chain=0, scenario=0)
        assert (found["share"].sel(category="category 2") == 0).all()
        usual = what_if(prior, model, {"n": {}} | {"n": DEARER}, rows=new, at="typical")
        np.testing.assert_allclose(usual["share"].isel(chain=0, scenario=0), found["share"])
        odds = found["share"] / found["share"].sel(category="category 4")
        before = found["baseline"] / found["baseline"].sel(category="category 4")
        slopes = prior["posterior"]["attribute_slopes"].isel(
            chain=0, cluster=0, varying_attribute=0
        )
        ratio = (odds / before).sel(category="category 1")
        np.testing.assert_allclose(ratio.squeeze("row"), np.exp(slopes))

    def test_of_new_clusters_have_the_same_slope_before_and_after(self, fitted):
        _, model, prior = fitted
        new = pd.DataFrame({"cluster": [None], "x": [0.0]})
        same = {"attributes": {"price": {"category 1": lambda price: price}}}
        found = what_if(prior, model, {"same": same, "dearer": DEARER}, rows=new, random_seed=1)
        np.testing.assert_allclose(found["share"].sel(scenario="same"), found["baseline"])
        assert (found["share"].sel(scenario="dearer") != found["baseline"]).any()

    @pytest.mark.parametrize(
        ("scenario", "message"),
        [
            ({"attributes": {"prize": 1}}, "attribute 'prize': did you mean 'price'"),
            ({"attributes": {"price": {"category 9": 1}}}, "category 9"),
            ({"attributes": {"price": {"category 1": "x"}}}, "must be a number"),
            ({"attributes": {"price": {"category 1": [1.0, 2.0]}}}, "one for each of 12 rows"),
            ({"attributes": {"price": np.inf}}, "finite"),
            ({"attributes": [1]}, "must be a mapping"),
            ({"predictors": {"y": 1}}, "predictor 'y'"),
        ],
    )
    def test_that_make_no_sense_are_refused(self, fitted, scenario, message):
        _, model, prior = fitted
        with pytest.raises(ValueError, match=message):
            what_if(prior, model, {"s": scenario})

    def test_without_attributes_are_refused(self):
        data, _ = simulate_counts(2, 2, 3, unavailable=(0,) * 3, effects="pooled", random_seed=1)
        model = masked_regression(data, effects="pooled")
        idata = az.from_dict({"posterior": {"intercept": np.zeros((1, 2, 2))}})
        with pytest.raises(ValueError, match="has no attributes to change"):
            what_if(idata, model, {"s": DEARER})

    def test_preferences_are_of_what_is_equally_exposed(self):
        data, model, prior = drawn("multinomial")
        logits, _ = one_draw((data, model, prior))
        found = latent_preferences(prior, model, "realised").isel(chain=0, draw=1, cluster=0)
        rows = data.cluster.codes == 0
        equally = softmax(logits - model["log_exposure"].get_value(), axis=1)[rows]
        np.testing.assert_allclose(found, data.n[rows] @ equally / data.n[rows].sum())


class TestElasticities:
    @pytest.mark.parametrize("k", range(4))
    def test_are_derivatives(self, fitted, k):
        """Total choices with the price of one category 0.001 % higher and lower."""
        data, model, prior = fitted
        found = elasticities(prior, model, "price").isel(chain=0, draw=1, changed=k)
        logits, slope = one_draw(fitted)
        price = data.attributes["price"][:, k]

        def total(part):
            step = slope * price * part
            moved = logits + np.outer(step, np.arange(4) == k)
            return np.log(data.n @ shares(data, moved))

        derivative = (total(1e-5) - total(-1e-5)) / 2e-5
        np.testing.assert_allclose(found, derivative, rtol=1e-5, atol=1e-8)

    def test_at_the_mean_are_those_of_average_shares(self):
        data, model, prior = drawn("logistic-normal")
        found = elasticities(prior, model, "price", at="mean", random_seed=1)
        assert found.attrs == {"at": "mean", "attribute": "price"}
        up, down = (
            what_if(
                prior,
                model,
                {"s": {"attributes": {"price": {"category 2": lambda p, h=h: p * h}}}},
                at="mean",
                random_seed=1,
                total=True,
            )["share"].squeeze()  # fmt: skip
            for h in (1 + 1e-4, 1 - 1e-4)
        )
        by_hand = (np.log(up) - np.log(down)) / 2e-4
        np.testing.assert_allclose(
            found.sel(changed="category 2").squeeze("chain"), by_hand, rtol=0.05, atol=5e-3
        )

    def test_of_some_rows_and_draws(self, fitted):
        _, model, prior = fitted
        every = elasticities(prior, model, "time", rows=[3], draws=1)
        assert dict(every.sizes) == {"chain": 1, "draw": 1, "category": 4, "changed": 4}

    def test_refuse_what_there_is_not(self, fitted):
        _, model, prior = fitted
        with pytest.raises(ValueError, match="did you mean 'price'"):
            elasticities(prior, model, "prize")
        with pytest.raises(ValueError, match="rows of the model"):
            elasticities(prior, model, "price", rows=pd.DataFrame({"x": [1.0]}))


class TestRatios:
    def idata(self, slopes):
        return az.from_dict({"posterior": {"attribute_slope": slopes}})

    def test_are_quantiles(self, fitted):
        rng = np.random.default_rng(1)
        slopes = rng.normal([-2.0, -1.0], [0.2, 0.05], (4, 500, 2))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = slope_ratio(self.idata(slopes), fitted[1], "price", "time")
        ratio = (slopes[..., 0] / slopes[..., 1]).ravel()
        np.testing.assert_allclose(found, np.quantile(ratio, [0.055, 0.5, 0.945]))
        assert list(found.index) == ["low", "median", "high"]

    @pytest.mark.parametrize("mean", [-0.1, -0.25])
    def test_that_can_be_anything_are_warned_of(self, fitted, mean):
        slopes = np.random.default_rng(2).normal([-2.0, mean], [0.2, 0.1], (4, 100, 2))
        with pytest.warns(UserWarning, match="either side of zero"):
            slope_ratio(self.idata(slopes), fitted[1], "price", "time")

    def test_of_nonsense_are_refused(self, fitted):
        idata = self.idata(np.ones((1, 2, 2)))
        with pytest.raises(ValueError, match="to itself"):
            slope_ratio(idata, fitted[1], "price", "price")
        with pytest.raises(ValueError, match="did you mean 'time'"):
            slope_ratio(idata, fitted[1], "price", "tme")
        with pytest.raises(ValueError, match="between 0 and 1"):
            slope_ratio(idata, fitted[1], "price", "time", prob=1)


@pytest.fixture(scope="module")
def bought():
    """Two cereals, and none of them, which has no price."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.integers(5, 90, (12, 3)), columns=["oats", "flakes", "none"])
    prices = {f"price_{c}": rng.uniform(1, 3, 12) for c in COSTLY}
    columns = {"price": {c: f"price_{c}" for c in COSTLY}}
    data = CategoryCounts.from_wide(
        frame.assign(**prices), ["oats", "flakes", "none"], attributes=columns
    )
    model = masked_regression(data, effects="pooled")
    with model:
        prior = pm.sample_prior_predictive(3, random_seed=1, compile_kwargs={"mode": PLAIN})
    prior["posterior"] = prior["prior"]
    return model, prior


class TestWithoutTheAttribute:
    def test_a_category_cannot_move_others(self, bought):
        model, prior = bought
        found = elasticities(prior, model, "price")
        assert found.sel(changed="none").isnull().all()
        assert found.sel(changed=["oats", "flakes"]).notnull().all()

    def test_a_change_for_all_leaves_it_as_it_is(self, bought):
        model, prior = bought
        dearer = {"all": {"attributes": {"price": lambda price: 1.1 * price}}}
        each = {"each": {"attributes": {"price": {c: lambda p: 1.1 * p for c in COSTLY}}}}
        found = what_if(prior, model, dearer | each)["share"]
        np.testing.assert_allclose(found.sel(scenario="all"), found.sel(scenario="each"))

    def test_a_change_of_it_is_refused(self, bought):
        model, prior = bought
        with pytest.raises(ValueError, match="none has no price in the data"):
            what_if(prior, model, {"attributes": {"price": {"none": 1.0}}})
