"""Attributes and exposure in a regression."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from oracles import PLAIN
from scipy import optimize
from scipy.special import logsumexp
from scipy.stats import multinomial, norm

from helpers import CategoryCounts, masked_regression, simulate_counts
from helpers.models import StandardisedAttributes

MODES = ["train", "swissmetro", "car"]


def simulated(**options):
    given = {"attribute_slope": {"price": -1.0, "time": 0.5}, "exposure": (0.5, 2.0)}
    common = {"unavailable": (0.3, 0, 0), "effects": "intercepts", "random_seed": 1}
    return simulate_counts(5, 6, 3, **(common | given | options))[0]


def values(model, seed=1):
    """A point at random, in the model's own coordinates."""
    rng = np.random.default_rng(seed)
    return {k: rng.normal(0, 0.3, size=np.shape(v)) for k, v in model.initial_point().items()}


def at(model, names, point):
    variables = [model[name] for name in names]
    found = model.compile_fn(
        model.replace_rvs_by_values(variables), inputs=model.value_vars, mode=PLAIN
    )(point)
    return dict(zip(names, found, strict=True))


@pytest.mark.parametrize("effects", ["common", "varying"])
@pytest.mark.parametrize("centring", ["auto", "centred", "noncentred"])
def test_log_density_is_the_one_written_by_hand(effects, centring):
    data = simulated()
    model = masked_regression(data, effects="pooled", centring=centring, attribute_effects=effects)
    point = values(model)
    names = ["intercept", "attribute_slope", "share", "preference"]
    names += ["attribute_slopes", "attribute_sd"] if effects == "varying" else []
    found = at(model, names, point)
    slopes = np.tile(found["attribute_slope"], (len(data), 1))
    if effects == "varying":
        slopes = found["attribute_slopes"][data.cluster.codes]
    scale, mean = (model[f"attribute_{name}"].get_value() for name in ("scale", "mean"))
    z = np.stack(list(data.attributes.values()), axis=-1)
    reference = data.categories.index(
        next(c for c in data.categories if c not in model.coords["contrast"])
    )
    eta = np.insert(found["intercept"], reference, 0.0) + np.einsum("rkq,rq->rk", z - mean, slopes)
    preference = np.exp(eta - logsumexp(eta, axis=1, keepdims=True))
    np.testing.assert_allclose(found["preference"], preference)
    weight = np.where(data.available, data.exposure * np.exp(eta), 0.0)
    share = weight / weight.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found["share"], share)
    by_hand = multinomial.logpmf(data.counts, data.n, share).sum()
    logp = model.compile_fn(
        model.logp(vars=[model["counts"]]),
        inputs=model.value_vars,
        mode=PLAIN,
        on_unused_input="ignore",
    )(point)
    np.testing.assert_allclose(logp, by_hand)
    if effects == "varying" and centring == "centred":
        prior = model.compile_fn(
            model.logp(vars=[model["attribute_slopes_scaled"]]),
            inputs=model.value_vars,
            mode=PLAIN,
            on_unused_input="ignore",
        )(point)
        scaled = [found[name] * scale for name in ("attribute_slopes", "attribute_slope")]
        sd = found["attribute_sd"] * scale
        np.testing.assert_allclose(prior, norm.logpdf(scaled[0], scaled[1], sd).sum())


def flat_mode(model, *names):
    value_and_slope = model.logp_dlogp_function(ravel_inputs=True, mode=PLAIN)
    value_and_slope.set_extra_values({})
    start = pm.blocking.DictToArrayBijection.map(model.initial_point())
    best = optimize.minimize(
        lambda x: tuple(-np.asarray(v) for v in value_and_slope(x)), start.data, jac=True, tol=1e-9
    )
    point = pm.blocking.DictToArrayBijection.rmap(
        pm.blocking.RaveledVars(best.x, start.point_map_info)
    )
    return at(model, names or ["intercept", "attribute_slope"], point), -best.fun


FLAT = {"intercept": pm.Flat, "attribute_slope": pm.Flat}


def test_swissmetro_gives_the_published_estimates(pytestconfig):
    trips = pd.read_csv(pytestconfig.rootpath / "data/swissmetro.csv")
    table = pd.DataFrame({"person": trips["person"]})
    for mode in MODES:
        offered = trips[f"available_{mode}"] == 1
        table[mode] = (trips["choice"] == mode).astype(float).where(offered)
        for kind in ("time", "cost"):
            table[f"{kind}_{mode}"] = trips[f"{kind}_{mode}"] / 100
    data = CategoryCounts.from_wide(table, MODES, cluster="person", attributes=["time", "cost"])
    model = masked_regression(data, effects="pooled", reference="swissmetro", priors=FLAT)
    found, log_likelihood = flat_mode(model)
    np.testing.assert_allclose(found["intercept"], [-0.701187, -0.154633], atol=1e-3)
    np.testing.assert_allclose(found["attribute_slope"], [-1.277859, -1.083790], atol=1e-3)
    assert log_likelihood == pytest.approx(-5331.252007, abs=1e-3)


