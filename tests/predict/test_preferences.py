"""Preferences with everything on the menu: by cluster and date, against sums by hand."""

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import softmax

from helpers import (
    CategoryCounts,
    latent_preferences,
    masked_regression,
    preferences_over_time,
)

NAMES = ("bus", "car", "tram", "walk")
CLUSTER, DATE = list("vuvuvu"), [2001, 2001, 2002, 2002, 2004, 2004]
SPREAD = np.array([0.3, 0.9, 0.5, 0.2])


def fitted(draws, counts=None, df=None, drift="walk", **options):
    """A model of six rows, two clusters and three dates, and draws of its parameters."""
    rng = np.random.default_rng(1)
    data = CategoryCounts(
        rng.integers(1, 20, (6, 4)) if counts is None else counts,
        np.ones((6, 4), bool),
        NAMES,
        cluster=pd.Categorical(CLUSTER),
        date=pd.Index(DATE),
    )
    scatter = {"scatter": "normal" if df is None else "t", "likelihood": "logistic-normal"}
    options = {"effects": "intercepts", "drift": drift} | scatter | options
    model = masked_regression(data, reference="walk", **options)
    names = [v.name for v in model.free_RVs]
    if "drift" in model.named_vars:
        names.append("drift")
    values = {}
    for name in names:
        dims = model.named_vars_to_dims.get(name) or ()
        if "row" not in dims:
            values[name] = rng.normal(size=(1, 1, *(len(model.coords[d]) for d in dims)))
    values["scatter_sd"] = SPREAD[None, None]
    if df is not None:
        values["scatter_df"] = np.full((1, 1), df)
    values = {name: np.repeat(v, draws, axis=1) for name, v in values.items()}
    if drift:  # the walk of these steps
        steps = values["drift_steps"][0, 0]
        walk = np.vstack([np.zeros(3), np.cumsum(steps * np.sqrt([[2 / 3], [4 / 3]]), axis=0)])
        values["drift"] = np.repeat((walk - walk.mean(axis=0))[None, None], draws, axis=1)
    dims = {n: list(d) for n in values if (d := model.named_vars_to_dims.get(n))}
    idata = az.from_dict(
        {"posterior": values},
        coords={d: list(model.coords[d]) for of in dims.values() for d in of},
        dims=dims,
    )
    return model, idata


def with_reference(contrasts):
    return np.insert(np.asarray(contrasts), 3, 0.0, axis=-1)


def expected_of_new_rows(logits, df, size=400_000):
    rng = np.random.default_rng(2)
    u = rng.normal(size=(size, 4)) * SPREAD
    if df is not None:
        u /= np.sqrt(rng.gamma(df / 2, 2 / df, size=(size, 1)))
    share = softmax(logits + u, axis=1)
    return share.mean(axis=0), share.std(axis=0) / np.sqrt(size)


@pytest.mark.parametrize("df", [None, 4.0])
class TestByCluster:
    def test_mean_is_the_average_of_new_rows_and_typical_has_no_scatter(self, df):
        model, idata = fitted(300, df=df)
        level = with_reference(idata["posterior"]["intercept"][0, 0])
        mean = latent_preferences(idata, model, random_seed=1)
        typical = latent_preferences(idata, model, "typical")
        assert mean.dims == ("chain", "draw", "cluster", "category")
        assert (mean.attrs["at"], typical.attrs["at"]) == ("mean", "typical")
        np.testing.assert_allclose(typical[0, 7], softmax(level, axis=1), rtol=1e-12)
        for c in range(2):
            expected, error = expected_of_new_rows(level[c], df)
            error = np.hypot(error, mean[0, :, c].std("draw") / np.sqrt(300))
            assert (np.abs(mean[0, :, c].mean("draw") - expected) <= 4.5 * error).all()
            assert np.abs(expected - typical[0, 0, c]).max() > 5e-3

    def test_realised_is_what_rows_showed(self, df):
        counts = 10**6 * np.random.default_rng(3).integers(1, 9, (6, 4))
        model, idata = fitted(20, counts, df=df)
        got = latent_preferences(idata, model, "realised", random_seed=1)
        assert got.attrs["at"] == "realised"
        assert got["cluster"].to_numpy().tolist() == ["u", "v"]
        for c in "uv":
            total = counts[np.array(CLUSTER) == c].sum(axis=0)
            np.testing.assert_allclose(
                got.sel(cluster=c)[0], np.tile(total / total.sum(), (20, 1)), atol=2e-3
            )


