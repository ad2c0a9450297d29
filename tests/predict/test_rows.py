"""Predictions for rows that are not in the data: against the linear predictor by hand."""

from functools import cache

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from pytensor.compile.mode import Mode
from scipy.special import softmax

from helpers import CategoryCounts, draw_counts, masked_regression, what_if

PLAIN = {"mode": Mode(linker="py", optimizer="fast_compile")}
NAMES = ("bus", "car", "tram", "walk")


@cache
def fitted(draws=6, **options):
    """A model with everything, and draws from its prior in the posterior's place."""
    rng = np.random.default_rng(1)
    data = CategoryCounts(
        rng.integers(1, 20, (12, 4)),
        np.ones((12, 4), bool),
        NAMES,
        cluster=pd.Categorical(list("uvwx" * 3)),
        date=pd.DatetimeIndex(np.repeat(pd.to_datetime(["2001", "2002", "2004"]), 4)),
        predictors=pd.DataFrame({"km": rng.normal(5, 2, 12)}),
    )
    options = {"drift": "walk", "likelihood": "dirichlet-multinomial"} | options
    model = masked_regression(data, reference="walk", **options)
    with model:
        prior = pm.sample_prior_predictive(draws, random_seed=1, compile_kwargs=PLAIN)["prior"]
    return data, model, xr.DataTree.from_dict({"posterior": prior.to_dataset()})


@pytest.mark.parametrize("effects", ["pooled", "intercepts", "slopes"])
@pytest.mark.parametrize("centring", ["auto", "noncentred"])
def test_the_datas_own_rows_given_as_new_ones_are_the_same(effects, centring):
    data, model, idata = fitted(effects=effects, centring=centring)
    frame = pd.DataFrame(
        {"cluster": np.asarray(data.cluster), "date": data.date, "km": data.predictors["km"]}
    )
    menus = {"no bus": {"bus": False}}
    ours = what_if(idata, model, menus, rows=frame)
    theirs = what_if(idata, model, menus)
    for name in ("share", "baseline", "diversion"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-12)


def test_new_predictors_by_hand():
    _, model, idata = fitted(effects="slopes")
    posterior = idata["posterior"]
    frame = pd.DataFrame(
        {"cluster": ["w", "u"], "date": ["2002", "2004"], "km": [0.0, 9.0], "tram": [True, False]},
        index=["first", "second"],
    )
    answer = what_if(idata, model, {"all": list(NAMES)}, rows=frame)
    x = (frame["km"].to_numpy() - float(model["predictor_mean"].eval()[0])) / float(
        model["predictor_sd"].eval()[0]
    )
    effects = posterior["effects"].transpose("chain", "draw", "cluster", "contrast", "effect")
    drift = posterior["drift"].transpose("chain", "draw", "date", "contrast")
    for i, (cluster, date) in enumerate([(2, 1), (0, 2)]):
        eta = effects[0, :, cluster, :, 0] + effects[0, :, cluster, :, 1] * x[i]
        eta = eta.to_numpy() + drift[0, :, date].to_numpy()
        eta = np.column_stack([eta, np.zeros(len(eta))])
        np.testing.assert_allclose(answer["share"][0, :, 0, i], softmax(eta, axis=1), rtol=1e-9)
    assert answer["row"].to_numpy().tolist() == ["first", "second"]
    assert (answer["baseline"][..., 1, 2] == 0).all() and (answer["baseline"][..., 0, 2] > 0).all()


@pytest.mark.slow
def test_new_dates_move_on_from_those_with_data():
    data, model, idata = fitted(draws=4_000, effects="intercepts")
    posterior = idata["posterior"]
    frame = pd.DataFrame({"cluster": "u", "date": ["2004", "2010"], "km": [1.0, 1.0]})
    answer = what_if(idata, model, list(NAMES), rows=frame, random_seed=1)
    log = np.log(answer["share"][0, :, 0])
    eta = (log - log.sel(category="walk")).to_numpy()[..., :3]
    step = eta[:, 1] - eta[:, 0]
    days = pd.to_datetime(["2001", "2002", "2004", "2010"])
    gap = (days[3] - days[2]) / ((days[2] - days[0]) / 2)
    sd = posterior["drift_sd"][0].to_numpy() * np.sqrt(gap)
    z = step / sd
    assert (np.abs(z.mean(axis=0)) < 4.5 / np.sqrt(len(z))).all()
    np.testing.assert_allclose(z.std(axis=0), 1, atol=0.06)
    again = what_if(idata, model, list(NAMES), rows=frame, random_seed=1)
    xr.testing.assert_equal(answer, again)