def test_prices_of_what_was_sold_out_do_not_matter():
    data = simulated(exposure=None)
    blank = {name: np.where(data.available, x, np.nan) for name, x in data.attributes.items()}
    modes = []
    for attributes in (data.attributes, blank):
        given = CategoryCounts(data.counts, data.available, data.categories, attributes=attributes)
        modes.append(flat_mode(masked_regression(given, effects="pooled", priors=FLAT))[0])
    np.testing.assert_allclose(modes[0]["attribute_slope"], modes[1]["attribute_slope"], rtol=1e-5)


def test_exposure_is_a_selection_ratio():
    """With one row, the preference is the count over the exposure."""
    counts, exposure = np.array([[25, 18, 59]]), np.array([[0.1, 0.2, 0.4]])
    data = CategoryCounts(counts, np.ones((1, 3), bool), ["a", "b", "c"], exposure=exposure)
    model = masked_regression(data, effects="pooled", priors={"intercept": pm.Flat})
    found = flat_mode(model, "preference")[0]["preference"][0]
    ratio = (counts / exposure)[0]
    np.testing.assert_allclose(found, ratio / ratio.sum(), atol=1e-4)


def test_standardised_over_what_was_on_the_menu():
    data = simulated(exposure=None)
    found = StandardisedAttributes.of(data, data.available)
    on_menu = np.where(data.available[..., None], found.scaled, np.nan)
    np.testing.assert_allclose(np.nanmean(on_menu, axis=0), 0, atol=1e-12)
    assert found.applies.all()
    of_all = StandardisedAttributes.of(data, data.available, by_category=False)
    on = of_all.scaled[data.available]
    np.testing.assert_allclose(on.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(on.std(axis=0), 1)
    np.testing.assert_allclose(of_all.sd, found.sd)


def test_intercepts_that_vary_are_of_categories_at_their_usual_price():
    """So that the slope does not hang on each of them: it mixes as well as they do."""
    data = simulated(exposure=None)
    dear = data.attributes["price"] + np.array([0.0, 5.0, 10.0])
    data = replace(data, attributes={"price": dear})
    model = masked_regression(data, effects="intercepts")
    mean = model["attribute_mean"].get_value()
    assert mean.shape == (3, 1) and (np.diff(mean[:, 0]) > 3).all()
    everywhere = masked_regression(data, effects="pooled")["attribute_mean"].get_value()
    assert np.ptp(everywhere) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z: np.repeat(z[:, :1], 3, axis=1), "same for all categories of each row"),
        (lambda z: np.tile(z[:1], (len(z), 1)), "same in all rows, category by category"),
        (lambda z: np.ones_like(z), "same for all categories of each row"),
    ],
)
def test_attributes_that_cannot_sway_are_refused(change, message):
    data = simulated(exposure=None)
    attributes = {"price": change(data.attributes["price"])}
    data = CategoryCounts(data.counts, data.available, data.categories, attributes=attributes)
    with pytest.raises(ValueError, match=message):
        masked_regression(data, effects="pooled")


def test_attributes_that_repeat_each_other_are_refused():
    data = simulated(exposure=None)
    price = data.attributes["price"]
    attributes = {"price": price, "pence": 100 * price + [[1.0, 2.0, 3.0]]}
    data = CategoryCounts(data.counts, data.available, data.categories, attributes=attributes)
    with pytest.raises(ValueError, match="repeat each other"):
        masked_regression(data, effects="pooled")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attribute_effects": "own"}, "must be one of"),
        ({"attribute_effects": {"price": "own"}}, "must be one of"),
        ({"attribute_effects": {"prize": "varying"}}, "an attribute must be one of"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        masked_regression(simulated(), effects="pooled", **options)


def test_own_slopes_need_clusters_and_attributes():
    data = simulated()
    alone = CategoryCounts(data.counts, data.available, data.categories, attributes=data.attributes)
    with pytest.raises(ValueError, match="a cluster for each row"):
        masked_regression(alone, effects="pooled", attribute_effects="varying")
    plain = simulated(attribute_slope=None)
    with pytest.raises(ValueError, match="needs attributes of the categories"):
        masked_regression(plain, attribute_effects="varying")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_slopes_and_their_spread_are_recovered(seed):
    true = {"price": -1.0, "time": 0.5}
    data, truth = simulate_counts(
        30, 8, 4, unavailable=(0.3, 0, 0.2, 0), effects="intercepts", n_range=(200, 2_000),
        attribute_slope=true, attribute_sd={"price": 0.3}, random_seed=seed,
    )  # fmt: skip
    model = masked_regression(data, effects="intercepts", attribute_effects={"price": "varying"})
    with model:
        draws = pm.sample(
            500, tune=500, chains=4, cores=2, nuts_sampler="nutpie", random_seed=seed,
            progressbar=False, compile_kwargs={"freeze_model": True},
        )  # fmt: skip
    posterior = draws["posterior"].to_dataset()
    slope = posterior["attribute_slope"]
    away = (slope.mean(("chain", "draw")) - list(true.values())) / slope.std(("chain", "draw"))
    assert (np.abs(away) < 4).all()
    low, high = posterior["attribute_sd"].quantile([0.001, 0.999], ("chain", "draw")).squeeze()
    assert low < 0.3 < high
    own = posterior["attribute_slopes"].squeeze()
    spread, right = own.std(("chain", "draw")), truth["attribute_slopes"].sel(attribute="price")
    z = (own.mean(("chain", "draw")).to_numpy() - right.to_numpy()) / spread.to_numpy()
    assert (z**2).mean() < 2.5
