"""Averages over rows by brute force: own arithmetic on each row of each draw."""

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from pytensor.compile.mode import Mode

from helpers import CategoryCounts, masked_regression, what_if
from helpers.predict import row_averages

pytestmark = pytest.mark.filterwarnings("error")

COUNTS = np.array([[5, 3, 2], [0, 8, 4], [1, 0, 6], [2, 2, 0], [7, 1, 1], [0, 9, 3]])
MENUS = np.array([[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=bool)


def data_with(cluster):
    return CategoryCounts(
        COUNTS,
        MENUS,
        ("tea", "milk", "water"),
        cluster=pd.Categorical(list(cluster)),
        predictors=pd.DataFrame({"heat": [1.0, 4.0, 2.0, 7.0, 3.0, 5.0], "rain": [0.0, 1] * 3}),
    )


@pytest.fixture(scope="module", params=["intercepts", "slopes", "scatter"])
def fit(request):
    """A model, ten draws from its prior with all that each row has, and the data."""
    data = data_with("aabbab")
    scatters = request.param == "scatter"
    model = masked_regression(
        data,
        effects="intercepts" if scatters else request.param,
        likelihood="logistic-normal" if scatters else "multinomial",
        reference="milk",
    )
    with model:
        prior = pm.sample_prior_predictive(
            10, random_seed=2, compile_kwargs={"mode": Mode(linker="py", optimizer="fast_compile")}
        )
    prior["posterior"] = prior["prior"]
    return data, model, prior


def softmax(logits, menus):
    weights = np.exp(logits) * menus
    return weights / weights.sum(axis=-1, keepdims=True)


def logits_of(prior):
    """Logits by draw, row and category."""
    logits = prior["prior"]["logits"].transpose("chain", "draw", "row", "category")
    return logits.to_numpy()[0]


def slopes_of(prior, data):
    """Slopes per standard deviation by draw, row, category and predictor, 0 at the reference."""
    draws = prior["prior"]
    if "effects" in draws:
        slope = draws["effects"].sel(effect=["heat", "rain"]).rename(effect="predictor")
        slope = slope.isel(cluster=data.cluster.codes).rename(cluster="row")
    else:
        slope = draws["slope"].expand_dims(row=len(data))
    out = np.zeros((10, len(data), 3, 2))
    dims = ("chain", "draw", "row", "contrast", "predictor")
    out[:, :, [0, 2]] = slope.transpose(*dims).to_numpy()[0]
    return out


def test_all_and_each_group_weigh_rows_by_their_totals(fit):
    data, model, prior = fit
    found = row_averages(prior, model, by={"cluster": data.cluster})
    scatters = "scatter_sd" in model.named_vars
    assert found.attrs["at"] == ("realised" if scatters else "mean")
    n = COUNTS.sum(axis=1)
    for name, menus in (("latent", np.ones_like(MENUS)), ("expected", MENUS)):
        shares = softmax(logits_of(prior), menus)
        in_all = np.einsum("r,srk->sk", n, shares) / n.sum()
        np.testing.assert_allclose(found[name].to_numpy()[0], in_all)
        for c, cluster in enumerate("ab"):
            rows = np.flatnonzero(data.cluster == cluster)
            own = np.einsum("r,srk->sk", n[rows], shares[:, rows]) / n[rows].sum()
            of_cluster = found[f"{name}_by_cluster"].to_numpy()[0, :, c]
            np.testing.assert_allclose(of_cluster, own)


def test_other_predictors_move_the_logits_by_slopes(fit):
    data, model, prior = fit
    x = data.predictors
    tables = {"up": x.assign(heat=x["heat"] + 3), "dry": x.assign(rain=0.0)}
    found = row_averages(prior, model, predictors=tables, by={"cluster": data.cluster})
    n, slopes = COUNTS.sum(axis=1), slopes_of(prior, data)
    by_hand = {
        "up": slopes[..., 0] * 3 / x["heat"].std(ddof=0),
        "dry": slopes[..., 1] * -x["rain"].to_numpy()[:, None] / x["rain"].std(ddof=0),
    }
    for name, shift in by_hand.items():
        shares = softmax(logits_of(prior) + shift, 1)
        in_all = np.einsum("r,srk->sk", n, shares) / n.sum()
        np.testing.assert_allclose(found["latent_if"].sel(table=name).to_numpy()[0], in_all)
        rows = np.flatnonzero(data.cluster == "b")
        own = np.einsum("r,srk->sk", n[rows], shares[:, rows]) / n[rows].sum()
        of_b = found["latent_if_by_cluster"].sel(table=name, cluster="b").to_numpy()[0]
        np.testing.assert_allclose(of_b, own)


def test_what_a_removed_category_loses_the_others_gain(fit):
    """The share without a category, row by row, less the share with it."""
    _, model, prior = fit
    found = row_averages(prior, model)
    n, before = COUNTS.sum(axis=1), softmax(logits_of(prior), MENUS)
    for k, name in enumerate(("tea", "milk", "water")):
        without = MENUS.copy()
        without[:, k] = False
        gained = np.einsum("r,srk->sk", n, softmax(logits_of(prior), without) - before) / n.sum()
        gained[:, k] = 0
        np.testing.assert_allclose(found["moved"].sel(removed=name).to_numpy()[0], gained)


def test_scenarios_are_those_of_what_if(fit):
    _, model, prior = fit
    menus = {"hot": ["tea", "milk"], "no tea": {"tea": False}}
    found = row_averages(prior, model, menus)
    expected = what_if(prior, model, menus, total=True, diversion=False)
    np.testing.assert_allclose(found["share"], expected["share"])
    assert found["scenario"].to_numpy().tolist() == ["hot", "no tea"]


def test_no_digits_are_lost_where_one_category_takes_nearly_all():
    data = CategoryCounts([[9, 1, 1], [8, 2, 1]], np.ones((2, 3)), ("a", "b", "c"))
    model = masked_regression(data, effects="pooled", reference="c")
    with model:
        prior = pm.sample_prior_predictive(1, random_seed=1)
    prior["posterior"] = prior["prior"].to_dataset()[["intercept"]] * 0 + np.array([60.0, 1.0])
    moved = row_averages(prior, model)["moved"].sel(removed="a").to_numpy().ravel()
    np.testing.assert_allclose(moved, [0, np.e / (1 + np.e), 1 / (1 + np.e)])


def test_groups_without_choices_are_missing_and_others_are_not():
    with pytest.warns(UserWarning):
        data = CategoryCounts(
            [[4, 2], [0, 0], [1, 3]], np.ones((3, 2)), ("a", "b"), cluster=["x", "y", "x"]
        )
    model = masked_regression(data, effects="pooled")
    with model:
        prior = pm.sample_prior_predictive(2, random_seed=1)
    prior["posterior"] = prior["prior"]
    group = pd.Categorical(["x", "y", "x"], categories=["x", "y", "z"])
    latent = row_averages(prior, model, by={"place": group})["latent_by_place"]
    assert latent.isnull().all(("chain", "draw", "category")).to_numpy().tolist() == [0, 1, 1]


def test_a_table_of_another_shape_is_refused(fit):
    data, model, prior = fit
    with pytest.raises(ValueError, match=r"shape \(6, 1\), and the model's \(6, 2\)"):
        row_averages(prior, model, predictors={"one": data.predictors[["heat"]]})