@pytest.mark.parametrize("spreads", ["category", "contrast"])
@pytest.mark.slow
def test_new_dates_move_contrasts_together_if_the_reference_moves(spreads):
    """One draw many times over: covariances of steps from the spreads alone."""
    _, model, idata = fitted(draws=1, effects="pooled", spreads=spreads)
    posterior = idata["posterior"].to_dataset().isel(draw=[0] * 4_000)
    posterior = posterior.assign_coords(draw=range(4_000))
    name = {"category": "drift_spread", "contrast": "drift_sd"}[spreads]
    sd = np.array([0.2, 0.6, 0.4, 0.5])
    values = np.broadcast_to(sd[: posterior.sizes[posterior[name].dims[-1]]], posterior[name].shape)
    posterior = posterior.assign({name: (posterior[name].dims, values)})
    tree = xr.DataTree.from_dict({"posterior": posterior})
    frame = pd.DataFrame({"date": ["2001", "2004", "2003", "2010"], "km": 5.0})
    answer = what_if(tree, model, list(NAMES), rows=frame, random_seed=1)
    log = np.log(answer["share"][0, :, 0])
    eta = (log - log.sel(category="walk")).to_numpy()[..., :3]
    days = pd.to_datetime(["2002", "2003", "2004", "2010", "2001"]).asi8 / 1e9
    mean_gap = (days[2] - days[4]) / 2
    of_steps = np.diag(sd[:3] ** 2) + (sd[3] ** 2 if spreads == "category" else 0)
    bridge = (days[1] - days[0]) * (days[2] - days[1]) / (days[2] - days[0])
    for row, variance in [(2, bridge), (3, days[3] - days[2])]:
        expected = of_steps * variance / mean_gap
        scale = np.sqrt(np.diag(expected))
        error = (np.cov(eta[:, row].T) - expected) / np.outer(scale, scale)
        assert np.abs(error).max() < 4.5 * np.sqrt(2 / 4_000)
    np.testing.assert_allclose(eta[:, 0], eta[:1, 0].repeat(4_000, 0), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("effects", ["intercepts", "slopes"])
@pytest.mark.parametrize("centring", ["auto", "noncentred"])
def test_clusters_without_data_come_from_the_population(effects, centring):
    _, model, idata = fitted(draws=4_000, effects=effects, centring=centring, drift=None)
    posterior = idata["posterior"]
    km = float(model["predictor_mean"].eval()[0])
    frame = pd.DataFrame({"cluster": [None, "v", None], "km": km})
    answer = what_if(idata, model, list(NAMES), rows=frame, random_seed=1)
    log = np.log(answer["share"][0, :, 0])
    eta = (log - log.sel(category="walk")).to_numpy()[..., :3]
    if effects == "slopes":
        mean, sd, own = (
            posterior[name].sel(effect="intercept")[0].to_numpy()
            for name in ("effects_mean", "effects_sd", "effects")
        )
    else:
        mean, sd, own = (
            posterior[name][0].to_numpy()
            for name in ("intercept_mean", "intercept_sd", "intercept")
        )
    np.testing.assert_allclose(eta[:, 1], own[:, 1], rtol=1e-6, atol=1e-6)
    for row in (0, 2):
        z = (eta[:, row] - mean) / sd
        assert (np.abs(z.mean(axis=0)) < 4.5 / np.sqrt(len(z))).all()
        np.testing.assert_allclose(z.std(axis=0), 1, atol=0.06)
    # Each is a cluster of its own.
    together = np.corrcoef((eta[:, 0] - mean)[:, 0] / sd[:, 0], (eta[:, 2] - mean)[:, 0] / sd[:, 0])
    assert abs(together[0, 1]) < 0.08


@pytest.mark.slow
def test_counts_scatter_as_the_likelihood_says():
    _, model, idata = fitted(draws=3, effects="pooled")
    posterior = idata["posterior"]
    even = {name: 0 * posterior[name] for name in ("intercept", "slope", "drift_steps")}
    even["concentration"] = 0 * posterior["concentration"] + 4.0
    posterior = posterior.to_dataset().assign(even)
    idata = xr.DataTree.from_dict({"posterior": posterior.isel(draw=[0] * 4_000)})
    frame = pd.DataFrame({"date": ["2002"], "km": [5.0], "n": 30})
    answer = what_if(idata, model, ["bus", "car", "walk"], rows=frame, counts=True, random_seed=1)
    counts = answer["counts"][0, :, 0, 0].to_numpy()
    p = answer["share"][0, 0, 0, 0].to_numpy()
    assert (counts[:, 2] == 0).all() and (counts.sum(axis=1) == 30).all()
    variance = 30 * p * (1 - p) * (30 + 4) / (1 + 4)
    error = np.sqrt(variance / len(counts))
    assert (np.abs(counts.mean(axis=0) - 30 * p) <= 4.5 * error).all()
    np.testing.assert_allclose(counts.var(axis=0), variance, rtol=0.12)


def test_totals_are_the_weighted_sums_of_rows():
    data, model, idata = fitted(effects="intercepts")
    menus = {"no bus": {"bus": False}, "two": ["car", "walk"]}
    rows = what_if(idata, model, menus, counts=True, random_seed=1)
    total = what_if(idata, model, menus, counts=True, total=True, random_seed=1)
    weight = xr.DataArray(data.n / data.n.sum(), dims="row")
    for name in ("share", "baseline"):
        expected = (rows[name] * weight).sum("row")
        np.testing.assert_allclose(total[name], expected, rtol=1e-12)
    np.testing.assert_array_equal(total["counts"], rows["counts"].sum("row"))
    taken = rows["baseline"].sel(category="bus", drop=True) * weight
    expected = (rows["diversion"].sel(removed="bus") * taken).sum("row") / taken.sum("row")
    np.testing.assert_allclose(total["diversion"].sel(removed="bus"), expected, rtol=1e-12)


def test_some_draws_are_those_of_all():
    _, model, idata = fitted(draws=10, effects="pooled")
    every = what_if(idata, model, ["bus", "car"])
    some = what_if(idata, model, ["bus", "car"], draws=5)
    np.testing.assert_allclose(some["share"], every["share"][:, ::2], rtol=1e-12)
    assert some["draw"].to_numpy().tolist() == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drop": ["km"]}, "lack km"),
        ({"drop": ["cluster", "date"]}, "lack cluster, date"),
        ({"kn": 3}, "no column 'kn': did you mean .*'km'"),
        ({"km": [1.0, np.nan]}, r"finite numbers in new row\(s\) \[1\]"),
        ({"km": "far"}, "finite numbers"),
        ({"cluster": "uv"}, "no cluster 'uv'"),
        ({"date": [None, "2001"]}, r"date is missing in new row\(s\) \[0\]"),
        ({"n": [1.5, 2]}, r"whole number, 0 or more, in new row\(s\) \[0\]"),
        ({"bus": [0.5, 1]}, "True and False only"),
    ],
)
def test_rows_that_make_no_sense_are_refused(change, message):
    _, model, idata = fitted(draws=2)
    frame = pd.DataFrame({"cluster": ["u", "v"], "date": "2001", "km": 1.0})
    frame = frame.drop(columns=change.pop("drop", [])).assign(**change)
    with pytest.raises(ValueError, match=message):
        what_if(idata, model, list(NAMES), rows=frame)