class TestOverTime:
    def test_realised_is_what_the_rows_of_a_date_showed(self):
        counts = 10**6 * np.random.default_rng(3).integers(1, 9, (6, 4))
        model, idata = fitted(20, counts)
        got = preferences_over_time(idata, model, random_seed=1)
        assert got.attrs["at"] == "realised"
        assert got.dims == ("chain", "draw", "date", "category")
        for d in (2001, 2002, 2004):
            total = counts[np.array(DATE) == d].sum(axis=0)
            np.testing.assert_allclose(
                got.sel(date=d)[0], np.tile(total / total.sum(), (20, 1)), atol=2e-3
            )

    @pytest.mark.parametrize("weight", [None, [1, 3], [[1, 3], [2, 0], [1, 1]]])
    def test_mean_and_typical_are_weighted_over_clusters(self, weight):
        model, idata = fitted(200)
        posterior = idata["posterior"]
        logits = with_reference(posterior["drift"][0, 0])[:, None]
        logits = logits + with_reference(posterior["intercept"][0, 0])
        w = np.broadcast_to(np.ones(2) if weight is None else weight, (3, 2)).astype(float)
        w = (w / w.sum(axis=1, keepdims=True))[..., None]
        typical = preferences_over_time(idata, model, weight, "typical")
        expected = (w * softmax(logits, axis=2)).sum(axis=1)
        np.testing.assert_allclose(typical[0, 3], expected, rtol=1e-12)
        # With weights of clusters, the mean is what is meant if nothing is said.
        at = "mean" if weight is None else None
        mean = preferences_over_time(idata, model, weight, at, random_seed=1)
        assert (mean.attrs["at"], typical.attrs["at"]) == ("mean", "typical")
        new = np.array([[expected_of_new_rows(eta, None, 50_000)[0] for eta in d] for d in logits])
        np.testing.assert_allclose(mean[0].mean("draw"), (w * new).sum(axis=1), atol=4e-3)

    def test_realised_and_weights_are_refused(self):
        model, idata = fitted(2)
        with pytest.raises(ValueError, match="Weights are of clusters"):
            preferences_over_time(idata, model, [1, 1], "realised")

    def test_a_model_without_drift_is_refused(self):
        model, idata = fitted(2, drift=None)
        with pytest.raises(ValueError, match="no drift"):
            preferences_over_time(idata, model)


class TestPooled:
    def test_has_no_clusters(self):
        counts = 10**6 * np.random.default_rng(3).integers(1, 9, (6, 4))
        model, idata = fitted(20, counts, effects="pooled", drift=None)
        for at in ("mean", "typical", "realised"):
            got = latent_preferences(idata, model, at)
            assert got.dims == ("chain", "draw", "category")
            np.testing.assert_allclose(got.sum("category"), 1, rtol=1e-12)
        total = counts.sum(axis=0)
        np.testing.assert_allclose(got[0], np.tile(total / total.sum(), (20, 1)), atol=2e-3)


class TestWithoutScatter:
    def test_mean_and_typical_are_the_same_and_realised_is_of_rows(self):
        model, idata = fitted(3, likelihood="multinomial", scatter=None)
        posterior = idata["posterior"]
        mean = latent_preferences(idata, model)
        assert mean.attrs["at"] == "mean"
        xr.testing.assert_equal(mean, latent_preferences(idata, model, "typical"))
        assert preferences_over_time(idata, model).attrs["at"] == "mean"
        level = with_reference(posterior["intercept"][0, 0])[[1, 0] * 3]
        walk = with_reference(posterior["drift"][0, 0])[[0, 0, 1, 1, 2, 2]]
        n = model["n"].get_value()[:, None]
        rows = n * softmax(level + walk, axis=1)
        by_date = preferences_over_time(idata, model, at="realised")
        by_cluster = latent_preferences(idata, model, "realised")
        np.testing.assert_allclose(by_date[0, 1, 2], rows[4:].sum(axis=0) / n[4:].sum(), rtol=1e-9)
        np.testing.assert_allclose(
            by_cluster[0, 1, 0], rows[1::2].sum(axis=0) / n[1::2].sum(), rtol=1e-9
        )

    def test_a_dirichlet_multinomial_has_no_realised_preferences(self):
        model, idata = fitted(2, likelihood="dirichlet-multinomial", scatter=None)
        with pytest.raises(ValueError, match="does not keep how its rows scattered"):
            latent_preferences(idata, model, "realised")