def test_dates_of_new_rows_are_read_as_those_of_the_table():
    _, model, idata = fitted(draws=2)
    frame = pd.DataFrame({"cluster": ["u", "v", "w"], "km": 1.0})
    written = [
        ["01.01.2002", "01.02.2004", "13.01.2005"],
        ["2002-01-01", "2004-02-01", "2005-01-13"],
    ]
    answers = [
        what_if(idata, model, list(NAMES), rows=frame.assign(date=dates), random_seed=1)
        for dates in written
    ]
    np.testing.assert_array_equal(answers[0]["share"], answers[1]["share"])


def test_draw_counts_gives_nothing_to_a_share_of_nothing():
    rng = np.random.default_rng(1)
    share = np.array([[0.1, 0.2, 0.7, 0.0]] * 5_000)
    for concentration in (None, 2.0, 1e-3):
        drawn = draw_counts(rng, np.full(5_000, 9), share, concentration)
        assert (drawn[:, 3] == 0).all() and (drawn.sum(axis=1) == 9).all()
        spread = 9 if concentration is None else 9 * (9 + concentration) / (1 + concentration)
        error = np.sqrt(spread * share[0] * (1 - share[0]) / 5_000)
        assert (np.abs(drawn.mean(axis=0) - 9 * share[0]) <= 4.5 * error).all()


def test_models_of_unknown_menus_predict_under_menus_that_are_given():
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 3, (12, 4)) * rng.integers(0, 2, (12, 4)) + [0, 0, 0, 1]
    data = CategoryCounts(
        counts, np.ones((12, 4), bool), NAMES, cluster=pd.Categorical(list("uvwx" * 3))
    )
    model = masked_regression(data, effects="intercepts", availability="unknown", reference="walk")
    with model:
        prior = pm.sample_prior_predictive(5, random_seed=1, compile_kwargs=PLAIN)["prior"]
    idata = xr.DataTree.from_dict({"posterior": prior.to_dataset()})
    frame = pd.DataFrame({"cluster": ["v", None], "n": [7, 9]})
    answer = what_if(
        idata, model, {"no bus": {"bus": False}}, rows=frame, counts=True, random_seed=1
    )
    intercept = idata["posterior"]["intercept"].sel(cluster="v")[0].to_numpy()
    weight = np.exp(np.column_stack([intercept, np.zeros(5)])) * [0, 1, 1, 1]
    expected = weight / weight.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answer["share"][0, :, 0, 0], expected, rtol=1e-9)
    assert (answer["counts"].sel(category="bus") == 0).all()
    assert (answer["counts"].sum("category") == [7, 9]).all()
